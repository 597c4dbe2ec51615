"""Value types of music: meters, positions and notes.

Time inside the engine is counted in ticks, ``TICKS_PER_BEAT`` to the quarter note. Integers keep
bar lines exact: every meter with a power-of-two denominator up to 64 has a whole number of ticks in
its bar, and triplets, quintuplets and 128th notes fall on whole ticks as well. Seconds appear only
in the clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

TICKS_PER_BEAT = 960
"""Ticks in one quarter note, which is what a *beat* means wherever Sideman says beat."""

DRUMS = -1
"""The program number of a drum kit. General MIDI programs are 0 to 127."""

DRUM_CHANNEL = 10
"""Channels are counted from 1 to 16, as musicians and controllers do."""


def ticks(beats: float | Fraction | int) -> int:
    """The nearest whole tick to a length in quarter notes."""
    return round(beats * TICKS_PER_BEAT)


@dataclass(frozen=True, slots=True, order=True)
class Meter:
    """A time signature, such as 4/4 or 6/8."""

    num: int = 4
    den: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.num <= 64:
            raise ValueError(f"a meter's upper number is 1 to 64, not {self.num}")
        if self.den not in (1, 2, 4, 8, 16, 32, 64):
            raise ValueError(f"a meter's lower number is a power of two up to 64, not {self.den}")

    @classmethod
    def parse(cls, text: str) -> Meter:
        """From such as ``7/8``; raises ValueError that says what is expected."""
        num, slash, den = text.strip().partition("/")
        if not (slash and num.isascii() and num.isdecimal() and den.isascii() and den.isdecimal()):
            raise ValueError(f"is two numbers such as '7/8', not {text!r}")
        return cls(int(num), int(den))

    @property
    def ticks(self) -> int:
        """Length of one bar in ticks; exact."""
        return self.num * 4 * TICKS_PER_BEAT // self.den

    @property
    def beats(self) -> Fraction:
        """Length of one bar in quarter notes."""
        return Fraction(self.num * 4, self.den)

    def __str__(self) -> str:
        return f"{self.num}/{self.den}"


COMMON_TIME = Meter(4, 4)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the song: a bar, counted from 0, and ticks from the start of that bar."""

    bar: int
    tick: int = 0

    @classmethod
    def of(cls, bar: int, beat: float | Fraction) -> Position:
        """From the pair that the interface uses: bar, and quarter notes from its start."""
        return cls(bar, ticks(beat))

    @property
    def beat(self) -> float:
        """Quarter notes from the start of the bar."""
        return self.tick / TICKS_PER_BEAT


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One note: onset (bar and tick in the bar), pitch, length in ticks, velocity and program.

    The field order is the sounding order: notes sort by onset, then program, then pitch.
    """

    bar: int
    tick: int
    program: int
    pitch: int
    duration: int
    velocity: int

    @property
    def onset(self) -> Position:
        """Where it begins."""
        return Position(self.bar, self.tick)

    @property
    def beat(self) -> float:
        """Onset in quarter notes from the start of the bar."""
        return self.tick / TICKS_PER_BEAT

    @property
    def duration_beats(self) -> float:
        """Length in quarter notes."""
        return self.duration / TICKS_PER_BEAT


class MeterMap:
    """Which meter holds in which bar, and where bar lines lie in absolute ticks from bar 0.

    Immutable: :meth:`with_change` returns a new map, so that a map can be shared between threads.
    """

    __slots__ = ("_bars", "_meters", "_starts")

    def __init__(self, changes: Iterable[tuple[int, Meter]] = ()) -> None:
        """``changes`` are (bar, meter) pairs; 4/4 holds until the first of them."""
        ordered = {0: COMMON_TIME}
        ordered.update(sorted(changes))
        if min(ordered) < 0:
            raise ValueError("bars are counted from 0")
        self._bars: list[int] = []
        self._meters: list[Meter] = []
        self._starts: list[int] = []
        for bar in sorted(ordered):
            meter = ordered[bar]
            if self._meters and self._meters[-1] == meter:
                continue
            start = 0
            if self._bars:
                start = self._starts[-1] + (bar - self._bars[-1]) * self._meters[-1].ticks
            self._bars.append(bar)
            self._meters.append(meter)
            self._starts.append(start)

    @property
    def changes(self) -> tuple[tuple[int, Meter], ...]:
        """(bar, meter) pairs in order, the first for bar 0."""
        return tuple(zip(self._bars, self._meters, strict=True))

    def with_change(self, bar: int, meter: Meter) -> MeterMap:
        """The same map with ``meter`` from ``bar`` on, until the next change that it holds."""
        if self.at(bar) == meter:
            return self
        return MeterMap([*((b, m) for b, m in self.changes if b != bar), (bar, meter)])

    def at(self, bar: int) -> Meter:
        """The meter of a bar."""
        return self._meters[max(0, bisect_right(self._bars, bar) - 1)]

    def start(self, bar: int) -> int:
        """Absolute ticks of a bar line."""
        i = max(0, bisect_right(self._bars, bar) - 1)
        return self._starts[i] + (bar - self._bars[i]) * self._meters[i].ticks

    def absolute(self, position: Position) -> int:
        """Absolute ticks of a position (which may lie beyond its bar's end)."""
        return self.start(position.bar) + position.tick

    def locate(self, absolute: int) -> Position:
        """The position of an absolute tick, inside its bar."""
        i = max(0, bisect_right(self._starts, absolute) - 1)
        bars, tick = divmod(absolute - self._starts[i], self._meters[i].ticks)
        return Position(self._bars[i] + bars, tick)

    def normal(self, position: Position) -> Position:
        """The same moment, with the tick inside its bar."""
        if 0 <= position.tick < self.at(position.bar).ticks:
            return position
        return self.locate(self.absolute(position))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MeterMap) and self.changes == other.changes

    def __hash__(self) -> int:
        return hash(self.changes)
