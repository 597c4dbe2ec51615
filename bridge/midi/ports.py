"""MIDI ports that stay open: named ones that come and go, and virtual ones of our own.

python-rtmidi is imported here and in :mod:`bridge.midi_systems` only. Ports are opened, looked
after and closed by one thread, sent to by another; the lock of an output stands between them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from typing import Any, Protocol

from bridge.midi.wire import Port
from bridge.midi_bytes import begins_note, ends_note, note_off, split
from bridge.midi_systems import NAMES, quiet
from engine.errors import Code, SidemanError

CLIENT = "Sideman"

Received = Callable[[int, bytes], None]
"""Takes a port's number and the bytes of one message, on a thread of the MIDI system."""

Changed = Callable[[int, str, str], None]
"""Takes a port's number, the full name that it has in its system, and a problem or nothing."""


class Handle(Protocol):
    """An open port of a MIDI system."""

    def send(self, data: bytes) -> None:
        """Send one message; raises OSError where the port is gone."""

    def close(self) -> None:
        """Give it back."""


class System(Protocol):
    """A MIDI system: what is there, and how it is opened. Tests put a plain object here."""

    name: str

    def names(self, role: str) -> list[str]:
        """The ports that can be opened for a role."""
        ...

    def open(self, port: Port, name: str, received: Callable[[bytes], None]) -> Handle:
        """Open a virtual port, or the one called ``name``; raises OSError."""
        ...


class RtMidi:
    """ALSA, JACK, CoreMIDI or WinMM by python-rtmidi."""

    def __init__(self, name: str) -> None:
        """Raises ``not-allowed`` where the system does not answer."""
        import rtmidi

        constants = {ours: getattr(rtmidi, f"API_{theirs}") for theirs, ours in NAMES.items()}
        self.name = name
        self._api = constants.get(name)
        self._rtmidi = rtmidi
        if self._api not in rtmidi.get_compiled_api():
            raise SidemanError(Code.NOT_ALLOWED, f"this build has no MIDI system {name!r}")
        try:
            with quiet():
                self._in = rtmidi.MidiIn(self._api, f"{CLIENT} looks")
                self._out = rtmidi.MidiOut(self._api, f"{CLIENT} looks")
                self._in.get_ports()
        except (rtmidi.SystemError, rtmidi.RtMidiError) as problem:
            text = " ".join(str(problem).split())
            raise SidemanError(Code.NOT_ALLOWED, f"{name}: {text}") from None

    def names(self, role: str) -> list[str]:
        """The ports that can be opened for a role."""
        with quiet():
            return list((self._out if is_output(role) else self._in).get_ports())

    def open(self, port: Port, name: str, received: Callable[[bytes], None]) -> Handle:
        """Open a virtual port, or the one called ``name``; raises OSError."""
        kind = self._rtmidi.MidiOut if is_output(port.role) else self._rtmidi.MidiIn
        try:
            with quiet():
                handle = kind(self._api, CLIENT)
                if not is_output(port.role):
                    handle.ignore_types(sysex=True, timing=False, active_sense=True)
                    handle.set_callback(lambda event, _: received(bytes(event[0])))
                if port.virtual:
                    handle.open_virtual_port(port.name)
                else:
                    handle.open_port(handle.get_ports().index(name), port.role)
        except (ValueError, self._rtmidi.SystemError, self._rtmidi.RtMidiError) as problem:
            raise OSError(" ".join(str(problem).split())) from None
        return _RtHandle(handle, self._rtmidi)


class _RtHandle:
    def __init__(self, handle: Any, rtmidi: Any) -> None:
        self._handle = handle
        self._rtmidi = rtmidi

    def send(self, data: bytes) -> None:
        try:
            self._handle.send_message(data)
        except (self._rtmidi.SystemError, self._rtmidi.RtMidiError, ValueError) as problem:
            raise OSError(str(problem)) from None

    def close(self) -> None:
        with suppress(Exception):  # a port that is gone can't be closed, and need not be
            self._handle.close_port()
            self._handle.delete()


UNSEEN = 2.0
"""Seconds for which a port may be gone before that is seen."""

MOST_KEYS = 64
"""Keys of a port that are remembered before those are left out that surely ended."""

ORDER = {"linux": ("alsa", "jack"), "darwin": ("coremidi", "jack"), "win32": ("winmm",)}
"""Which MIDI systems ``auto`` tries, the first that answers wins."""


def open_system(api: str, platform: str) -> RtMidi:
    """The MIDI system called ``api``, or with ``auto`` the first that answers.

    Raises ``not-allowed`` with what each of them said.
    """
    try:
        import rtmidi  # noqa: F401 (its import is what may fail)
    except ImportError as problem:
        hint = " (Debian, Ubuntu: apt install libasound2)" if "asound" in str(problem) else ""
        raise SidemanError(Code.NOT_ALLOWED, f"MIDI cannot be used: {problem}{hint}") from None
    problems = []
    for name in ORDER.get(platform, ("alsa", "jack")) if api == "auto" else (api,):
        try:
            return RtMidi(name)
        except SidemanError as problem:
            problems.append(problem.text)
    raise SidemanError(Code.NOT_ALLOWED, "; ".join(problems))


def is_output(role: str) -> bool:
    """Whether what has this role is sent to."""
    return role in ("out", "lights")


def find(wanted: str, names: Sequence[str]) -> str | None:
    """The port that a user means by ``wanted``: its full name, or the first that holds it."""
    if wanted in names:
        return wanted
    folded = wanted.casefold()
    return next((name for name in names if folded in name.casefold()), None)


class Ports:
    """The ports that are wanted, kept open. :meth:`look` is called now and then, by one thread."""

    def __init__(
        self,
        system: System,
        wanted: Sequence[Port],
        received: Received,
        changed: Changed,
        moment: Callable[[], float] = time.monotonic,
    ) -> None:
        self._system = system
        self._wanted = wanted
        self._received = received
        self._changed = changed
        self._moment = moment
        self._names = [""] * len(wanted)
        self._handles: list[Handle | None] = [None] * len(wanted)
        self._told: set[int] = set()
        self._broken: list[tuple[int, Handle]] = []
        self._sounding: list[dict[tuple[int, int], float]] = [{} for _ in wanted]
        """(Channel, pitch) that each output was told to begin, until it surely ended: the
        moment of the note off, or infinity. A port may be gone a while before that is seen."""
        self.before_long: Callable[[], object] = lambda: None
        """Called before a port is opened or closed: waits for when nobody is held up by it."""
        self.lock = threading.RLock()
        """Held while a message is sent, and while it changes which ports are open."""

    def look(self) -> None:
        """Open what is wanted and there, let go of what has vanished."""
        self._bury()
        names: dict[str, list[str]] = {}
        for number, port in enumerate(self._wanted):
            role = "out" if is_output(port.role) else "in"
            if role not in names:
                names[role] = self._system.names(role)
            opposite = "in" if role == "out" else "out"
            if port.virtual and opposite not in names:
                names[opposite] = self._system.names(opposite)
            self._look_after(number, port, names[role], names.get(opposite, []))

    def _look_after(self, number: int, port: Port, there: list[str], ours: list[str]) -> None:
        if self._handles[number] is not None:
            # Our own port is seen from the other side.
            seen = find(port.name, ours) if port.virtual else find(self._names[number], there)
            if seen is None:
                self._forget(number)
                handle = self._take(number)
                self._changed(number, self._names[number], "it has vanished")
                self._close(handle)
            return
        name = port.name if port.virtual else find(port.name, there)
        if name is None:
            self._complain(number, port.name, "there is no such port; see sideman ports")
            return
        self.before_long()
        try:
            opened = self._system.open(port, name, lambda data: self._received(number, data))
            with self.lock:
                # What sounded when it vanished may sound there still.
                for channel, pitch in sorted(self._sounding[number]):
                    opened.send(note_off(channel, pitch))
                self._sounding[number].clear()
                self._handles[number] = opened
        except OSError as problem:
            self._complain(number, name, f"{problem}")
            return
        self._names[number] = name
        self._told.discard(number)
        self._changed(number, name, "")

    def _complain(self, number: int, name: str, problem: str) -> None:
        """Say once that a port can't be opened."""
        if number not in self._told:
            self._told.add(number)
            self._changed(number, name, problem)

    def send(self, data: bytes, role: str = "out") -> bool:
        """Send one message by every port of a role; False where none took it."""
        taken = False
        with self.lock:
            for number, handle in enumerate(self._handles):
                if handle is not None and self._wanted[number].role == role:
                    try:
                        handle.send(data)
                        taken = True
                        self._note(number, data)
                    except OSError:  # closing it may take its time: that is for who looks after it
                        self._forget(number)
                        self._handles[number] = None
                        self._broken.append((number, handle))
        return taken

    def _note(self, number: int, data: bytes) -> None:
        begins = begins_note(data)
        if not begins and not ends_note(data):
            return
        keys, key = self._sounding[number], (split(data[0])[1], data[1])
        if begins:
            keys[key] = inf
        elif key in keys:
            keys[key] = self._moment()
        if len(keys) > MOST_KEYS:
            self._forget(number)

    def _forget(self, number: int) -> None:
        """Leave out what ended while the port was surely there."""
        sure = self._moment() - UNSEEN
        keys = self._sounding[number]
        self._sounding[number] = {key: end for key, end in keys.items() if end > sure}

    def _bury(self) -> None:
        with self.lock:
            broken, self._broken = self._broken, []
        for number, handle in broken:
            self._changed(number, self._names[number], "it takes no messages any more")
            self._close(handle)

    def _take(self, number: int) -> Handle | None:
        """A port that is not used any more."""
        with self.lock:
            handle, self._handles[number] = self._handles[number], None
            self._told.add(number)
        return handle

    def _close(self, handle: Handle | None) -> None:
        if handle is not None:
            self.before_long()
            handle.close()

    def close(self) -> None:
        """Give every port back, at once."""
        self.before_long = lambda: None
        for number in range(len(self._wanted)):
            self._close(self._take(number))
        self._bury()
