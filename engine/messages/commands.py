"""Every command: what a client may send, as typed classes.

A docstring here is the text in ``docs/osc.md``; ``{address}`` in an answer is the command's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, Self

from engine.errors import SidemanError
from engine.messages.keys import LAST_BAR, MOST_BARS, Keys
from engine.messages.parameters import PARAMETERS
from engine.messages.spec import (
    LAST_TRACK,
    Arg,
    Message,
    Scalar,
    TrackRef,
    arg,
    bad_arguments,
    checked,
    message,
    track,
)

PROTO: Final = 1
"""Version of the wire protocol."""

LARGEST_INT: Final = 2**31 - 1

LONGEST_BAR: Final = 256
"""Quarter notes in the longest bar there is, 64/1."""

LONGEST_NOTE: Final = 4096
"""Quarter notes; a drone of some five hundred bars is the longest note that is believed."""

_METER_DENOMINATORS: Final = (1, 2, 4, 8, 16, 32, 64)


# Being a client


@message("/sideman/hello", '/sideman/done "{address}" client_id:i version:s proto:i')
class Hello(Message):
    """Says who you are, and which port besides the one that you send from wants the replies."""

    proto: int = arg("int", "version of this protocol", low=PROTO, high=PROTO)
    name: str = arg("str", "your program's name", low=1, high=100)
    return_port: int = arg("int", "0 is none", low=0, high=65535, default=0)
    token: str = arg("str", "wanted where the engine is not bound to 127.0.0.1", default="")


@message("/sideman/ping", "/sideman/pong n:i engine_seconds:f")
class Ping(Message):
    """Asks whether the engine is there, and for its clock."""

    n: int = arg("int", "comes back as it is")


@message("/sideman/version", "/sideman/version.reply name:s major:i minor:i patch:i")
class Version(Message):
    """Asks which program answers here."""


@message(
    "/sideman/status",
    "/sideman/status.reply state:s preset:s clients:i queued:i generating:i late:i takes:i",
)
class Status(Message):
    """Asks what the engine is doing."""


@message("/sideman/sync", "/sideman/synced n:i")
class Sync(Message):
    """Is answered once all that you sent before has taken effect."""

    n: int = arg("int", "comes back as it is")


@message("/sideman/notify", '/sideman/done "{address}"')
class Notify(Message):
    """From then on you also get what other clients and MIDI cause."""

    on: bool = arg("bool", "0 ends it")


@message("/sideman/capabilities", "/sideman/capabilities.reply part:i parts:i json:s")
class Capabilities(Message):
    """Asks for all addresses, keys, parameters and codes as JSON, in parts of one datagram each."""


@message("/sideman/get", "/sideman/value name:s value")
class Get(Message):
    """Asks for a parameter's value."""

    name: str = arg("str", "a parameter", choices=tuple(PARAMETERS))


@message("/sideman/set", "/sideman/value name:s value")
class Set(Message):
    """Sets a parameter."""

    name: str = arg("str", "a parameter", choices=tuple(PARAMETERS))
    value: Any = arg("any", "in the parameter's range")

    @classmethod
    def from_args(cls, address: str, args: Sequence[object]) -> Self:
        """As for every message, with the value in the parameter's own type and range."""
        name, value = checked(address, cls.arguments, args)
        try:
            return cls(name, PARAMETERS[name].check(value))
        except SidemanError as error:
            raise SidemanError(error.code, f"{address}: {error.text}") from None


@message("/sideman/listen", "/sideman/value name:s value, at once and then at each change")
class Listen(Message):
    """Asks for a parameter's value now and whenever it changes."""

    name: str = arg("str", "a parameter", choices=tuple(PARAMETERS))
    on: bool = arg("bool", "0 ends it", default=True)


# Telling it what happens


@message("/sideman/transport")
class Transport(Message):
    """Where the song is at the time tag, or now."""

    playing: bool = arg("bool", "whether the song runs")
    bpm: float = arg("float", "tempo", low=10, high=1000, unit="beats per minute")
    bar: int = arg("int", "counted from 0", low=0, high=LAST_BAR)
    beat: float = arg("float", "from the bar line", low=0, high=LONGEST_BAR, unit="quarter notes")
    num: int = arg("int", "upper number of the meter", low=1, high=64)
    den: int = arg("int", "lower number of the meter, a power of two", low=1, high=64)

    @classmethod
    def from_args(cls, address: str, args: Sequence[object]) -> Self:
        """As for every message; the meter has to be one that can be written down."""
        command = cls(*checked(address, cls.arguments, args))
        if command.den not in _METER_DENOMINATORS:
            raise bad_arguments(address, f"den must be 1, 2, 4, 8, 16, 32 or 64, not {command.den}")
        return command


@message("/sideman/track/note")
class TrackNote(Message):
    """One whole note that was played."""

    track: TrackRef = track()
    pitch: int = arg("int", low=0, high=127, unit="MIDI pitch")
    velocity: int = arg("int", low=1, high=127)
    bar: int = arg("int", "of its onset, counted from 0", low=0, high=LAST_BAR)
    beat: float = arg("float", "from the bar line", low=0, high=LONGEST_BAR, unit="quarter notes")
    duration: float = arg("float", above=0, high=LONGEST_NOTE, unit="quarter notes")


@message("/sideman/track/on")
class TrackOn(Message):
    """A note begins, at the time tag, or now. Velocity 0 ends it, as in MIDI."""

    track: TrackRef = track()
    pitch: int = arg("int", low=0, high=127, unit="MIDI pitch")
    velocity: int = arg("int", low=0, high=127)


@message("/sideman/track/off")
class TrackOff(Message):
    """A note ends, at the time tag, or now."""

    track: TrackRef = track()
    pitch: int = arg("int", low=0, high=127, unit="MIDI pitch")


@message("/sideman/track/load")
class TrackLoad(Message):
    """A MIDI or audio file becomes the track's past; it ends at the next bar line."""

    track: TrackRef = track()
    path: str = arg("str", "a file in one of the folders that the config names", low=1)


@message("/sideman/track/clear")
class TrackClear(Message):
    """The track's past is forgotten."""

    track: TrackRef = track()


TRACK_KEYS: Final[dict[str, Arg]] = {
    key.name: key
    for key in (
        Arg("program", "int", "General MIDI program", 0, 127),
        Arg("drums", "bool", "whether it is a drum kit"),
        Arg("channel", "int", "MIDI channel", 1, 16),
        Arg("preset", "str", "preset of the requests on this track", 1, 200),
        Arg("name", "str", "a name to call it by", 1, 100),
        Arg("role", "str", 'what it plays, such as "bass"', 1, 100),
    )
}
"""What can be set of a track."""


@message("/sideman/track/set")
class TrackSet(Message):
    """Sets what is known of a track."""

    track: TrackRef = track()
    key: str = arg("str", choices=tuple(TRACK_KEYS))
    value: Any = arg("any", "in the key's range")

    @classmethod
    def from_args(cls, address: str, args: Sequence[object]) -> Self:
        """As for every message, with the value in the key's own type and range."""
        which, key, value = checked(address, cls.arguments, args)
        try:
            return cls(which, key, TRACK_KEYS[key].check(value))
        except ValueError as error:
            raise bad_arguments(address, f"{key} {error}") from None


# Asking for music

Verb = Literal["continue", "variation", "infill", "accompany", "audio"]

VERBS: Final[dict[Verb, str]] = {
    "continue": "What comes next.",
    "variation": "The last bars again, otherwise.",
    "infill": "What lies between the bars `from` and `to`.",
    "accompany": "Another instrument to what the other tracks play.",
    "audio": "Continues the track's audio.",
}
"""The verbs and what they ask for."""


@dataclass(frozen=True, slots=True)
class Ask(Message):
    """A request for music. ``req`` is the client's own number of it, at least 1."""

    verb: Verb
    req: int
    track: TrackRef
    keys: Keys = field(default_factory=Keys)

    arguments: ClassVar[tuple[Arg, ...]] = (
        Arg("req", "int", "your number of this request", 1, LARGEST_INT),
        Arg("track", "int|str", "number or name", 0, LAST_TRACK),
    )

    @property
    def address(self) -> str:  # type: ignore[override]  # one class, five addresses
        """Where the request was sent."""
        return f"/sideman/{self.verb}"

    def args(self) -> tuple[Scalar, ...]:
        """The OSC arguments, with the keys that were given."""
        return (self.req, self.track, *self.keys.args())

    @classmethod
    def from_args(cls, address: str, args: Sequence[object]) -> Self:
        """As for every message; ``address`` ends in the verb, and keys follow the arguments."""
        verb: Any = address.rpartition("/")[2]
        req, which = checked(address, cls.arguments, args[:2])
        return cls(verb, req, which, Keys.parse(args[2:], address)).sound(address)

    def sound(self, address: str = "request") -> Self:
        """The request itself, once its keys are known to fit its verb."""
        first, end = self.keys.from_, self.keys.to
        if self.verb != "infill":
            if first is not None or end is not None:
                raise bad_arguments(address, "from and to belong to infill")
        elif first is None or end is None:
            raise bad_arguments(address, "infill needs the keys from and to, two bar numbers")
        elif not 1 <= end - first <= MOST_BARS:
            raise bad_arguments(
                address, f"to must lie 1 to {MOST_BARS} bars after from, not {end - first}"
            )
        return self


# Steering


@message("/sideman/cancel", '/sideman/done "{address}" req:i')
class Cancel(Message):
    """Ends a request; what it has made is thrown away."""

    req: int = arg("int", "0 is all of yours", low=0)


@message("/sideman/undo", '/sideman/done "{address}" …')
class Undo(Message):
    """Takes the track's latest take away and brings the former back."""

    track: TrackRef = track()


@message("/sideman/redo", '/sideman/done "{address}" …')
class Redo(Message):
    """Takes the latest undo back."""

    track: TrackRef = track()


@message("/sideman/keep", '/sideman/done "{address}" take:i')
class Keep(Message):
    """Makes a take part of its track's past."""

    take: int = arg("int", low=0)


@message("/sideman/discard", '/sideman/done "{address}" take:i')
class Discard(Message):
    """Throws a take away."""

    take: int = arg("int", low=0)


@message("/sideman/panic", '/sideman/done "{address}"')
class Panic(Message):
    """Every note off, everywhere, at once."""


@message("/sideman/preset", '/sideman/done "{address}" name:s')
class Preset(Message):
    """Chooses the preset of the requests to come."""

    name: str = arg("str", "as `sideman presets` lists it", low=1, high=200)


@message("/sideman/adapter", '/sideman/done "{address}" name:s strength:f')
class Adapter(Message):
    """Attaches an adapter to the model in use, until another is, or none by an empty name."""

    name: str = arg("str", "as `sideman models` lists it; empty for none", low=0, high=200)
    strength: float = arg("float", "0 is none of it, 1 all", low=0, high=2, default=1.0)


@message("/sideman/model/load", '/sideman/done "{address}" name:s')
class ModelLoad(Message):
    """Loads a model, so that a preset that uses it can begin at once."""

    name: str = arg("str", "as `sideman models` lists it", low=1, high=200)


@message("/sideman/model/unload", '/sideman/done "{address}" name:s')
class ModelUnload(Message):
    """Frees a model's memory."""

    name: str = arg("str", "as `sideman models` lists it", low=1, high=200)


@message("/sideman/learn", '/sideman/done "{address}" action:s')
class Learn(Message):
    """The next MIDI message that comes in triggers this action from then on."""

    action: str = arg("str", 'such as "continue" or "preset trio"', low=1, high=200)


Command = (
    Hello | Ping | Version | Status | Sync | Notify | Capabilities | Get | Set | Listen
    | Transport | TrackNote | TrackOn | TrackOff | TrackLoad | TrackClear | TrackSet
    | Ask
    | Cancel | Undo | Redo | Keep | Discard | Panic | Preset | Adapter | ModelLoad | ModelUnload
    | Learn
)  # fmt: skip
"""Any command; a ``match`` over its classes is what a conductor does."""

__all__ = [
    "LARGEST_INT", "PROTO", "TRACK_KEYS", "VERBS", "Adapter", "Ask", "Cancel", "Capabilities",
    "Command", "Discard", "Get", "Hello", "Keep", "Learn", "Listen", "ModelLoad", "ModelUnload",
    "Notify", "Panic", "Ping", "Preset", "Redo", "Set", "Status", "Sync", "TrackClear",
    "TrackLoad", "TrackNote", "TrackOff", "TrackOn", "TrackSet", "Transport", "Undo", "Verb",
    "Version",
]  # fmt: skip
