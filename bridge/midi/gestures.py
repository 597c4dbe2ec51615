"""What a message says of a trigger: which one it is, how far it is moved, and what is a press.

The engine's mapping goes by it, and the process that has the ports, for a panic that can't wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bridge import midi_bytes as midi
from engine.triggers import Kind, Trigger

KINDS = {
    midi.NOTE_OFF: Kind.NOTE,
    midi.NOTE_ON: Kind.NOTE,
    midi.POLYTOUCH: Kind.POLYTOUCH,
    midi.CONTROL: Kind.CC,
    midi.PROGRAM: Kind.PROGRAM,
    midi.PRESSURE: Kind.PRESSURE,
    midi.BEND: Kind.BEND,
}
"""Which kind of trigger a message is of."""


class Throw(NamedTuple):
    """Shares of the way at which something counts as pressed, and below which it is let go."""

    press: float
    let_go: float


THROWS: dict[Kind, Throw] = {
    Kind.CC: Throw(64 / 127, 64 / 127),
    Kind.BEND: Throw(0.75, 0.625),
    Kind.PRESSURE: Throw(0.5, 0.25),
    Kind.POLYTOUCH: Throw(0.5, 0.25),
}
"""Of what has no press of its own. A switch is on from 64, as MIDI says; a bend wheel rests in the
middle; a finger trembles.
"""


@dataclass(frozen=True, slots=True)
class Gesture:
    """What a musician did, as far as one message tells."""

    trigger: Trigger
    share: float
    """How far the controller is on its way, 0 to 1; a note's velocity; 1 for a program change."""
    released: bool = False
    """Whether a key was let go."""

    @property
    def presses(self) -> bool:
        """Whether this is a press for itself: a key that goes down, a program that is chosen, a
        controller beyond the point where it counts as pressed."""
        throw = THROWS.get(self.trigger.kind)
        return not self.released if throw is None else self.share >= throw.press


def read(message: Sequence[int]) -> Gesture | None:
    """The gesture of a channel message; None for any other, and for bytes that are no message."""
    if not midi.of_channel(message):
        return None
    status, channel = midi.split(message[0])
    kind, first, last = KINDS[status], message[1], message[-1]
    match kind:
        case Kind.BEND:
            return Gesture(Trigger(channel, kind), _bend(first | last << 7))
        case Kind.PRESSURE:
            return Gesture(Trigger(channel, kind), first / 127)
        case Kind.PROGRAM:
            return Gesture(Trigger(channel, kind, first), 1.0)
    return Gesture(Trigger(channel, kind, first), last / 127, midi.ends_note(message))


def _bend(value: int) -> float:
    """Of 0 to 16383, with the wheel's middle, 8192, at exactly a half."""
    return value / 16384 if value <= 8192 else 0.5 + (value - 8192) / 16382
