"""What the engine and the process that plays MIDI say to each other.

Framed and encoded as on a worker's line (:mod:`engine.worker.wire`). Times are seconds of
``time.monotonic``, positions absolute ticks of the song, channels 1 to 16.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.timing import Course, Timed
from engine.triggers import Trigger
from engine.worker.wire import Message

Role = Literal["in", "control", "out", "lights"]
"""Of a port: what is played, what only triggers, what is sent, where a pad's lights are."""


class Port(msgspec.Struct, frozen=True, array_like=True):
    """A port that is wanted: one with ``name`` in it, or one of our own where it is virtual."""

    role: Role
    name: str
    virtual: bool = False


# To the player


class Open(Message, tag="open", frozen=True):
    """Open these ports, and keep them open; said once."""

    api: str
    ports: list[Port]
    thru: bool = False
    """Whether what comes in goes out again at once."""
    echo_seconds: float = 0.1
    """What was sent and comes in again within this time is not the musician; 0 takes it all."""
    late_seconds: float = 0.1
    """A note that is later than this is not played at all."""
    send_clock: bool = False


class Follow(Message, tag="follow", frozen=True):
    """The song's course, from now on."""

    seconds: float
    tick: float
    ticks_per_second: float
    playing: bool

    @classmethod
    def of(cls, course: Course) -> Follow:
        """A course as it travels."""
        return cls(course.seconds, course.tick, course.ticks_per_second, course.playing)

    @property
    def course(self) -> Course:
        """The course that travelled."""
        return Course(self.seconds, self.tick, self.ticks_per_second, self.playing)


class Play(Message, tag="play", frozen=True):
    """Play these notes of a track at their moment."""

    track: int
    notes: list[Timed]
    late_seconds: float | None = None
    """How late they may still be played, where that is not as :class:`Open` says."""


class Cut(Message, tag="cut", frozen=True):
    """What was promised of a track from ``start`` up to ``end`` is not played.

    With ``sounding``, what sounds of it ends at once.
    """

    track: int
    start: int
    end: int | None = None
    sounding: bool = False


class Silence(Message, tag="silence", frozen=True):
    """Every note off, everywhere, at once; nothing that was promised is played."""


class Release(Message, tag="release", frozen=True):
    """End these (channel, pitch), which a process that is gone may have left sounding."""

    keys: list[tuple[int, int]]


class Send(Message, tag="send", frozen=True):
    """Send these bytes at once, as lights for a pad. Nothing with a note that must end."""

    data: bytes


class PanicBy(Message, tag="panic-by", frozen=True):
    """These triggers, when they are pressed, mean `Silence`, at once."""

    triggers: list[Trigger]


# From the player


class Heard(Message, tag="heard", frozen=True):
    """What came in: port, moment, and the bytes of one message each."""

    messages: list[tuple[int, float, bytes]]
    lost: int = 0
    """How many could not be kept, because the engine took none for too long."""


class PortState(Message, tag="port", frozen=True):
    """A port was opened, or is gone: ``problem`` says why."""

    port: int
    """Its place in what was asked for."""
    name: str
    problem: str = ""


class Opened(Message, tag="opened", frozen=True):
    """Every port was tried once, by the MIDI system ``api``; empty where none answers."""

    api: str
    problem: str = ""


class Sent(Message, tag="sent", frozen=True):
    """Notes that went out since the last time, and those that were too late to be played."""

    notes: int
    dropped: int
    worst_ms: float
    """The largest lateness of those that went out."""


ToPlayer = Open | Follow | Play | Cut | Silence | Release | Send | PanicBy
FromPlayer = Heard | PortState | Opened | Sent

_to_player: msgspec.msgpack.Decoder[ToPlayer] = msgspec.msgpack.Decoder(ToPlayer)
_from_player: msgspec.msgpack.Decoder[FromPlayer] = msgspec.msgpack.Decoder(FromPlayer)


def for_player(body: bytes) -> ToPlayer:
    """The message that the engine sent. Raises ``msgspec.DecodeError`` where it is none."""
    return _to_player.decode(body)


def from_player(body: bytes) -> FromPlayer:
    """The message that the player sent. Raises ``msgspec.DecodeError`` where it is none."""
    return _from_player.decode(body)
