"""A PEFT folder for a tiny MusicGen that can be heard, written without PEFT."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

MODULE = "decoder.model.decoder.layers.0.fc1"


def make_tiny_lora(
    folder: Path, base: str, *, seed: int = 0, width: tuple[int, int] = (32, 128)
) -> Path:
    """An adapter of ``base`` for one matrix, from ``width[0]`` to ``width[1]`` numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    random = torch.Generator().manual_seed(seed)
    key = f"base_model.model.{MODULE}.lora_"
    tensors = {
        f"{key}A.weight": torch.randn(4, width[0], generator=random),
        f"{key}B.weight": torch.randn(width[1], 4, generator=random),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 4, "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
