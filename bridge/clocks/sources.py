"""The sources of time, and the song that the leading one drives.

One thread only, the conductor's.
"""

from __future__ import annotations

import logging

from bridge.clocks.leader import Leader, Source
from bridge.clocks.link import LinkClock
from bridge.clocks.midi_clock import MidiClock
from bridge.config import ClockSource
from engine.conductor import Conductor
from engine.errors import Code, SidemanError
from engine.timing import Course

log = logging.getLogger(__name__)

POLL_LINK = 0.02
"""Seconds between two looks at Ableton Link."""


class Clocks:
    """Lets the source that leads drive the conductor's clock, and says when another one does."""

    def __init__(self, choice: ClockSource, conductor: Conductor) -> None:
        """Raises ``not-allowed`` where Link was chosen and is not installed."""
        self._choice = choice
        self._conductor = conductor
        self._leader = Leader(choice, self._changed)
        self._midi: MidiClock | None = None
        # Others on the network hear of it: nobody joins them without having been asked to.
        self._link = LinkClock(leading=True) if choice == "link" else None
        self._poll_at = 0.0
        conductor.tell("clock", self._leader.current)

    def use_midi(self, clock: MidiClock) -> None:
        """MIDI clock comes in and is followed by this one."""
        self._midi = clock

    def obeys_osc(self, now: float, source: str = "osc") -> bool:
        """Whether a transport message of an OSC client counts; raises where it never can."""
        if self._choice == "internal":
            return True  # it is our own clock, and whoever may may start it
        if self._choice not in ("auto", source):
            raise SidemanError(
                Code.NOT_ALLOWED,
                f"the time is led by {self._choice}: serve with --clock auto or osc to lead by OSC",
            )
        return self._leader.spoke("osc", now)

    def midi(self, course: Course, now: float, moved: bool) -> None:
        """The MIDI clock says how the song goes on."""
        if self._leader.spoke("midi", now):
            self._conductor.follow(course, now, moved=moved)

    def tick(self, now: float) -> None:
        """Look whether those that lead are still there."""
        if self._midi is not None and self._midi.check(now) and self._midi.playing:
            log.warning("the MIDI clock has stopped coming; the song goes on at its last tempo")
        if self._link is not None and now >= self._poll_at:
            self._poll_at = now + POLL_LINK
            course = self._link.poll(now)
            if course is not None and self._leader.spoke("link", now):
                self._conductor.follow(course, now)
        self._leader.check(now)

    def next_moment(self) -> float | None:
        """When :meth:`tick` has something to do."""
        return None if self._link is None else self._poll_at

    def _changed(self, source: Source) -> None:
        log.info("the time is led by %s now", source)
        self._conductor.tell("clock", source)

    def close(self) -> None:
        """Leave whatever was joined."""
        if self._link is not None:
            self._link.close()
