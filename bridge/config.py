"""What the user settled beforehand: the config file, and the options of a running engine.

A command's options win over the config file, which wins over the defaults here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from msgspec import Meta

from engine import presets
from engine.messages.parameters import PARAMETERS
from engine.toml import Source, nearest

Port = Annotated[int, Meta(ge=0, le=65535)]
MidiApi = Literal["auto", "alsa", "jack", "coremidi", "winmm"]
ClockSource = Literal["auto", "internal", "osc", "midi", "link", "plugin"]
Device = Literal["auto", "cpu", "cuda"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Osc:
    """Where the OSC servers listen."""

    host: str = "127.0.0.1"
    port: Port = 9700
    token: str = ""
    """What clients must send in ``hello`` where ``host`` is not a loopback address."""


@dataclass(frozen=True, slots=True)
class MidiPorts:
    """Which MIDI ports to open; empty names mean ``Sideman In`` and ``Sideman Out``."""

    input: str | tuple[str, ...] = ""
    output: str | tuple[str, ...] = ""
    control: str = ""
    """A port whose messages are triggers only, as a pad controller's; its lights are used."""
    api: MidiApi = "auto"
    enabled: bool = True
    control_channel: Annotated[int, Meta(ge=1, le=16)] = 16
    """What comes in on it is triggers only, and never music."""
    thru: bool = False
    """Send on at once what comes in."""
    send_clock: bool = False
    """Send MIDI clock, Start, Stop and Song Position, unless MIDI leads the time."""
    echo_ms: Annotated[float, Meta(ge=0, le=2000)] = 100.0
    """What was sent and comes in again within this time is not the musician; 0 takes it all."""
    late_ms: Annotated[float, Meta(ge=0, le=2000)] = 100.0
    """A note that is later than this is not played."""


@dataclass(frozen=True, slots=True)
class Link:
    """Ableton Link, which talks to every machine on the network."""

    enabled: bool = False
    """Whether the clock ``auto`` listens to Link, and follows it where somebody else is there."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The web page beside the engine."""

    port: Port = 9780
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Audio:
    """``[audio]``"""

    memory_mb: Annotated[int, Meta(ge=0)] = 0
    """Memory that models of sound may take; 0 for most of the device's. One that does not fit
    takes the place of those that were not used for longest."""


@dataclass(frozen=True, slots=True)
class Files:
    """Folders and files; ``~`` stands for the home folder."""

    sessions: str = ""
    """Where sessions are kept; empty for the user's data folder."""
    allowed: tuple[str, ...] = ()
    """Folders besides the session's that clients may load files from."""
    soundfont: str = ""
    """A SoundFont (``.sf2`` or ``.sf3``) instead of the one that is found."""

    @property
    def allowed_folders(self) -> tuple[Path, ...]:
        """``allowed`` as absolute paths."""
        return tuple(Path(folder).expanduser().resolve() for folder in self.allowed)


@dataclass(frozen=True, slots=True)
class Config:
    """The config file, table by table."""

    preset: str = presets.DEFAULT
    device: Device = "auto"
    clock: ClockSource = "auto"
    log_level: LogLevel = "info"
    osc: Osc = Osc()
    midi: MidiPorts = MidiPorts()
    link: Link = Link()
    panel: Panel = Panel()
    audio: Audio = Audio()
    files: Files = Files()
    triggers: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, float | str | bool] = field(default_factory=dict)
    """Starting values of what ``/sideman/set`` can set."""


def port_names(given: str | tuple[str, ...]) -> tuple[str, ...]:
    """One name, several, or none."""
    return (given,) if isinstance(given, str) and given else tuple(given)


def default_file() -> Path:
    """The config file that is read where ``--config`` names none."""
    return platformdirs.user_config_path("sideman", appauthor=False) / "config.toml"


def default_sessions() -> Path:
    """Where sessions are kept where neither the command line nor the config file says."""
    return platformdirs.user_data_path("sideman", appauthor=False) / "sessions"


def load(file: Path | None = None) -> Config:
    """The config in ``file``, which must then exist, or the user's own where there is one.

    Raises ``bad-file`` with file, line and the nearest known key.
    """
    if file is None:
        file = default_file()
        if not file.is_file():
            return Config()
    source = Source.read(file)
    config = source.convert(Config)
    presets.check_triggers(source, config.triggers)
    for name, value in config.parameters.items():
        source.check(("parameters", name), partial(_check_parameter, name, value))
    return config


def _check_parameter(name: str, value: float | str | bool) -> None:
    if name not in PARAMETERS:
        raise ValueError(
            f"unknown key {name!r}; the nearest known key is {nearest(name, [*PARAMETERS])!r}"
        )
    PARAMETERS[name].check(value)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What ``sideman serve`` runs with, after command line and config file are merged."""

    osc_host: str = "127.0.0.1"
    osc_port: int = 9700
    midi_in: tuple[str, ...] = ()
    """Names of input ports; none for ``Sideman In``."""
    midi_out: tuple[str, ...] = ()
    no_midi: bool = False
    midi_api: MidiApi = "auto"
    clock: ClockSource = "auto"
    preset: str = presets.DEFAULT
    device: Device = "auto"
    panel_port: int = 9780
    no_panel: bool = False
    sessions: Path | None = None
    """The folder of sessions, whose newest is taken up again; None for a new session in
    :func:`default_sessions`."""
    new_session: bool = False
    """Begin a new session even where ``sessions`` holds one."""
    config: Config = field(default_factory=Config)
    log_level: LogLevel = "info"


@dataclass(frozen=True, slots=True)
class ContinueOptions:
    """What ``sideman continue`` makes; None where the preset decides."""

    input: Path | None
    output: Path
    bars: int | None = None
    preset: str | None = None
    """None plays the instruments of the input, and the config's preset where there is none."""
    model: str | None = None
    adapter: str | None = None
    prompt: str | None = None
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    chords: str | None = None
    key: str | None = None
    program: int | None = None
    variations: int = 1
    bpm: float | None = None
    rate: int | None = None
    """Of sound, in Hz; None for the input's."""
    encoding: Literal["int16", "int24", "float"] = "int16"
    append: bool = False
    device: Device = "auto"
    config: Config = field(default_factory=Config)
    json: bool = False
    """Report what was written as one JSON object on the last line of stdout."""
