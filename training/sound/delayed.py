"""What a model of sound hears and what it has to say, place by place, as MusicGen was trained.

Each codebook comes one step later than the one before. The decoder hears places 0 to T - 1 of that
sequence and predicts places 1 to T. Where a codebook has not begun yet there is a pad, which is
heard and never asked for. A clip is cut out of music, so nothing is learned of its end: the last
codes of the later codebooks, which would stand behind place T, are not asked for either, as in
audiocraft's training (``keep_only_valid_steps``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.models.musicgen.delay import Delay

IGNORED = -100
"""Stands where nothing is asked for; torch's and transformers' number for it."""


@dataclass(frozen=True, slots=True)
class Delayed:
    """Clips of one batch, B rows as long as the longest, S places."""

    inputs: Tensor
    """``[B, K, S]``, pads behind a shorter clip's end."""

    labels: Tensor
    """``[B, K, S]``, :data:`IGNORED` where there is no code."""

    def to(self, device: torch.device) -> Delayed:
        """The same, there."""
        return Delayed(self.inputs.to(device), self.labels.to(device))


def delayed(clips: Sequence[Tensor], pattern: Delay) -> Delayed:
    """A batch of clips' codes, ``[K, T]`` each, T of any length of at least one."""
    longest = max(codes.shape[1] for codes in clips)
    inputs = torch.full((len(clips), pattern.codebooks, longest), pattern.pad)
    labels = torch.full_like(inputs, IGNORED)
    for row, codes in enumerate(clips):
        frames = codes.shape[1]
        sequence = pattern.sequence(codes[None], pattern.places(frames), frames)[0]
        inputs[row, :, :frames] = sequence[:, :frames]
        labels[row, :, :frames] = sequence[:, 1 : frames + 1]
    return Delayed(inputs, labels.masked_fill(labels == pattern.pad, IGNORED))


def asked(frames: Sequence[int], pattern: Delay) -> Tensor:
    """How many codes of each codebook are asked for in clips so long: float ``[K]``."""
    delays = torch.tensor(pattern.delays)
    lengths = torch.tensor(frames)
    return (lengths[:, None] - delays).clamp_min(0).sum(0).float()
