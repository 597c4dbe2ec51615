"""Two synthesizers behind one small base: FluidSynth, and TinySoundFont where it is missing.

FluidSynth has reverb, chorus and modulators, and needs the system's ``libfluidsynth``.
TinySoundFont comes with its Python package. Both run offline and give the same samples each time.
"""

from __future__ import annotations

import ctypes
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.files.soundfont import DRUM_BANK, SoundFont
from engine.errors import Code, SidemanError

CHANNELS = 256
"""Channels of a synth, from 0. Any of them may hold drums."""


class Synth(ABC):
    """What renders notes; a note sounds from the frame that the next `render` begins with."""

    def __init__(self, font: SoundFont) -> None:
        self._presets = font.presets

    def program(self, channel: int, program: int, drums: bool) -> None:
        """Puts a sound on a channel; what the SoundFont lacks becomes its nearest relative."""
        bank = DRUM_BANK if drums else 0
        family = 8 * (program // 8)
        relatives = ((bank, program), (bank, family), (bank, 0), (0, 0), min(self._presets))
        self._select(channel, *next(each for each in relatives if each in self._presets))

    @abstractmethod
    def _select(self, channel: int, bank: int, program: int) -> None:
        """Puts a preset that the SoundFont has on a channel."""

    @abstractmethod
    def on(self, channel: int, pitch: int, velocity: int) -> None:
        """Starts a note."""

    @abstractmethod
    def off(self, channel: int, pitch: int) -> None:
        """Releases a note."""

    @abstractmethod
    def control(self, channel: int, number: int, value: int) -> None:
        """Sets a controller."""

    @abstractmethod
    def bend(self, channel: int, value: int) -> None:
        """Sets the pitch wheel, 0 to 16,383."""

    @abstractmethod
    def render(self, frames: int) -> NDArray[np.float32]:
        """The next samples [frames, 2], not clipped."""

    @abstractmethod
    def close(self) -> None:
        """Frees what the synth holds."""


class _FluidSynth(Synth):
    """libfluidsynth, driven by hand.

    It begins voices on a grid of its own of 64 frames, so a note may sound up to 63 frames (1.4 ms
    at 44.1 kHz) after its moment.
    """

    _LEVEL = 0.5

    def __init__(self, font: SoundFont, rate: int) -> None:
        fluidsynth = _imported("fluidsynth")

        _silence(fluidsynth)
        super().__init__(font)
        self._synth = fluidsynth.Synth(gain=self._LEVEL, samplerate=rate, channels=CHANNELS)
        self._font = self._synth.sfload(str(font.path))
        if self._font < 0:
            self._synth.delete()
            raise SidemanError(Code.BAD_FILE, f"FluidSynth cannot load {font.path}")
        self._write = fluidsynth.cfunc(
            "fluid_synth_write_float",
            ctypes.c_int,
            ("synth", ctypes.c_void_p, 1),
            ("frames", ctypes.c_int, 1),
            ("left", ctypes.c_void_p, 1),
            ("left_offset", ctypes.c_int, 1),
            ("left_step", ctypes.c_int, 1),
            ("right", ctypes.c_void_p, 1),
            ("right_offset", ctypes.c_int, 1),
            ("right_step", ctypes.c_int, 1),
        )

    def _select(self, channel: int, bank: int, program: int) -> None:
        self._synth.program_select(channel, self._font, bank, program)

    def on(self, channel: int, pitch: int, velocity: int) -> None:
        self._synth.noteon(channel, pitch, velocity)

    def off(self, channel: int, pitch: int) -> None:
        self._synth.noteoff(channel, pitch)

    def control(self, channel: int, number: int, value: int) -> None:
        self._synth.cc(channel, number, value)

    def bend(self, channel: int, value: int) -> None:
        self._synth.pitch_bend(channel, value - 8192)

    def render(self, frames: int) -> NDArray[np.float32]:
        block = np.empty((frames, 2), np.float32)
        at = block.ctypes.data
        self._write(self._synth.synth, frames, at, 0, 2, at, 1, 2)
        return block

    def close(self) -> None:
        self._synth.delete()


class _TinySoundFont(Synth):
    """The TinySoundFont library. Notes begin at their exact frame; there is no reverb."""

    _LEVEL_DB = -4.0
    _VOICES = 512

    def __init__(self, font: SoundFont, rate: int) -> None:
        import tinysoundfont

        super().__init__(font)
        self._synth = tinysoundfont.Synth(gain=self._LEVEL_DB, samplerate=rate)
        try:
            self._font = self._synth.sfload(str(font.path), max_voices=self._VOICES)
        except RuntimeError as error:
            raise SidemanError(
                Code.BAD_FILE, f"TinySoundFont cannot load {font.path}: {error}"
            ) from error

    def _select(self, channel: int, bank: int, program: int) -> None:
        self._synth.program_select(channel, self._font, bank, program, bank == DRUM_BANK)

    def on(self, channel: int, pitch: int, velocity: int) -> None:
        self._synth.noteon(channel, pitch, velocity)

    def off(self, channel: int, pitch: int) -> None:
        self._synth.noteoff(channel, pitch)

    def control(self, channel: int, number: int, value: int) -> None:
        self._synth.control_change(channel, number, value)

    def bend(self, channel: int, value: int) -> None:
        self._synth.pitchbend(channel, value)

    def render(self, frames: int) -> NDArray[np.float32]:
        return np.frombuffer(self._synth.generate_simple(frames), np.float32).reshape(frames, 2)

    def close(self) -> None:
        self._synth.sfunload(self._font)


ENGINES: Mapping[str, Callable[[SoundFont, int], Synth]] = MappingProxyType(
    {"fluidsynth": _FluidSynth, "tinysoundfont": _TinySoundFont}
)
"""The synthesizers by name, the one that is preferred first."""


def available() -> tuple[str, ...]:
    """The synthesizers that load on this machine, the preferred one first."""
    names = []
    for name in ENGINES:
        try:
            _imported(name)
        except (ImportError, OSError):
            continue
        names.append(name)
    return tuple(names)


def _imported(name: str) -> Any:
    # Where the environment has CI set, pyfluidsynth prints on import which library it found.
    with redirect_stdout(io.StringIO()):
        return import_module(name)


def open_synth(font: SoundFont, rate: int, engine: str = "auto") -> tuple[str, Synth]:
    """A synth and its name. Raises `SidemanError` BAD_FILE where none can be had."""
    names = available()
    wanted = names[:1] if engine == "auto" else (engine,)
    for name in wanted:
        if name in names:
            return name, ENGINES[name](font, rate)
    if engine not in ("auto", *ENGINES):
        known = ", ".join(ENGINES)
        raise SidemanError(Code.BAD_ARGUMENTS, f"'{engine}' is no synthesizer: use auto, {known}")
    raise SidemanError(
        Code.BAD_FILE,
        "no synthesizer: install FluidSynth (apt install libfluidsynth3, brew install fluid-synth) "
        "or run `pip install --no-deps tinysoundfont`",
    )


def _silence(fluidsynth: Any) -> None:
    """Keeps FluidSynth from writing to stderr: its answers are checked instead."""
    global _quiet
    if _quiet is not None:
        return
    log_function = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    _quiet = log_function(lambda level, message, data: None)
    set_log = fluidsynth.cfunc(
        "fluid_set_log_function",
        ctypes.c_void_p,
        ("level", ctypes.c_int, 1),
        ("function", log_function, 1),
        ("data", ctypes.c_void_p, 1),
    )
    for level in range(5):
        set_log(level, _quiet, None)


_quiet: Any = None  # the C library keeps a pointer to it
