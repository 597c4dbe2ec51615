"""A course that never jumps by itself: small errors are made good by going a little faster."""

from __future__ import annotations

from engine.music import TICKS_PER_BEAT
from engine.timing import Course

NEAR = 0.5e-3
"""Seconds that a course may be off before it is changed."""
SPAN = 0.25
"""Beats over which a small error is made good. While a tempo rises, what is known of it lags; a
longer span would let the position lag as well."""
AHEAD = 4.0
"""Beats over which a tempo may not lead it further off than that."""
STEEPEST = 0.25
"""By which part of the tempo a course may go faster or slower to catch up."""


class Glide:
    """Follows a source, and tells of it in few and continuous courses.

    Nobody has to plan anew for a course that changes with every tick: it stays while it is within
    half a millisecond of the source. Then it meets the source soon, never standing still on
    the way, let alone going backwards.
    """

    def __init__(self) -> None:
        self.course = Course()
        """Where the song is, and how it goes on."""
        self._meeting: float | None = None

    def jump(self, now: float, tick: float, ticks_per_second: float) -> None:
        """Play on from ``tick``: the source jumped, or began."""
        self._set(now, tick, ticks_per_second, True)

    def stand(self, now: float, tick: float | None = None) -> None:
        """Stand still at ``tick``, or where the song is."""
        here = self.course.tick_at(now) if tick is None else tick
        self._set(now, here, self.course.ticks_per_second, False)

    def pace(self, now: float, ticks_per_second: float) -> None:
        """Standing still, know the tempo in which it would go on."""
        drift = abs(ticks_per_second - self.course.ticks_per_second) * AHEAD * TICKS_PER_BEAT
        if drift > NEAR * ticks_per_second * ticks_per_second:
            self._set(now, self.course.tick, ticks_per_second, False)

    def aim(self, now: float, tick: float, ticks_per_second: float) -> None:
        """The source is at ``tick`` and plays on at this tempo."""
        course = self.course
        near = NEAR * ticks_per_second
        beat = TICKS_PER_BEAT / ticks_per_second
        here = course.tick_at(now)
        off = tick - here
        faster = ticks_per_second - course.ticks_per_second
        if self._meeting is None:
            if abs(off) <= near and abs(faster) * AHEAD * beat <= near:
                return
        elif now < self._meeting and abs(off + faster * (self._meeting - now)) <= near:
            return
        if abs(off) <= near / 2:
            self._set(now, here, ticks_per_second, True)
            return
        span = max(SPAN * beat, abs(off) / (STEEPEST * ticks_per_second))
        self._set(now, here, ticks_per_second + off / span, True)
        self._meeting = now + span

    def _set(self, now: float, tick: float, ticks_per_second: float, playing: bool) -> None:
        self.course = Course(now, tick, ticks_per_second, playing)
        self._meeting = None
