"""MusicGens to time: of the published sizes, and of random weights, made where they compute.

Speed does not depend on what the weights are; what these models play is noise.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
)

from engine.models.musicgen import tiny
from engine.models.musicgen.checkpoint import Checkpoint, placed, quiet
from engine.models.musicgen.model import MusicGen

CARD = 2048
"""Entries of a codebook."""


@dataclass(frozen=True, slots=True)
class Size:
    """A decoder's size."""

    layers: int
    width: int
    heads: int
    whole: bool = True
    """Whether text encoder and codec are of the published models' sizes, too, or tiny."""


SIZES = {
    "2 layers, tiny": Size(2, 32, 4, whole=False),
    "24 layers, tiny": Size(24, 32, 4, whole=False),
    "small": Size(24, 1024, 16),
    "medium": Size(48, 1536, 24),
    "large": Size(48, 2048, 32),
}
TINY = tuple(name for name, size in SIZES.items() if not size.whole)


def claimed(name: str, device: str) -> bool:
    """Whether targets are for this size on this device."""
    return SIZES[name].whole == (device == "cuda")


def sizes(device: str) -> tuple[str, ...]:
    """What is measured on a device, unless something else is asked for."""
    return tuple(name for name in SIZES if claimed(name, device))


def make(name: str, device: str) -> MusicGen:
    """A model of that size in mono, in bfloat16 on a GPU and in float32 on the processor."""
    size = SIZES[name]
    with quiet(), torch.device(device):
        torch.manual_seed(0)
        network: Any = (
            MusicgenForConditionalGeneration(_published(size))
            if size.whole
            else tiny.make(layers=size.layers, hidden=size.width, heads=size.heads, card=CARD)
        )
        placed(network, Path(name), device, "auto")
    # transformers' generate wants them all in one precision; ours takes them in any.
    for part in (network.text_encoder, network.enc_to_dec_proj):
        part.to(network.decoder.dtype)
    return MusicGen(Checkpoint(network, tiny.tokenizer(), f"musicgen-{name}-random"))


def _published(size: Size) -> Any:
    """T5-base, EnCodec of 32 kHz and 57 million weights, and a decoder."""
    return MusicgenConfig(
        text_encoder=T5Config(
            d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12
        ).to_dict(),
        audio_encoder=EncodecConfig(
            sampling_rate=tiny.SAMPLE_RATE,
            audio_channels=1,
            num_filters=64,
            upsampling_ratios=list(tiny.RATIOS),
            codebook_size=CARD,
            target_bandwidths=[2.2],
            use_causal_conv=False,
            use_conv_shortcut=False,
        ).to_dict(),
        decoder=MusicgenDecoderConfig(
            vocab_size=CARD,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            ffn_dim=4 * size.width,
            num_codebooks=tiny.QUANTIZERS,
            audio_channels=1,
            pad_token_id=CARD,
            bos_token_id=CARD,
        ).to_dict(),
    )


def now(device: torch.device) -> float:
    """Seconds, when all that was begun on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def forget_peak(device: torch.device) -> None:
    """Have `peak` count from here."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


def peak(device: torch.device) -> str:
    """The most of a GPU's memory that was in use, in words; empty for the processor."""
    if device.type != "cuda":
        return ""
    return f"at most {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB of the GPU's memory"


def process_peak() -> str:
    """The most memory that this process had, in words."""
    # Linux says KiB, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return f"at most {most / 2**30:.2f} GiB of main memory, from the beginning to the end"
