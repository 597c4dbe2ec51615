"""The sources of time, and the song that the leading one drives.

One thread only, the conductor's.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from bridge.clocks.leader import Leader, Source
from bridge.clocks.link import LinkClock
from bridge.clocks.midi_clock import MidiClock
from bridge.config import ClockSource
from engine.conductor import Conductor
from engine.errors import Code, SidemanError
from engine.messages import Command
from engine.messages.commands import Set, Transport
from engine.music import COMMON_TIME, Meter, Position
from engine.timing import Course

log = logging.getLogger(__name__)

POLL_LINK = 0.02
"""Seconds between two looks at Ableton Link."""


class Clocks:
    """Lets the source that leads drive the conductor's clock, and says when another one does."""

    def __init__(
        self, choice: ClockSource, conductor: Conductor, *, hears_link: bool = False
    ) -> None:
        """``hears_link`` lets ``auto`` follow Link too. Raises where Link is wanted and not
        installed."""
        self._choice = choice
        self._conductor = conductor
        self._leader = Leader(choice, self._changed)
        self._midi: MidiClock | None = None
        # Others on the network hear of it: nobody joins them without having been asked to.
        wants_link = choice == "link" or (choice == "auto" and hears_link)
        self._link = LinkClock(leading=choice == "link") if wants_link else None
        self._poll_at = 0.0
        self._meter = (0, COMMON_TIME)
        """The meter that Link was told, and the bar from which on."""
        conductor.settings.tell("clock", self._leader.current)

    def use_midi(self, clock: MidiClock) -> None:
        """MIDI clock comes in and is followed by this one."""
        self._midi = clock

    def takes(self, command: Command, now: float, source: Source = "osc") -> bool:
        """Whether a command about time is for the sources, and not for the conductor.

        ``source`` is what the client speaks as. Raises ``not-allowed`` for a command that can't
        count while another source was chosen.
        """
        match command:
            case Transport() if self._link is not None and self._leader.current == "link":
                self._lead(self._link, command, now)
                return True
            case Set("tempo", bpm) if self._link is not None and self._leader.current == "link":
                self._link.set_tempo(bpm)
                return False  # the conductor answers; Link then says the same
            case Transport() if self._choice not in ("auto", "internal", source):
                raise SidemanError(
                    Code.NOT_ALLOWED,
                    f"the time is led by {self._choice}: serve with --clock auto or {source} to"
                    f" lead by {source}",
                )
            case Transport() if self._choice != "internal":
                return not self._leader.spoke(source, now)
        return False

    def _lead(self, link: LinkClock, asked: Transport, now: float) -> None:
        """Lead Link's session: its tempo, its start, and our place in the song."""
        clock = self._conductor.clock
        meter = Meter(asked.num, asked.den)
        clock.set_meters(clock.meters.with_change(asked.bar, meter))
        self._meter = (asked.bar, meter)
        place = clock.meters.absolute(Position.of(asked.bar, asked.beat))
        link.set_tempo(asked.bpm)
        if place != clock.tick(now) or not asked.playing:
            link.locate(now, place, clock.meters.start(asked.bar), float(meter.beats))
        link.set_playing(now, asked.playing)

    def midi(self, course: Course, now: float, moved: bool) -> None:
        """The MIDI clock says how the song goes on."""
        if self._leader.spoke("midi", now):
            self._conductor.follow(self._in_time(course), now, moved=moved)

    def _in_time(self, course: Course) -> Course:
        """The song as it is where the clock comes from: what is heard was sent a while ago."""
        late_ms = self._conductor.settings.value("clock_latency")
        return replace(course, seconds=course.seconds - late_ms / 1000.0)

    def tick(self, now: float) -> None:
        """Look whether those that lead are still there."""
        if self._midi is not None and self._midi.check(now) and self._midi.playing:
            log.warning("the MIDI clock has stopped coming; the song goes on at its last tempo")
        if self._link is not None and now >= self._poll_at:
            self._poll_at = now + POLL_LINK
            self._follow(self._link, now)
        self._leader.check(now)

    def _follow(self, link: LinkClock, now: float) -> None:
        """Go where Link's session goes, in bars as long as the song's."""
        meters = self._conductor.clock.meters
        bar = meters.locate(self._conductor.clock.tick(now)).bar
        meter = meters.at(bar)
        if self._meter[1] != meter:
            self._meter = (bar, meter)
            link.set_meter(now, meters.start(bar), float(meter.beats))
        jumps = link.relocations
        course = link.poll(now)
        if course is None:
            self._leader.gone("link", now)
        elif self._leader.spoke("link", now):
            self._conductor.follow(course, now, moved=link.relocations != jumps)

    def next_moment(self) -> float | None:
        """When :meth:`tick` has something to do."""
        return None if self._link is None else self._poll_at

    def _changed(self, source: Source) -> None:
        log.info("the time is led by %s now", source)
        self._conductor.settings.tell("clock", source)

    def close(self) -> None:
        """Leave whatever was joined."""
        if self._link is not None:
            self._link.close()
