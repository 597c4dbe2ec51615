"""Which clips a step hears: a function of the seed and of the step's number, and of nothing else.

So a run that goes on has nothing to remember of its data, and several processes agree without a
word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Heard:
    """A part of one clip, as a step hears it."""

    clip: int
    begin: int
    """Its first frame."""

    frames: int
    silent: bool
    """Whether its prompt is withheld."""


class Batches:
    """Clips in an order that is shuffled anew each time all of them have been heard."""

    def __init__(
        self, lengths: Sequence[int], size: int, *, most: int, seed: int, withheld: float
    ) -> None:
        """``lengths`` are the clips' frames, ``size`` is clips of a step, all processes together.

        Of longer clips ``most`` frames are heard. ``withheld`` is the chance that a prompt is.
        """
        self._lengths, self.size, self._most = list(lengths), size, most
        self._seed, self._withheld = seed, withheld
        self._orders: dict[int, list[int]] = {}

    @property
    def steps_of_epoch(self) -> int:
        """Steps in which each clip was heard about once."""
        return max(1, round(len(self._lengths) / self.size))

    def of(self, step: int) -> list[Heard]:
        """The clips of a step, counted from 0.

        The first two steps withhold no prompt: they show whether learning reaches every matrix,
        and those that listen to the prompt get none where it is withheld.
        """
        first = step * self.size
        return [self._heard(number, step) for number in range(first, first + self.size)]

    def _heard(self, number: int, step: int) -> Heard:
        epoch, place = divmod(number, len(self._lengths))
        clip = self._order(epoch)[place]
        length = self._lengths[clip]
        frames = min(length, self._most)
        dice = np.random.default_rng([self._seed, 1, number])
        begin = int(dice.integers(0, length - frames + 1))
        silent = bool(dice.random() < self._withheld) and step >= 2
        return Heard(clip, begin, frames, silent)

    def _order(self, epoch: int) -> list[int]:
        if epoch not in self._orders:
            if len(self._orders) > 2:
                self._orders.clear()
            dice = np.random.default_rng([self._seed, 0, epoch])
            self._orders[epoch] = dice.permutation(len(self._lengths)).tolist()
        return self._orders[epoch]
