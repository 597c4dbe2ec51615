"""Which notes sound when, and that each of them ends.

Time is a parameter and bytes go to a function, so that all of it can be played by hand. Called by
one thread only, the one that sends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from typing import NamedTuple

from bridge.midi_bytes import ALL_NOTES_OFF, ALL_SOUND_OFF, control, note_off, note_on
from engine.timing import Course, Timed

CHANNELS = range(1, 17)

JUMP = 120.0
"""Ticks: a song that is this far (a 32nd) from where it was expected has been moved."""


class _Event(NamedTuple):
    """Something to send at a tick. At the same tick what ends goes before what begins."""

    tick: float
    begins: bool
    order: int
    track: int
    note: Timed
    late: float
    """Seconds after which it does not begin any more."""


@dataclass(slots=True)
class _Running:
    """A note that sounds, and the ``order`` of the event that began it."""

    order: int
    track: int


class Player:
    """Notes by their place in the song, sent when the song's course reaches them."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        late_seconds: float = 0.1,
        sent: Callable[[float, float], None] = lambda deadline, now: None,
    ) -> None:
        """``send`` takes the bytes of one message. ``late_seconds`` is how late a note may be where
        nothing else was said of it. ``sent`` is told of every note on that was due,
        with its deadline, and raises nothing."""
        self._send = send
        self._late = late_seconds
        self._sent = sent
        self._course = Course()
        self._events: list[_Event] = []
        self._running: dict[tuple[int, int], _Running] = {}
        self._orders = count()
        self.dropped = 0
        """Notes that came too late to be played."""

    @property
    def sounding(self) -> set[tuple[int, int]]:
        """The (channel, pitch) that have had a note on and no note off."""
        return set(self._running)

    @property
    def promised(self) -> int:
        """How many notes are still to begin."""
        return sum(event.begins for event in self._events)

    # What it is told

    def follow(self, course: Course, now: float) -> None:
        """The song's course from ``now`` on.

        Where the song stops or is moved, what sounds ends; where it is moved, what lies behind it
        is not played any more.
        """
        before = self._course
        self._course = course
        stopped = before.playing and not course.playing
        moved = abs(course.tick_at(now) - before.tick_at(now)) > JUMP
        if stopped or moved:
            self._end(self._running)
        if moved:
            here, rate = course.tick_at(now), course.ticks_per_second
            self._keep(lambda event: event.tick >= here - event.late * rate)

    def play(self, track: int, notes: Sequence[Timed], late_seconds: float | None = None) -> None:
        """Play these notes when the song reaches them, or at most so long afterwards."""
        late = self._late if late_seconds is None else late_seconds
        for note in notes:
            event = _Event(note.onset, True, next(self._orders), track, note, late)
            heappush(self._events, event)

    def cut(self, track: int, start: int, end: int | None = None, *, sounding: bool) -> None:
        """Take back what a track was to begin from ``start`` up to ``end``, and what sounds of it
        if ``sounding``."""
        self._keep(
            lambda event: (
                event.track != track
                or not event.begins
                or event.tick < start
                or (end is not None and event.tick >= end)
            )
        )
        if sounding:
            self._end([key for key, running in self._running.items() if running.track == track])

    def silence(self) -> None:
        """End all that sounds, forget all that was promised, and tell every channel to be quiet."""
        self._events.clear()
        self._end(self._running)
        for channel in CHANNELS:
            for controller in (ALL_SOUND_OFF, ALL_NOTES_OFF):
                self._send(control(channel, controller, 0))

    def release(self, keys: Sequence[tuple[int, int]]) -> None:
        """End notes that somebody else began."""
        for channel, pitch in keys:
            self._off(channel, pitch)

    def close(self) -> None:
        """End what sounds; nothing more is to come."""
        self._events.clear()
        self._end(self._running)

    # What it does

    def next_moment(self) -> float | None:
        """When :meth:`play_due` has something to send; None while the song stands still."""
        return self._course.seconds_at(self._events[0].tick) if self._events else None

    def play_due(self, now: float) -> None:
        """Send what the song has reached."""
        while self._events:
            deadline = self._course.seconds_at(self._events[0].tick)
            if deadline is None or deadline > now:
                return
            event = heappop(self._events)
            if not event.begins:
                self._finish(event)
            elif now - deadline > event.late:
                self.dropped += 1
            else:
                self._begin(event)
                self._sent(deadline, now)

    def _begin(self, event: _Event) -> None:
        note = event.note
        key = (note.channel, note.pitch)
        if key in self._running:
            self._off(*key)
        self._running[key] = _Running(event.order, event.track)
        self._send(note_on(note.channel, note.pitch, note.velocity))
        end = max(note.end, note.onset + 1)
        heappush(self._events, event._replace(tick=end, begins=False))

    def _finish(self, event: _Event) -> None:
        """End a note, unless its key was struck again or it was ended already."""
        key = (event.note.channel, event.note.pitch)
        running = self._running.get(key)
        if running is not None and running.order == event.order:
            del self._running[key]
            self._off(*key)

    def _end(self, keys: Sequence[tuple[int, int]] | dict[tuple[int, int], _Running]) -> None:
        for key in list(keys):
            del self._running[key]
            self._off(*key)

    def _off(self, channel: int, pitch: int) -> None:
        self._send(note_off(channel, pitch))

    def _keep(self, wanted: Callable[[_Event], bool]) -> None:
        """Forget events; the ends of notes that sound stay, and do no harm where none does."""
        kept = [event for event in self._events if not event.begins or wanted(event)]
        if len(kept) < len(self._events):
            self._events = kept
            heapify(kept)
