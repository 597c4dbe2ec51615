"""What the engine wants to know about time, and the pure decisions that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from engine.music import TICKS_PER_BEAT, MeterMap, Position

SIXTEENTH = TICKS_PER_BEAT // 4


class Clock(Protocol):
    """Seconds to musical position and back. ``now`` is seconds on a monotonic clock."""

    @property
    def playing(self) -> bool:
        """Whether the song runs."""
        ...

    @property
    def bpm(self) -> float:
        """Quarter notes per minute."""
        ...

    @property
    def meters(self) -> MeterMap:
        """Which meter holds where."""
        ...

    @property
    def course(self) -> Course:
        """Where the song was when its course last changed, and how it goes on."""
        ...

    def tick(self, now: float) -> int:
        """The song's position in absolute ticks; stands still while the transport does."""
        ...

    def seconds(self, tick: int) -> float | None:
        """When a position is reached; None while the transport stands still."""
        ...

    def bar_seconds(self, bar: int) -> float:
        """How long a bar lasts at the present tempo."""
        ...


@dataclass(frozen=True, slots=True)
class Course:
    """Where the song is at one moment, and how it goes on from there.

    All of it are plain numbers, so that it can be told to another process.
    """

    seconds: float = 0.0
    """The moment, on a monotonic clock."""
    tick: float = 0.0
    """The song's position at that moment, in absolute ticks."""
    ticks_per_second: float = 1920.0
    playing: bool = False

    def tick_at(self, now: float) -> float:
        """The song's position at ``now``, never before its beginning."""
        if not self.playing:
            return self.tick
        return max(0.0, self.tick + (now - self.seconds) * self.ticks_per_second)

    def seconds_at(self, tick: float) -> float | None:
        """When ``tick`` is reached; None while the song stands still."""
        if not self.playing:
            return None
        return self.seconds + (tick - self.tick) / self.ticks_per_second

    @property
    def bpm(self) -> float:
        """Quarter notes per minute."""
        return self.ticks_per_second * 60.0 / TICKS_PER_BEAT


class Timed(NamedTuple):
    """A note by its place in the song: from ``onset`` to ``end`` in absolute ticks."""

    onset: int
    end: int
    channel: int
    """1 to 16."""
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Target:
    """Where a take begins: a bar, and the ticks in that bar that are already gone."""

    bar: int
    tick: int = 0


def next_bar(meters: MeterMap, tick: int) -> Target:
    """The bar line after a position, also where the position is a bar line itself."""
    return Target(meters.locate(tick).bar + 1)


def next_sixteenth(meters: MeterMap, tick: int) -> Target:
    """The sixteenth after a position; the bar line where the bar has none left."""
    place = meters.locate(tick)
    step = (place.tick // SIXTEENTH + 1) * SIXTEENTH
    if step >= meters.at(place.bar).ticks:
        return Target(place.bar + 1)
    return Target(place.bar, step)


def first_bar_after(clock: Clock, ready: float, bar: int) -> int:
    """The first bar line, ``bar`` or later, that lies no earlier than ``ready`` seconds."""
    if not clock.playing:
        return bar
    bar = max(bar, clock.meters.locate(clock.tick(ready)).bar)
    when = clock.seconds(clock.meters.start(bar))
    return bar if when is None or when >= ready else bar + 1


def entry_after(clock: Clock, ready: float, target: Target) -> Target:
    """The first sixteenth from ``target`` on that lies no earlier than ``ready`` seconds."""
    tick = clock.meters.absolute(Position(target.bar, target.tick))
    while True:
        when = clock.seconds(tick)
        if when is None or when >= ready:
            place = clock.meters.locate(tick)
            return Target(place.bar, place.tick)
        sixteenth = clock.bar_seconds(target.bar) * SIXTEENTH / clock.meters.at(target.bar).ticks
        tick += SIXTEENTH * max(1, int((ready - when) / max(sixteenth, 1e-4)))
