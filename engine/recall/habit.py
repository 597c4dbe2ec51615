"""Bars that a take repeats, and bars in which it goes its own way.

Real bands repeat whole bars; who draws token by token seldom does, since one other token is enough
to be no repetition. So it is drawn bar by bar first, as often as the song itself repeats its bars.
Over a song that goes round and round, at least one bar of four goes its own way, and later
variations have more such bars: a take that is the loop once more is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PHRASE = 4
"""Bars for which it is drawn at once."""

_SEED_BITS = (1 << 64) - 1
_STREAM = 2
"""Apart from the sampler's own random numbers, which have none and 1."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a bar is written: the share of the song's past, and how much sharper than it is what
    comes of it. A sharpness of 3 makes of nine to one 729 to one."""

    share: float
    sharpness: float


REPEATED = Manner(1.0, 3.0)
FREE = Manner(1.0, 1.0)
FREE_OF_LOOP = Manner(0.6, 1.0)


class Habit:
    """The manner of each bar of a take; drawn from its seed."""

    def __init__(self, rate: float, seed: int, variation: int) -> None:
        """``rate`` is the part of the song's last bars that repeat an earlier one."""
        self._random = np.random.PCG64([seed & _SEED_BITS, variation, _STREAM])
        self._rate = rate
        self._most = max(0, PHRASE - 1 - variation // 2)
        self._free = FREE_OF_LOOP if rate == 1 else FREE
        self._coming: list[Manner] = []
        self.enter_bar()

    def enter_bar(self) -> None:
        """The take goes on to its next bar."""
        if not self._coming:
            lots = [int(self._random.random_raw()) for _ in range(2 * PHRASE)]
            repeated = sum((lot >> 11) * 2.0**-53 < self._rate for lot in lots[:PHRASE])
            order = sorted(range(PHRASE), key=lots[PHRASE:].__getitem__)
            chosen = order[: min(repeated, self._most)]
            self._coming = [REPEATED if bar in chosen else self._free for bar in range(PHRASE)]
        self.manner = self._coming.pop()
