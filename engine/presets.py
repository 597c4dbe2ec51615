"""Presets: everything that a musician chooses by one name, as typed values out of a TOML file.

A preset says which model plays, how it samples, and what a take holds where a request leaves it
open. The files ship in ``presets/``; a file of the same name in the user's folder comes first.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from msgspec import Meta

from engine import chords, keys
from engine.errors import Code, SidemanError
from engine.instruments import find_program
from engine.messages.keys import MOST_BARS
from engine.sampling import Curve
from engine.toml import Source, nearest
from engine.triggers import Action, Trigger

DEFAULT = "trio"
"""The preset of an engine that was told none."""

Bars = Annotated[int, Meta(ge=1, le=MOST_BARS)]
Pitch = Annotated[int, Meta(ge=0, le=127)]
Channel = Annotated[int, Meta(ge=1, le=16)]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn from the model's logits."""

    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.95
    """Logits are divided by it; 0 always takes the likeliest."""
    top_p: Annotated[float, Meta(gt=0, le=1)] = 0.95
    """The smallest set of tokens that together are this likely stays in."""
    top_k: Annotated[int, Meta(ge=0)] = 0
    """At most so many tokens stay in; 0 for all."""
    repetition_penalty: Annotated[float, Meta(ge=1, le=4)] = 1.0
    """Weight of tokens that were drawn lately; 1 for none."""
    decay: Annotated[float, Meta(gt=0, le=1)] = 0.98
    """What is left of the penalty after each further token."""
    window: Annotated[int, Meta(ge=0, le=4096)] = 128
    """Tokens that the penalty looks back."""
    recall: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """How much what this song has played counts beside what the model knows of music; 0 for not."""
    curve: Curve = field(default_factory=Curve)
    """How temperature and top-p move over the bars of a take."""


@dataclass(frozen=True, slots=True)
class Midi:
    """What a MIDI take holds where the request and the track leave it open."""

    programs: tuple[int | str, ...] = ()
    """General MIDI programs (0 to 127), their names, or ``"drums"``; empty for the track's own."""
    bars: Bars = 4
    polyphony: Annotated[int, Meta(ge=1, le=64)] | None = None
    """Notes of one program that may sound at once."""
    density: Annotated[float, Meta(gt=0, le=16)] | None = None
    """Notes to the beat."""
    low: Pitch = 0
    high: Pitch = 127
    key: str | None = None
    chords: str | None = None
    """The chart that is played where the request brings none."""
    chord_share: Annotated[float, Meta(ge=0, le=1)] = 0.8
    """Least share of chord tones where chords are given."""
    longest_rest: Annotated[int, Meta(ge=0, le=MOST_BARS)] = 0
    """Bars of silence after which an instrument comes in again, and all at the start; 0: never."""
    begins: bool = False
    """May begin by itself, on a track where nothing was played yet."""
    role: str = ""
    call: Annotated[int, Meta(ge=0, le=MOST_BARS)] = 0
    """Call and response: a phrase of up to so many bars is answered at its own length; 0 for no."""
    commit: Annotated[int, Meta(ge=0, le=MOST_BARS)] = 0
    """While the musician plays on, so many bars of a take stay as they were promised, and what lies
    beyond is made again; 0: all stays."""
    late_ms: Annotated[float, Meta(ge=0, le=2000)] | None = None
    """A note that is later than this is not played by MIDI; None for what the config says."""
    channels: dict[str, Channel] = field(default_factory=dict)
    """MIDI channel for each program, named as in ``programs``."""

    @property
    def program_numbers(self) -> tuple[int, ...]:
        """``programs`` as numbers, drums as -1."""
        return tuple(_program(str(program)) for program in self.programs)

    @property
    def channel_of(self) -> dict[int, int]:
        """``channels`` by program number, drums as -1."""
        return {_program(name): channel for name, channel in self.channels.items()}


_program = lru_cache(maxsize=256)(find_program)
"""Presets name few instruments, and each request asks for their numbers."""


@dataclass(frozen=True, slots=True)
class Audio:
    """What an audio take holds where the request leaves it open."""

    bars: Bars = 4
    prompt: str = ""
    guidance: Annotated[float, Meta(ge=1, le=20)] = 3.0
    """Scale of classifier-free guidance; 1 for none."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset. ``name`` is the file's, everything else is its content."""

    kind: Literal["midi", "audio"]
    model: str = "default"
    title: str = ""
    description: str = ""
    licence: str = ""
    adapter: str | None = None
    strength: Annotated[float, Meta(ge=0, le=4)] = 1.0
    sampling: Sampling = field(default_factory=Sampling)
    midi: Midi = field(default_factory=Midi)
    audio: Audio = Audio()
    triggers: dict[str, str] = field(default_factory=dict)
    name: str = field(default="", init=False)

    @property
    def actions(self) -> dict[Trigger, Action]:
        """The triggers, parsed; they were checked when the preset was read."""
        return {Trigger.parse(k): Action.parse(v) for k, v in self.triggers.items()}


def parse(text: str, name: str, file: str = "") -> Preset:
    """A preset from its TOML text; ``bad-file`` names file, line and the nearest known key."""
    return _preset(Source(text, file or f"{name}.toml"), name)


def folders() -> tuple[Path, ...]:
    """Where presets are looked for: the user's folder, then the shipped ones."""
    return _folders(os.environ.get("XDG_CONFIG_HOME"), os.environ.get("HOME"))


@lru_cache(maxsize=8)
def _folders(*_where_the_user_lives: str | None) -> tuple[Path, ...]:
    """Asking the system takes a tenth of a millisecond, and a request may name a preset."""
    return (
        platformdirs.user_config_path("sideman", appauthor=False) / "presets",
        Path(__file__).parents[1] / "presets",
    )


def names(places: tuple[Path, ...] | None = None) -> list[str]:
    """Every preset that :func:`load` finds, in alphabetical order."""
    return sorted(
        {
            file.stem
            for folder in places or folders()
            for file in folder.glob("*.toml")
            if _is_name(file.stem)
        }
    )


def load(name: str, places: tuple[Path, ...] | None = None) -> Preset:
    """The preset ``name``: ``unknown-preset`` with the nearest name, or ``bad-file``."""
    if _is_name(name):
        for folder in places or folders():
            file = folder / f"{name}.toml"
            if file.is_file():
                return _read(file, name, file.stat().st_mtime_ns)
    known = names(places)
    hint = f"the nearest is {nearest(name, known)!r}, of {', '.join(known)}" if known else ""
    raise SidemanError(Code.UNKNOWN_PRESET, f"there is no preset {name!r}; {hint}".rstrip("; "))


@lru_cache(maxsize=256)
def _read(file: Path, name: str, _modified_ns: int) -> Preset:
    """The preset in a file, which is not read again while it has not changed."""
    return _preset(Source.read(file), name)


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) is not None


def _preset(source: Source, name: str) -> Preset:
    preset = source.convert(Preset)
    midi = preset.midi
    if midi.low > midi.high:
        raise source.error(("midi", "low"), f"low {midi.low} lies above high {midi.high}")
    for key, meaning in (
        ("programs", lambda: midi.program_numbers),
        ("channels", lambda: midi.channel_of),
        ("key", lambda: midi.key is None or keys.parse(midi.key)),
        ("chords", lambda: midi.chords is None or chords.parse(midi.chords)),
    ):
        source.check(("midi", key), meaning)
    check_triggers(source, preset.triggers)
    object.__setattr__(preset, "name", name)
    return preset


def check_triggers(source: Source, triggers: dict[str, str]) -> None:
    """Refuse a ``[triggers]`` table with a key or an action that does not parse."""
    for key, action in triggers.items():
        source.check(("triggers", key), partial(Trigger.parse, key))
        source.check(("triggers", key), partial(Action.parse, action))
