"""The one table of addresses, and how a message that came in becomes a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.errors import Code, SidemanError
from engine.messages import commands as c
from engine.messages.spec import Arg, nearest, shown

ROOT: Final = "/sideman/"
_TRACK_PATH: Final = "/sideman/track/"
_VERB_ANSWER: Final = "/sideman/accepted req:i eta_ms:f bar:i, then the take"


@dataclass(frozen=True, slots=True)
class Entry:
    """One address: its place in the docs, what it takes, what it answers, and how it is parsed.

    ``build(address, args)`` returns the command or raises :class:`SidemanError`.
    """

    address: str
    section: str
    doc: str
    answer: str
    arguments: tuple[Arg, ...]
    build: Callable[[str, Sequence[object]], c.Command]
    has_keys: bool = False

    @property
    def track_at(self) -> int | None:
        """Which argument is the track, where there is one: the path may name it instead."""
        names = [argument.name for argument in self.arguments]
        return names.index("track") if "track" in names else None


def _plain(section: str, *classes: Any) -> list[Entry]:
    return [
        Entry(
            cls.address,
            section,
            cls.doc,
            cls.answer.replace("{address}", cls.address),
            cls.arguments,
            cls.from_args,
        )
        for cls in classes
    ]


ENTRIES: Final[tuple[Entry, ...]] = (
    *_plain("Being a client", c.Hello, c.Ping, c.Version, c.Status, c.Sync, c.Notify,
            c.Capabilities, c.Get, c.Set, c.Listen),
    *_plain("Telling it what happens", c.Transport, c.TrackNote, c.TrackOn, c.TrackOff,
            c.TrackLoad, c.TrackClear, c.TrackSet),
    *(Entry(ROOT + verb, "Asking for music", doc, _VERB_ANSWER, c.Ask.arguments,
            c.Ask.from_args, has_keys=True) for verb, doc in c.VERBS.items()),
    *_plain("Steering", c.Cancel, c.Undo, c.Redo, c.Keep, c.Discard, c.Panic, c.Preset, c.Adapter,
            c.ModelLoad, c.ModelUnload, c.Learn),
)  # fmt: skip
"""Every address that a client may send to, in the order of the docs."""

TABLE: Final[dict[str, Entry]] = {entry.address: entry for entry in ENTRIES}


def parse(address: str, args: Sequence[object]) -> c.Command:
    """The command that was sent to ``address`` with ``args`` (ints, floats and texts).

    Raises :class:`SidemanError` with ``unknown-address``, ``bad-arguments``, or ``not-allowed``
    where a read-only parameter is set.
    """
    entry = TABLE.get(address)
    if entry is not None:
        return entry.build(address, args)
    if address.startswith(_TRACK_PATH):
        track, _, rest = address.removeprefix(_TRACK_PATH).partition("/")
        entry = TABLE.get(_TRACK_PATH + rest) or TABLE.get(ROOT + rest)
        if track and entry is not None and entry.track_at is not None:
            number: int | str = int(track) if track.isdecimal() and len(track) < 10 else track
            at = entry.track_at
            return entry.build(address, [*args[:at], number, *args[at:]])
    raise SidemanError(
        Code.UNKNOWN_ADDRESS, f"no address {shown(address)}{nearest(address, list(TABLE))}"
    )


def request_number(address: str, args: Sequence[object]) -> int:
    """The ``req`` that a message carries, however wrong the rest of it is; 0 where it has none."""
    name = address.rpartition("/")[2]
    if name not in c.VERBS or not args:
        return 0
    req = args[0]
    if isinstance(req, int | float) and 1 <= req <= c.LARGEST_INT and req == int(req):
        return int(req)
    return 0
