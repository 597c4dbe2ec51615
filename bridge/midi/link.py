"""The process that plays MIDI, kept alive, and what it was promised.

One thread only, the conductor's; what the process says comes to :meth:`Link.receive` there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from bridge.midi import wire
from engine.timing import Course, Timed
from engine.triggers import Trigger
from engine.worker.wire import Message

log = logging.getLogger(__name__)

BACK_OFF = (0.0, 0.1, 0.5, 2.0, 10.0)
"""Seconds before the next start, by how many processes ended without a word in a row."""

SAME = 0.0002
"""Seconds: a course that leads this close to where the last one did need not be told."""

PIECE = 64
"""Notes that go over the line at once."""

FORGET = 256
"""Notes that are kept at least before those that have ended are forgotten."""


class _Promise(NamedTuple):
    """A note that a process was told, and another one may have to be told."""

    track: int
    note: Timed
    late_seconds: float | None


class AnyLine(Protocol):
    """What a line to the process is."""

    @property
    def pid(self) -> int:
        """The process's number."""
        ...

    def send(self, message: Message) -> None:
        """Without waiting for it."""

    def close(self, timeout: float = 1.0) -> None:
        """Let it end by itself within ``timeout`` seconds."""


class Link:
    """The player of :mod:`engine.ports`, in a process of its own that is replaced if it dies."""

    def __init__(self, start: Callable[[], AnyLine], opening: wire.Open, now: float = 0.0) -> None:
        self._start = start
        self._opening = opening
        self._line: AnyLine | None = None
        self._course = Course()
        self._told = Course()
        self._promised: list[_Promise] = []
        self._panics = wire.PanicBy([])
        self._failures = 0
        self._restart_at: float | None = None
        self.restarts = 0
        self._begin(now)

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return None if self._line is None else self._line.pid

    # As a player

    def follow(self, course: Course) -> None:
        """The song's course from now on."""
        self._course = course
        if _is_same(course, self._told):
            return
        self._told = course
        self._send(wire.Follow.of(course))

    def play(self, track: int, notes: Sequence[Timed], late_seconds: float | None = None) -> None:
        """Play these notes of a track at their moment, or at most so long afterwards."""
        self._promised += [_Promise(track, note, late_seconds) for note in notes]
        # In pieces: a note that is due does not wait until all of them were taken.
        for first in range(0, len(notes), PIECE):
            self._send(wire.Play(track, list(notes[first : first + PIECE]), late_seconds))

    def cut(self, track: int, start: int, end: int | None, *, sounding: bool) -> None:
        """Take back what was to begin from ``start`` up to ``end``, and what sounds."""
        self._promised = [
            promise
            for promise in self._promised
            if promise.track != track
            or promise.note.onset < start
            or (end is not None and promise.note.onset >= end)
        ]
        self._send(wire.Cut(track, start, end, sounding))

    def silence(self) -> None:
        """Every note off, everywhere, at once."""
        self._promised.clear()
        self._send(wire.Silence())

    def silence_now(self) -> None:
        """The same for the process alone, without waiting for one's turn. On any thread."""
        line = self._line
        if line is not None:
            line.send(wire.Silence())

    def panic_by(self, triggers: Sequence[Trigger]) -> None:
        """These messages mean silence, whatever the engine is busy with."""
        self._panics = wire.PanicBy(list(triggers))
        self._send(self._panics)

    def show(self, data: bytes) -> None:
        """Send bytes to the outputs at once: lights."""
        self._send(wire.Send(data))

    # Life

    def receive(self, line: AnyLine, message: wire.FromPlayer | None, now: float) -> bool:
        """Something came from a process, or with None its end. False where it is an old one's."""
        if line is not self._line:
            return False
        if message is None:
            self._line = None
            self.restarts += 1
            pause = BACK_OFF[min(self._failures, len(BACK_OFF) - 1)]
            self._failures += 1
            self._restart_at = now + pause
            log.warning("the MIDI process is gone; the next one starts in %.1f s", pause)
            self.tick(now)
        elif isinstance(message, wire.Opened) and message.api:
            self._failures = 0
        return True

    def tick(self, now: float) -> None:
        """Start what is to be started, and forget what was played."""
        if self._restart_at is not None and now >= self._restart_at:
            self._begin(now)
        if len(self._promised) > FORGET:
            here = self._course.tick_at(now)
            ahead = [promise for promise in self._promised if promise.note.end >= here]
            if len(ahead) < len(self._promised) // 2:
                self._promised = ahead

    def next_moment(self) -> float | None:
        """When :meth:`tick` has something to do."""
        return self._restart_at

    def _begin(self, now: float) -> None:
        """Start a process. It is told the course, what is still to come, and what has to end."""
        self._restart_at = None
        try:
            self._line = self._start()
        except OSError as problem:
            log.error("the MIDI process cannot be started: %s", problem)
            self._failures += 1
            self._restart_at = now + BACK_OFF[min(self._failures, len(BACK_OFF) - 1)]
            return
        self._line.send(self._opening)
        self._line.send(self._panics)
        self._line.send(wire.Follow.of(self._course))
        here = self._course.tick_at(now)
        begun = {(note.channel, note.pitch) for _, note, _ in self._promised if note.onset <= here}
        if begun:
            self._line.send(wire.Release(sorted(begun)))
        for track, note, late in self._promised:
            if note.onset > here:
                self._line.send(wire.Play(track, [note], late))

    def _send(self, message: wire.ToPlayer) -> None:
        if self._line is not None:
            self._line.send(message)

    def close(self) -> None:
        """End the process: it ends every note first."""
        line, self._line = self._line, None
        self._restart_at = None
        if line is not None:
            line.close()


def _is_same(course: Course, told: Course) -> bool:
    """Whether two courses lead to the same place, now and a second later."""
    if course.playing != told.playing or not course.playing:
        return course == told
    rate = course.ticks_per_second
    return all(
        abs(course.tick_at(moment) - told.tick_at(moment)) <= SAME * rate
        for moment in (course.seconds, course.seconds + 1.0)
    )
