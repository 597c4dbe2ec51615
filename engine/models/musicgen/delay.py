"""The delay pattern: each codebook of a frame is predicted some steps after the first one.

A frame is K codes, one for each codebook. In the *sequence* that the transformer sees, codebook k
of frame t stands at place ``1 + t + delay[k]``; place 0, and whatever a delay leaves free at both
ends, holds ``pad``. Stereo has its codebooks by turns, left and right, and both sides of a pair
share a delay.

Source: Copet et al., arXiv 2306.05284, section 2.1 and 2.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

UNKNOWN = -1
"""Stands in a sequence where a code is still to be predicted."""


@dataclass(frozen=True, slots=True)
class Delay:
    """The pattern of one model."""

    codebooks: int
    """K, those of all channels together."""

    channels: int
    pad: int
    """The token where no code is: one past the codebook's last."""

    @property
    def delays(self) -> tuple[int, ...]:
        """Steps that each codebook comes later, ``[K]``: one more for each of a channel."""
        return tuple(k // self.channels for k in range(self.codebooks))

    @property
    def longest(self) -> int:
        """Steps between a frame's first code and its last, D."""
        return (self.codebooks - 1) // self.channels

    def places(self, frames: int) -> int:
        """Places that so many whole frames take, the one before the first included."""
        return frames + self.longest + 1

    def sequence(self, codes: Tensor, places: int, frames: int | None = None) -> Tensor:
        """The sequence ``[B, K, places]`` that begins with ``codes`` ``[B, K, T]``.

        It holds `UNKNOWN` where codes are to be predicted: to its end, or for so many ``frames`` as
        there will be in all, with ``pad`` behind them, as a clip ends that the model learned from.
        Raises ``ValueError`` where ``places`` are too few for the codes or the frames.
        """
        batch, codebooks, known = codes.shape
        if codebooks != self.codebooks:
            raise ValueError(f"{codebooks} codebooks where the model has {self.codebooks}")
        total = known if frames is None else frames
        if total < known or self.places(total) > places:
            raise ValueError(f"{total} frames, {known} of them known, in {places} places")
        sequence = codes.new_full((batch, codebooks, places), UNKNOWN)
        for k, delay in enumerate(self.delays):
            begin = 1 + delay
            sequence[:, k, :begin] = self.pad
            sequence[:, k, begin : begin + known] = codes[:, k]
            if frames is not None:
                sequence[:, k, begin + frames :] = self.pad
        return sequence

    def frame(self, sequence: Tensor, place: int) -> Tensor:
        """The codes ``[B, K]`` of the frame whose last one stands at ``place``: a slanting view."""
        batch, channels = len(sequence), self.channels
        row, book, step = sequence.stride()
        return sequence.as_strided(
            (batch, self.codebooks // channels, channels),
            (row, channels * book + step, book),
            sequence.storage_offset() + step * (place - self.longest),
        ).flatten(1)

    def codes(self, sequence: Tensor, frames: int) -> Tensor:
        """The first ``frames`` whole frames of a sequence, ``[B, K, frames]``."""
        rows = [sequence[:, k, 1 + d : 1 + d + frames] for k, d in enumerate(self.delays)]
        return torch.stack(rows, dim=1)
