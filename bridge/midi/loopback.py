"""Plays notes through the MIDI system to ourselves and measures when they arrive.

For ``sideman doctor`` and ``bench``: the same process that plays in earnest sends them, so that
what is measured is what a synthesiser would get.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from threading import Event

from bridge.midi import wire
from bridge.midi.ports import find, open_system
from bridge.midi_bytes import begins_note
from engine.errors import Code, SidemanError
from engine.timing import Course, Timed
from engine.worker.link import Line

PORT = "Sideman Doctor"
PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How notes arrived by the MIDI system ``api``; ``lost`` did not."""

    api: str
    late_ms: list[float]
    """Milliseconds after their moment, in ascending order; never empty."""
    lost: int

    def percentile(self, share: float) -> float:
        """What so large a share of the notes, 0 to 1, did not exceed; milliseconds."""
        return self.late_ms[int(share * (len(self.late_ms) - 1))]


def measure(api: str = "auto", notes: int = 100, interval: float = 0.02) -> Arrivals:
    """Send ``notes`` notes, ``interval`` seconds apart, and hear them.

    Raises ``not-allowed`` where no MIDI system answers, or it has no virtual ports.
    """
    system = open_system(api, sys.platform)
    arrived: dict[int, float] = {}
    opened, finished = Event(), Event()
    problem: list[str] = []

    def says(_: Line[wire.FromPlayer], message: wire.FromPlayer | None) -> None:
        match message:
            case wire.PortState(_, _, text) if text:
                problem.append(text)
            case wire.Opened(_, text) if text:
                problem.append(text)
        if message is None or isinstance(message, wire.Opened):
            opened.set()

    def hears(data: bytes) -> None:
        now = time.monotonic()
        if begins_note(data):
            arrived[len(arrived)] = now
            if len(arrived) == notes:
                finished.set()

    line = Line(says, wire.from_player, "bridge.midi.process")
    try:
        line.send(wire.Open(system.name, [wire.Port("out", PORT, virtual=True)]))
        if not opened.wait(PATIENCE) or problem:
            raise SidemanError(Code.NOT_ALLOWED, "; ".join(problem) or "the ports do not open")
        name = find(PORT, system.names("in"))
        if name is None:
            raise SidemanError(Code.NOT_ALLOWED, f"{system.name} does not show our own port")
        ear = system.open(wire.Port("in", name), name, hears)
        try:
            time.sleep(0.1)  # a connection that was just made may not carry yet
            begin = time.monotonic() + 0.1
            line.send(wire.Follow.of(Course(begin, 0.0, 1.0 / interval, True)))
            # One tick of this song is one note; a pitch of its own for each keeps them apart.
            line.send(wire.Play(0, [Timed(n, n + 1, 1, n % 128, 64) for n in range(notes)]))
            finished.wait(notes * interval + PATIENCE)
        finally:
            ear.close()
    finally:
        line.close()
    late = sorted(1000.0 * (at - begin - n * interval) for n, at in arrived.items())
    if not late:
        raise SidemanError(Code.NOT_ALLOWED, f"{system.name} carries no notes")
    return Arrivals(system.name, late, notes - len(late))
