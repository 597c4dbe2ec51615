"""MIDI clock out: which realtime messages a song's course asks for, and when.

Deadlines only; who sends them is not this file's business. Clocks go on while the song stands, so
that those who follow know the tempo before it begins.
"""

from __future__ import annotations

from math import ceil

from bridge import midi_bytes as midi
from bridge.clocks.midi_clock import CLOCK, SIXTEENTH
from bridge.clocks.pulse import PPQ
from engine.timing import Course

FURTHEST = 0x3FFF
"""Sixteenths; a Song Position Pointer has 14 bits, which is 1,024 bars of 4/4."""
LATE = CLOCK / 2
"""Ticks of the song by which it may have begun already and still be told as beginning."""
STALL = PPQ
"""Clocks; if more than that are overdue, followers are told where the song is instead."""


def song_position(sixteenths: int) -> bytes:
    """A Song Position Pointer; what lies beyond :data:`FURTHEST` is told as that."""
    sixteenths = min(sixteenths, FURTHEST)
    return bytes((midi.SONG_POSITION, sixteenths & 0x7F, sixteenths >> 7))


class ClockOut:
    """Says what followers of our clock are sent. Times are seconds of ``time.monotonic()``.

    A song that begins at 0 is told by Start, elsewhere by Song Position and Continue at the next
    sixteenth, as the specification knows no finer place. Clocks fall on the song's own clock
    positions from the beginning on, so that the one after Start or Continue is exactly in place.
    """

    def __init__(self) -> None:
        self._course: Course | None = None
        self._next = 0
        """The song's clock that is sent next, counted from position 0; while it plays."""
        self._idle_at = 0.0
        """When the next clock is sent while it stands."""
        self._begin: int | None = None
        """The clock with which followers begin to play; None when they do, or stand."""
        self._following = False
        """Whether followers have been told to play."""
        self._last = float("-inf")
        """When the newest clock was to be sent."""

    def follow(self, course: Course, now: float) -> list[bytes]:
        """Take a course; what has to be said at once."""
        before = self._course
        self._course = course
        period = CLOCK / course.ticks_per_second
        here = _place(course, now)
        moved = before is None or abs(here - _place(before, now)) > LATE
        if not course.playing:
            out = self._stop()
            if before is None:
                self._idle_at = now
            else:
                self._idle_at = max(now, self._last + period)
            if moved and (here > 0 or before is not None):
                out.append(song_position(ceil(here / SIXTEENTH)))
            return out
        if before is not None and before.playing and not moved:
            return []
        return self._enter(course, here)

    def due(self, now: float) -> list[bytes]:
        """What has to be sent by ``now`` and was not yet; in order, each a whole message."""
        course = self._course
        if course is None:
            return []
        out: list[bytes] = []
        period = CLOCK / course.ticks_per_second
        if not course.playing:
            if now >= self._idle_at:
                out.append(bytes((midi.CLOCK,)))
                self._last = self._idle_at
                # Nobody counts these, so a stall is not made good.
                self._idle_at += period * max(1, ceil((now - self._idle_at) / period))
            return out
        here = _place(course, now)
        if here - self._next * CLOCK > STALL * CLOCK:
            out += self._enter(course, here)
        while self._next * CLOCK <= here:
            out += self._clock(course)
        return out

    def next_moment(self, now: float) -> float | None:
        """When :meth:`due` has something again; not before ``now``. None before a course came."""
        course = self._course
        if course is None:
            return None
        moment = course.seconds_at(self._next * CLOCK) if course.playing else self._idle_at
        return None if moment is None else max(now, moment)

    def _stop(self) -> list[bytes]:
        begun, self._following, self._begin = self._following, False, None
        return [bytes((midi.STOP,))] if begun else []

    def _enter(self, course: Course, here: float) -> list[bytes]:
        """Have followers begin at the first place that can be told, and clocks go on until then."""
        out = self._stop()
        sixteenth = max(0, ceil((here - LATE) / SIXTEENTH))
        self._begin = sixteenth * SIXTEENTH // CLOCK
        self._next = min(self._begin, ceil(here / CLOCK))
        sent = (self._last - course.seconds) * course.ticks_per_second + course.tick
        if self._next < self._begin and self._next * CLOCK - sent < LATE:
            self._next += 1
        if sixteenth:
            out.append(song_position(sixteenth))
        return out + self._announce()

    def _announce(self) -> list[bytes]:
        """Start or Continue, where the next clock is the one to begin with."""
        if self._begin is None or self._next != self._begin:
            return []
        message = midi.CONTINUE if self._begin else midi.START
        self._begin, self._following = None, True
        return [bytes((message,))]

    def _clock(self, course: Course) -> list[bytes]:
        self._last = course.seconds + (self._next * CLOCK - course.tick) / course.ticks_per_second
        self._next += 1
        return [bytes((midi.CLOCK,)), *self._announce()]


def _place(course: Course, now: float) -> float:
    """The song's place in ticks; before 0 where it has yet to begin."""
    if not course.playing:
        return course.tick
    return course.tick + (now - course.seconds) * course.ticks_per_second
