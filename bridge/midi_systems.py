"""Which MIDI systems python-rtmidi was built with, which of them answer, and their ports.

python-rtmidi is imported only here and where ports are opened: its import fails on a Linux machine
without ``libasound.so.2``, and an engine that uses OSC alone must not mind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from engine.errors import Code, SidemanError

NAMES = {
    "LINUX_ALSA": "alsa",
    "UNIX_JACK": "jack",
    "MACOSX_CORE": "coremidi",
    "WINDOWS_MM": "winmm",
}
"""RtMidi's names for its systems, and those that ``--midi-api`` takes."""


@dataclass(frozen=True, slots=True)
class System:
    """One MIDI system; ``problem`` says why its ports cannot be listed."""

    name: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "api": self.name,
            "available": not self.problem,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "problem": self.problem,
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Lines of a table: system, direction, port."""
        if self.problem:
            return [(self.name, "-", f"not available: {self.problem}")]
        ports = [("in", port) for port in self.inputs] + [("out", port) for port in self.outputs]
        return [(self.name, way, port) for way, port in ports] or [(self.name, "-", "no ports")]


def systems() -> list[System]:
    """Every MIDI system of this build; ``not-allowed`` where python-rtmidi cannot be loaded."""
    os.environ.setdefault("JACK_NO_START_SERVER", "1")  # looking must not start a server
    try:
        import rtmidi
    except ImportError as problem:
        hint = " (Debian, Ubuntu: apt install libasound2)" if "asound" in str(problem) else ""
        raise SidemanError(Code.NOT_ALLOWED, f"MIDI cannot be used: {problem}{hint}") from None
    return [
        _look(rtmidi, name, getattr(rtmidi, f"API_{constant}"))
        for constant, name in NAMES.items()
        if getattr(rtmidi, f"API_{constant}") in rtmidi.get_compiled_api()
    ]


def _look(rtmidi: Any, name: str, api: int) -> System:
    with quiet():
        try:
            # Not deleted by hand: RtMidi's clients close when they are collected.
            inputs = rtmidi.MidiIn(api).get_ports()
            outputs = rtmidi.MidiOut(api).get_ports()
        except (rtmidi.SystemError, rtmidi.RtMidiError) as problem:
            return System(name, problem=" ".join(str(problem).split()))
    return System(name, tuple(inputs), tuple(outputs))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the C libraries of ALSA and JACK write to stderr from the user."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
