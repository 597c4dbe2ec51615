"""Which bars of a take repeat the song, and which go their own way.

Real bands repeat whole bars; who draws token by token seldom does, since one other token is enough
to be no repetition. So it is drawn bar by bar first, as often as the song itself repeats its bars,
and at the distances at which it does. At least one bar of four goes its own way, and of a shorter
take one bar; later variations have more such bars. The loop once more is no take.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LAST_BARS = 16
"""Bars that tell how a song repeats itself."""

PHRASE = 4
"""Bars for which it is drawn at once."""

LOOSE = 0.6
"""The share of the song's past in a bar that goes its own way where all else goes round. Where
nothing is repeated it is 1, and in between by how much is."""

_SEED_BITS = (1 << 64) - 1
_STREAM = 2
"""Apart from the sampler's own random numbers, which have none and 1."""


class Habit:
    """What becomes of each bar of a take; drawn from its seed."""

    def __init__(self, distances: Sequence[int], bars: int, seed: int, variation: int) -> None:
        """For a take of so many ``bars``. ``distances``: of each of the song's last bars, how many
        bars before it the same was played, 0 where it was not.
        """
        self._random = np.random.PCG64([seed & _SEED_BITS, variation, _STREAM])
        self._distances = tuple(distances) or (0,)
        self._phrase = min(PHRASE, bars)
        self._most = max(0, self._phrase - 1 - variation // 2)
        repeated = sum(distance > 0 for distance in distances) / max(1, len(distances))
        self.share = 1 - (1 - LOOSE) * repeated
        """The share of the song's past in bars that go their own way."""
        self._coming: list[int] = []

    def next(self) -> int:
        """How many bars back the next bar repeats; 0 where it goes its own way."""
        if not self._coming:
            count = self._phrase
            lots = [int(self._random.random_raw()) for _ in range(2 * count)]
            drawn = [self._distances[(lot * len(self._distances)) >> 64] for lot in lots[:count]]
            order = sorted(range(count), key=lots[count:].__getitem__)
            repeating = [bar for bar in order if drawn[bar]]
            for bar in repeating[self._most :]:
                drawn[bar] = 0
            self._coming = drawn
        return self._coming.pop()
