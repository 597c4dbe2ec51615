"""Which bars of a take repeat the song, how nearly, and which go their own way.

Real bands repeat whole bars, and more often nearly: one instrument varies its part, the others play
what they played. Who draws token by token seldom does either, since one other token is enough to be
somewhere else. So it is drawn bar by bar first, as often as the song itself repeats its bars, at
the distances at which it does, and with as much kept of each instrument as it keeps. At least one
bar of four is not what it was, and of a shorter take one bar; later variations have more such bars.
The loop once more is no take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from engine.recall.bars import Signs, Struck
from engine.recall.form import Echo

PHRASE = 4
"""Bars for which it is drawn at once."""

VARIED = 0.85
"""What is kept of each bar that would be one too many."""

ROUNDS = 3
"""Bars that the song is taken to have repeated at the length of its round, beside those it did: who
has repeated nothing so far may yet begin. Who has always varied varies these, too."""

ONWARD = 0.7
"""Chance that a bar goes on at the distance of the one before, or in going its own way."""

LOOSE = 0.6
"""The share of the song's past in a bar that goes its own way where all else goes round. Where
nothing is repeated it is 1, and in between by how much is."""

_SEED_BITS = (1 << 64) - 1
_STREAM = 2
"""Apart from the sampler's own random numbers, which have none and 1."""


T = TypeVar("T")


class Habit:
    """What becomes of each bar of a take; drawn from its seed."""

    def __init__(
        self, echoes: Sequence[Echo | None], bars: int, seed: int, variation: int, around: int = 0
    ) -> None:
        """For a take of so many ``bars``. ``echoes``: which bars the song's last ones repeated;
        ``around``: the length of its round in bars, 0 for unknown.
        """
        self._random = np.random.PCG64([seed & _SEED_BITS, variation, _STREAM])
        only_varied = any(echoes) and not any(found and found.exact for found in echoes)
        again = [Echo(around, VARIED if only_varied else 1.0)] * ROUNDS if around else []
        self._echoes = (*again, *echoes) or (None,)
        self._phrase = min(PHRASE, bars)
        self._most = max(0, self._phrase - 1 - variation // 2)
        exact = sum(found is not None and found.exact for found in echoes) / max(1, len(echoes))
        self.share = 1 - (1 - LOOSE) * exact
        """The share of the song's past in bars that go their own way."""
        self._last = self._echoes[-1]
        self._coming: list[Echo | None] = []

    def next(self) -> Echo | None:
        """Which earlier bar the next one repeats; None where it goes its own way."""
        if not self._coming:
            drawn = [self._draw() for _ in range(self._phrase)]
            order = sorted((self._word(), bar) for bar in range(self._phrase))
            exact = [bar for _, bar in order if (found := drawn[bar]) and found.exact]
            for bar in exact[self._most :]:
                drawn[bar] = _varied(drawn[bar])
            self._coming = drawn
        return self._coming.pop(0)

    def _draw(self) -> Echo | None:
        goes_on = self._chance(ONWARD)
        fresh = self._one_of(self._echoes)
        if not goes_on:
            self._last = fresh
        elif self._last is not None:
            # At the same distance, as nearly as another bar at it came.
            distance = self._last.distance
            self._last = self._one_of([e for e in self._echoes if e and e.distance == distance])
        return self._last

    def kept(self, echo: Echo, notes: Sequence[Struck], signs: Signs) -> list[bool]:
        """Which notes of the bar that comes again are to be the same.

        Of an instrument's notes in a beat all are, or none.
        """
        if echo.exact:
            return [True] * len(notes)
        units = [(note.program, signs.beat_of(note.position)) for note in notes]
        shares = {unit: echo.share(unit[0]) for unit in units}
        same = {unit for unit, share in shares.items() if self._chance(share)}
        if shares and len(same) == len(shares):
            # One has to vary: any of those that are kept least.
            least = min(shares.values())
            same.remove(self._one_of([unit for unit in shares if shares[unit] == least]))
        return [unit in same for unit in units]

    def _word(self) -> int:
        return int(self._random.random_raw())

    def _chance(self, share: float) -> bool:
        return self._word() < share * (1 << 64)

    def _one_of(self, things: Sequence[T]) -> T:
        return things[self._word() * len(things) >> 64]


def _varied(echo: Echo | None) -> Echo | None:
    return None if echo is None else Echo(echo.distance, VARIED)
