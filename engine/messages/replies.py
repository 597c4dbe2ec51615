"""Every reply: what the engine sends, as typed classes, and the one table of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, Self

from engine.errors import Code, SidemanError
from engine.messages.spec import Message, Scalar, arg, bad_arguments, message, shown

State = Literal["loading", "ready", "generating", "degraded"]


@message("/sideman/done")
class Done(Message):
    """A request is finished; or a command was obeyed, with what it answers after its address."""

    subject: int | str = arg("int|str", "the request's number, or the command's address")
    values: tuple[Scalar, ...] = ()

    def args(self) -> tuple[Scalar, ...]:
        """The subject and the values after it."""
        return (self.subject, *self.values)

    @classmethod
    def from_args(cls, address: str, args: Sequence[object]) -> Self:
        """From a subject and any number of values."""
        if not args or not all(isinstance(value, int | float | str) for value in args):
            raise bad_arguments(address, "needs a request's number or an address")
        subject, *values = args
        return cls(subject, tuple(values))  # type: ignore[arg-type]  # checked above


@message("/sideman/pong")
class Pong(Message):
    """The answer to ping."""

    n: int = arg("int", "as it came")
    engine_seconds: float = arg("float", "the engine's clock", unit="seconds")


@message("/sideman/version.reply")
class VersionReply(Message):
    """Which program answers here."""

    name: str = arg("str")
    major: int = arg("int")
    minor: int = arg("int")
    patch: int = arg("int")


@message("/sideman/status.reply")
class StatusReply(Message):
    """What the engine is doing."""

    state: State = arg("str", choices=("loading", "ready", "generating", "degraded"))
    preset: str = arg("str", "the preset in use")
    clients: int = arg("int", "how many are known")
    queued: int = arg("int", "requests that wait")
    generating: int = arg("int", "requests in work")
    late: int = arg("int", "bar lines missed since the start")
    takes: int = arg("int", "takes closed in this session")


@message("/sideman/synced")
class Synced(Message):
    """All that you sent before has taken effect."""

    n: int = arg("int", "as it came")


@message("/sideman/capabilities.reply")
class CapabilitiesReply(Message):
    """One part of the capabilities; the parts joined are one JSON object."""

    part: int = arg("int", "counted from 1")
    parts: int = arg("int", "how many there are")
    json: str = arg("str")


@message("/sideman/value")
class Value(Message):
    """A parameter's value."""

    name: str = arg("str")
    value: Scalar | None = arg("any", "left out where it is the preset's own", default=None)


@message("/sideman/fail")
class Fail(Message):
    """Something was wrong, and nothing has changed."""

    req: int = arg("int", "the request's number, 0 where it has none")
    code: str = arg("str", "one of the codes below")
    text: str = arg("str", "what is wrong and what to do")
    sent_to: str = arg("str", "the address of the message that went wrong")

    @classmethod
    def of(cls, error: SidemanError, req: int = 0, address: str = "") -> Fail:
        """The reply that says what an error says."""
        return cls(req, str(error.code), error.text, address)


@message("/sideman/accepted")
class Accepted(Message):
    """A request was understood; sent within 50 ms."""

    req: int = arg("int")
    eta_ms: float = arg("float", "until its first note is made", unit="milliseconds")
    bar: int = arg("int", "the bar at which it enters")


@message("/sideman/late")
class Late(Message):
    """A bar line was missed."""

    req: int = arg("int")
    ms: float = arg("float", "by how much", unit="milliseconds")
    rule: str = arg("str", "what was done about it")


@message("/sideman/clip/open")
class ClipOpen(Message):
    """A take begins."""

    req: int = arg("int")
    take: int = arg("int")
    track: str = arg("str", "the track's name, or its number as text")
    bar: int = arg("int", "its first bar")
    bars: int = arg("int", "its length")


@message("/sideman/clip/note")
class ClipNote(Message):
    """One note of a take; notes come in the order of their onsets."""

    req: int = arg("int")
    take: int = arg("int")
    bar: int = arg("int")
    beat: float = arg("float", unit="quarter notes")
    duration: float = arg("float", unit="quarter notes")
    pitch: int = arg("int")
    velocity: int = arg("int")
    channel: int = arg("int", "1 to 16")


@message("/sideman/clip/audio")
class ClipAudio(Message):
    """One chunk of a take of sound is in its file and can be played."""

    req: int = arg("int")
    take: int = arg("int")
    bar: int = arg("int", "the bar in which the chunk begins")
    path: str = arg("str", "the take's file; it is as long as the take from the first chunk on, "
                    "silent where nothing was made yet")
    rate: int = arg("int", unit="Hz")
    frames: int = arg("int", "where the chunk ends: so much of the file has been made by now",
                      unit="sample frames")


@message("/sideman/clip/close")
class ClipClose(Message):
    """A take is complete, and in its file."""

    req: int = arg("int")
    take: int = arg("int")
    count: int = arg("int", "how many notes or chunks were sent")


Reply = (
    Done | Pong | VersionReply | StatusReply | Synced | CapabilitiesReply | Value | Fail
    | Accepted | Late | ClipOpen | ClipNote | ClipAudio | ClipClose
)  # fmt: skip

_CLASSES: Final[tuple[Any, ...]] = (
    Done, Pong, VersionReply, StatusReply, Synced, CapabilitiesReply, Value, Fail,
    Accepted, Late, ClipOpen, ClipNote, ClipAudio, ClipClose,
)  # fmt: skip

REPLIES: Final[dict[str, Any]] = {cls.address: cls for cls in _CLASSES}
"""Reply classes by address, in the order of the docs."""


def parse_reply(address: str, args: Sequence[object]) -> Reply:
    """The reply that came from an engine. Raises :class:`SidemanError` where it is none."""
    cls = REPLIES.get(address)
    if cls is None:
        raise SidemanError(Code.UNKNOWN_ADDRESS, f"no reply {shown(address)}")
    reply: Reply = cls.from_args(address, args)
    return reply
