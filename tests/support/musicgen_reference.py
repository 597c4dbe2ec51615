"""transformers' own ``generate`` as a reference: its codes, before they are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.models.musicgen.model import MusicGen


class _DecodingError(Exception):
    """Ends ``generate`` where it would begin to decode."""


def generate(
    model: MusicGen,
    prompts: Sequence[str],
    frames: int,
    *,
    guidance: float,
    audio: Tensor | None = None,
) -> Tensor:
    """Greedy codes ``[B, K, frames]``, those of ``audio`` ``[B, channels, samples]`` included."""
    told = [model.text.tokens(prompt) for prompt in prompts]
    length = max(map(len, told))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in told])
    more = {} if audio is None else {"input_values": audio}
    return codes_of(
        model,
        input_ids=ids,
        attention_mask=(ids != 0).long(),
        do_sample=False,
        guidance_scale=guidance,
        max_length=model.delay.places(frames),
        **more,
    )


def codes_of(model: MusicGen, **arguments: Any) -> Tensor:
    """What ``generate`` hands to the codec, ``[B, K, T]``, codebooks of both sides by turns."""
    codec, taken = model.codec, []

    def take(codes: Tensor, **_: Any) -> Any:
        taken.append(codes[0])
        if len(taken) == model.channels:
            raise _DecodingError
        return codec_output

    codec_output = type("Output", (), {"audio_values": torch.zeros(0)})()
    decode, codec.decode = codec.decode, take
    try:
        model.network.generate(**arguments)
    except _DecodingError:
        pass
    finally:
        codec.decode = decode
    return torch.stack(taken, dim=2).flatten(1, 2)


def encode(model: MusicGen, audio: Tensor) -> Tensor:
    """Codes ``[B, K, T]`` of audio ``[B, channels, samples]``, each side by itself."""
    with torch.no_grad():
        sides = [
            model.codec.encode(audio[:, side : side + 1]).audio_codes[0]
            for side in range(model.channels)
        ]
    return torch.stack(sides, dim=2).flatten(1, 2)
