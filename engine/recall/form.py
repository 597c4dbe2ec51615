"""How a song repeats itself: which bars were which earlier ones again, and how nearly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.recall.bars import Picture, likeness

REACH = 32
"""Bars back at which an earlier one is looked for."""

ALIKE = 0.5
"""From this likeness on a bar is the earlier one, varied."""

LAST_BARS = 16
"""Bars that tell how a song repeats itself."""

ROUND, SHORTEST_ROUND = 4, 8
"""The last bars that tell how long the song's round is, and the fewest bars of one."""


@dataclass(frozen=True, slots=True)
class Echo:
    """A bar that is an earlier one again."""

    distance: int
    """How many bars before."""
    kept: float = 1.0
    """Share of the earlier bar's notes that came again; 1 where it came again as it was."""
    by_program: Mapping[int, float] | None = None
    """The same for each program."""

    @property
    def exact(self) -> bool:
        """Whether all came again, and nothing else."""
        return self.kept == 1.0

    def share(self, program: int) -> float:
        """What of a program's notes came again."""
        return self.kept if self.by_program is None else self.by_program.get(program, self.kept)


def echo(bars: Sequence[Picture], bar: int) -> Echo | None:
    """Which of the bars before it a bar is most like, the nearest of equals; None for none."""
    present, best, distance = bars[bar], 0.0, 0
    for back in range(1, min(REACH, bar) + 1):
        found = likeness(present, bars[bar - back])
        if found > best:
            best, distance = found, back
    if best < ALIKE:
        return None
    if best == 1.0:
        return Echo(distance)
    earlier = bars[bar - distance]
    notes = Counter(place[1] for place in earlier)
    again = Counter(place[1] for place in earlier & present)
    by_program = {program: again[program] / count for program, count in notes.items()}
    # Never 1: notes may have come in beside those that came again.
    return Echo(distance, 2 * best / (1 + best), by_program)


def round_of(bars: Sequence[Picture]) -> int:
    """How many bars ago the song was most like what it was just now; 0 where it is too short."""
    last = range(len(bars) - ROUND, len(bars))

    def alike(back: int) -> float:
        return sum(likeness(bars[bar], bars[bar - back]) for bar in last)

    rounds = range(SHORTEST_ROUND, min(REACH, len(bars) - ROUND) + 1)
    return max(rounds, key=alike, default=0)


class Form:
    """The form of a song as far as it was heard, for the instruments of a take."""

    def __init__(self, programs: frozenset[int]) -> None:
        """``programs`` are the instruments whose notes count."""
        self._programs = programs
        self._heard: list[Picture] = []
        self._bars: list[Picture] = []
        """What of the bars that were heard counts."""
        self._known: dict[int, Echo | None] = {}

    def follow(self, bars: Sequence[Picture]) -> None:
        """Know just these bars. What stays the same is not looked at again."""
        same = 0
        for mine, theirs in zip(self._heard, bars, strict=False):
            if mine is not theirs and mine != theirs:
                break
            same += 1
        self._heard[same:] = bars[same:]
        self._bars[same:] = map(self._counting, bars[same:])
        self._known = {bar: found for bar, found in self._known.items() if bar < same}

    def _counting(self, bar: Picture) -> Picture:
        if all(place[1] in self._programs for place in bar):
            return bar
        return frozenset(place for place in bar if place[1] in self._programs)

    def echoes(self) -> list[Echo | None]:
        """Of each of the last bars but the song's first; None for what was new."""
        return [self._echo(b) for b in range(max(1, len(self._bars) - LAST_BARS), len(self._bars))]

    def round(self) -> int:
        """See `round_of`."""
        return round_of(self._bars)

    def _echo(self, bar: int) -> Echo | None:
        if bar not in self._known:
            self._known[bar] = echo(self._bars, bar)
        return self._known[bar]
