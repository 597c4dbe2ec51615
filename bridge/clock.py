"""Seconds to musical position and back, for whichever source leads the song.

One class for live and offline use: time is always a parameter, and nothing here asks the machine
what time it is. Called by the conductor's thread only.
"""

from __future__ import annotations

from fractions import Fraction

from engine.music import TICKS_PER_BEAT, Meter, MeterMap, Position
from engine.timing import Course


class SongClock:
    """A line through the last place that the leading source named, at the tempo that it gave.

    Positions are counted from that place with exact fractions, so a bar line is never the sum of
    rounded lengths, however long the song plays.
    """

    def __init__(self, bpm: float = 120.0, meters: MeterMap | None = None) -> None:
        self._meters = meters or MeterMap()
        self._set_bpm(bpm)
        self._playing = False
        self._anchor_seconds = Fraction(0)
        self._anchor_tick = Fraction(0)

    @property
    def playing(self) -> bool:
        """Whether the song runs."""
        return self._playing

    @property
    def bpm(self) -> float:
        """Quarter notes per minute."""
        return self._bpm

    @property
    def meters(self) -> MeterMap:
        """Which meter holds where, as far as the source has said."""
        return self._meters

    def _set_bpm(self, bpm: float) -> None:
        self._bpm = bpm
        # Kept, since fractions are slow and every message asks where the song is.
        self._ticks_per_second = Fraction(bpm) * TICKS_PER_BEAT / 60

    def locate(
        self, now: float, *, playing: bool, bpm: float, position: Position, meter: Meter
    ) -> None:
        """The source says where the song is at ``now``, how fast it goes, and in which meter."""
        self._meters = self._meters.with_change(position.bar, meter)
        if bpm != self._bpm:
            self._set_bpm(bpm)
        self._playing = playing
        self._anchor_seconds = Fraction(now)
        self._anchor_tick = Fraction(self._meters.absolute(position))

    def set_tempo(self, now: float, bpm: float) -> None:
        """Go on from where the song is, at another tempo."""
        self._anchor_tick = self._exact(now)
        self._anchor_seconds = Fraction(now)
        self._set_bpm(bpm)

    def set_playing(self, now: float, playing: bool) -> None:
        """Start or stop where the song is."""
        self._anchor_tick = self._exact(now)
        self._anchor_seconds = Fraction(now)
        self._playing = playing

    @property
    def course(self) -> Course:
        """Where the song was when its course last changed, and how it goes on."""
        return Course(
            float(self._anchor_seconds),
            float(self._anchor_tick),
            float(self._ticks_per_second),
            self._playing,
        )

    def follow(self, course: Course) -> None:
        """Take a course from whoever leads the song. The meters stay."""
        self._anchor_seconds = Fraction(course.seconds)
        self._anchor_tick = max(Fraction(0), Fraction(course.tick))
        if course.ticks_per_second != float(self._ticks_per_second):
            self._bpm = course.bpm
            self._ticks_per_second = Fraction(course.ticks_per_second)
        self._playing = course.playing

    def set_meters(self, meters: MeterMap) -> None:
        """Take up the meters of a session that goes on; what the source says comes on top."""
        self._meters = meters

    def _exact(self, now: float) -> Fraction:
        if not self._playing:
            return self._anchor_tick
        gone = Fraction(now) - self._anchor_seconds
        return max(Fraction(0), self._anchor_tick + gone * self._ticks_per_second)

    def tick(self, now: float) -> int:
        """Absolute ticks at ``now``; the last whole tick that has been reached."""
        exact = self._exact(now)
        return exact.numerator // exact.denominator

    def position(self, now: float) -> Position:
        """Bar and tick at ``now``."""
        return self._meters.locate(self.tick(now))

    def seconds(self, tick: int) -> float | None:
        """When ``tick`` is reached at the present tempo; None while the transport stands still."""
        if not self._playing:
            return None
        return float(self._anchor_seconds + (tick - self._anchor_tick) / self._ticks_per_second)

    def bar_seconds(self, bar: int) -> float:
        """How long a bar lasts at the present tempo."""
        return self._meters.at(bar).ticks * 60 / (self._bpm * TICKS_PER_BEAT)
