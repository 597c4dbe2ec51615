"""MIDI in a running engine: the process that has the ports, and the door of its messages."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from bridge.clocks.sources import Clocks
from bridge.config import ServeOptions
from bridge.midi import wire
from bridge.midi.door import MidiDoor
from bridge.midi.link import Link
from bridge.midi.opening import insists
from engine.conductor import Conductor
from engine.errors import Code, SidemanError
from engine.messages import Reply
from engine.triggers import Action, Trigger
from engine.worker.link import Line

log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds that the ports are given to open before the engine goes on without them."""


class Midi:
    """Wires them together. The conductor's thread, but for what the line's reader brings."""

    def __init__(
        self,
        opening: wire.Open,
        options: ServeOptions,
        conductor: Conductor,
        clocks: Clocks,
        put: Callable[[Callable[[], None]], None],
    ) -> None:
        """``put`` carries a call over to the conductor's thread."""
        self._conductor = conductor
        self._put = put
        self._insists = insists(options)
        self._since = time.monotonic()
        self.opening = True
        """Whether the ports have not been tried yet."""
        self.link = Link(lambda: Line(self._says, wire.from_player, "bridge.midi.process"), opening)
        self.broadcast: Callable[[Reply], None] = lambda reply: None
        triggers = options.config.triggers
        self.door = MidiDoor(
            conductor,
            self.link,
            opening,
            {Trigger.parse(key): Action.parse(action) for key, action in triggers.items()},
            options.config.midi.control_channel,
            clocks.midi,
            lambda reply: self.broadcast(reply),
        )
        clocks.use_midi(self.door.clock)
        conductor.requests.delivery.playing.connect(self.link)

    def _says(self, line: Line[wire.FromPlayer], message: wire.FromPlayer | None) -> None:
        """On the thread that reads the line."""
        self._put(lambda: self._receive(line, message, time.monotonic()))

    def _receive(
        self, line: Line[wire.FromPlayer], message: wire.FromPlayer | None, now: float
    ) -> None:
        if not self.link.receive(line, message, now) or message is None:
            return
        self.door.receive(message, now)
        if isinstance(message, wire.Opened):
            self._opened(message)

    def _opened(self, opened: wire.Opened) -> None:
        self.opening = False
        if opened.api:
            return
        if self._insists:
            self.failure = SidemanError(Code.NOT_ALLOWED, f"no MIDI: {opened.problem}")
        self._conductor.requests.delivery.playing.disconnect()

    failure: SidemanError | None = None
    """Why an engine that was asked for MIDI has none."""

    def tick(self, now: float) -> float:
        """Do what is due; when there is more. Raises what ends an engine that must have MIDI."""
        if self.failure is not None:
            raise self.failure
        if self.opening and now - self._since > PATIENCE:
            log.warning("the MIDI ports take long to open; going on without waiting for them")
            self.opening = False
        self.link.tick(now)
        moment = self.link.next_moment()
        return now + 0.5 if moment is None else moment

    def close(self) -> None:
        """Every note off, lights out, ports closed."""
        self.door.close()
        self.link.close()
