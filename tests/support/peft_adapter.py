"""Adapters as PEFT saves them, for the tiny model of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import torch

from engine.models.musicgen.model import MusicGen

NAME = "musicgen-tiny-random"

ATTENTION = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
DREAMBOOTH = [
    *ATTENTION,
    *(f"lm_heads.{k}" for k in range(4)),
    *(f"embed_tokens.{k}" for k in range(4)),
    "enc_to_dec_proj",
]
"""What the community's trainer adapts, as far as a model without a melody has it."""


def write(
    folder: Path, source: Path, *, seed: int = 0, targets: list[str] = DREAMBOOTH, **config: Any
) -> Path:
    """An adapter as PEFT saves it, with corrections that can be heard."""
    network = MusicGen.load(source).network
    rank = config.pop("r", 4)
    wrapped = peft.get_peft_model(
        network,
        peft.LoraConfig(r=rank, lora_alpha=8, target_modules=targets, **config),
    )
    random = torch.Generator().manual_seed(seed)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(std=0.2, generator=random)
    wrapped.peft_config["default"].base_model_name_or_path = f"someone/{NAME}"
    wrapped.save_pretrained(folder, save_embedding_layers=False)
    return folder
