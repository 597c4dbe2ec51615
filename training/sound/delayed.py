"""What a MusicGen foresees of some clips, codebooks delayed as it was trained with them.

Shapes: B clips, K codebooks of V codes, T frames, S places of text, D numbers. Importing this
module imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from engine.models.musicgen.delay import Delay


def sequences(codes: Sequence[Tensor], delay: Delay) -> Tensor:
    """The sequences ``[B, K, places]`` of clips ``[K, T]``, which may be of several lengths.

    Each ends with its own clip: behind it there is only the pattern's pad.
    """
    places = delay.places(max(clip.shape[-1] for clip in codes))
    return torch.cat([delay.sequence(clip[None], places, clip.shape[-1]) for clip in codes])


def cross_entropy(
    decoder: Any, delay: Delay, codes: Sequence[Tensor], states: Tensor, mask: Tensor
) -> Tensor:
    """Nats a code, the mean over every clip, frame and codebook; pads are in no part of it.

    ``states`` ``[B, S, D]`` are what the decoder looks at, where ``mask`` ``[B, S]`` is 1.
    """
    sequence = sequences(codes, delay).to(states.device)
    given, asked = sequence[..., :-1], sequence[..., 1:]
    logits = decoder(
        input_ids=given.flatten(0, 1),
        encoder_hidden_states=states.to(decoder.dtype),
        encoder_attention_mask=mask,
        use_cache=False,
    ).logits  # [B * K, places - 1, V]
    return F.cross_entropy(
        logits.float().flatten(0, 1), asked.flatten(), ignore_index=delay.pad
    )
