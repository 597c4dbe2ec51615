"""How freely a take goes on from bar to bar where a song goes round and round.

What repeated without a change is expected to repeat, whatever the seed, and a player who does only
that is a loop. So one bar of each four, another one in each take, leaves part of the say to the
network alone; later variations have more such bars, so that there is something to choose from.
"""

from __future__ import annotations

import numpy as np

PHRASE = 4
"""Bars of which at least one is free."""

TIED, FREE = 1.0, 0.6
"""The share of the song's past in a bar of either kind."""

_SEED_BITS = (1 << 64) - 1
_STREAM = 2
"""Apart from the sampler's own random numbers, which have none and 1."""


class Freedom:
    """Which bars of a take are free; drawn from its seed."""

    def __init__(self, seed: int, variation: int) -> None:
        self._random = np.random.PCG64([seed & _SEED_BITS, variation, _STREAM])
        self._free = min(PHRASE, 1 + variation // 2)
        self._coming: list[float] = []
        self.enter_bar()

    def enter_bar(self) -> None:
        """The take goes on to its next bar."""
        if not self._coming:
            lots = sorted((int(self._random.random_raw()), bar) for bar in range(PHRASE))
            free = {bar for _, bar in lots[: self._free]}
            self._coming = [FREE if bar in free else TIED for bar in range(PHRASE)]
        self.share = self._coming.pop()
