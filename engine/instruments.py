"""General MIDI: the names of programs and drum kits, and the 17 classes that they fall into."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType

from engine.errors import Code, SidemanError
from engine.music import DRUMS

PROGRAMS: tuple[str, ...] = (
    "Acoustic Grand Piano", "Bright Acoustic Piano", "Electric Grand Piano", "Honky-tonk Piano",
    "Electric Piano 1", "Electric Piano 2", "Harpsichord", "Clavinet",
    "Celesta", "Glockenspiel", "Music Box", "Vibraphone",
    "Marimba", "Xylophone", "Tubular Bells", "Dulcimer",
    "Drawbar Organ", "Percussive Organ", "Rock Organ", "Church Organ",
    "Reed Organ", "Accordion", "Harmonica", "Tango Accordion",
    "Acoustic Guitar (nylon)", "Acoustic Guitar (steel)", "Electric Guitar (jazz)",
    "Electric Guitar (clean)", "Electric Guitar (muted)", "Overdriven Guitar",
    "Distortion Guitar", "Guitar Harmonics",
    "Acoustic Bass", "Electric Bass (finger)", "Electric Bass (pick)", "Fretless Bass",
    "Slap Bass 1", "Slap Bass 2", "Synth Bass 1", "Synth Bass 2",
    "Violin", "Viola", "Cello", "Contrabass",
    "Tremolo Strings", "Pizzicato Strings", "Orchestral Harp", "Timpani",
    "String Ensemble 1", "String Ensemble 2", "Synth Strings 1", "Synth Strings 2",
    "Choir Aahs", "Voice Oohs", "Synth Voice", "Orchestra Hit",
    "Trumpet", "Trombone", "Tuba", "Muted Trumpet",
    "French Horn", "Brass Section", "Synth Brass 1", "Synth Brass 2",
    "Soprano Sax", "Alto Sax", "Tenor Sax", "Baritone Sax",
    "Oboe", "English Horn", "Bassoon", "Clarinet",
    "Piccolo", "Flute", "Recorder", "Pan Flute",
    "Blown Bottle", "Shakuhachi", "Whistle", "Ocarina",
    "Lead 1 (square)", "Lead 2 (sawtooth)", "Lead 3 (calliope)", "Lead 4 (chiff)",
    "Lead 5 (charang)", "Lead 6 (voice)", "Lead 7 (fifths)", "Lead 8 (bass + lead)",
    "Pad 1 (new age)", "Pad 2 (warm)", "Pad 3 (polysynth)", "Pad 4 (choir)",
    "Pad 5 (bowed)", "Pad 6 (metallic)", "Pad 7 (halo)", "Pad 8 (sweep)",
    "FX 1 (rain)", "FX 2 (soundtrack)", "FX 3 (crystal)", "FX 4 (atmosphere)",
    "FX 5 (brightness)", "FX 6 (goblins)", "FX 7 (echoes)", "FX 8 (sci-fi)",
    "Sitar", "Banjo", "Shamisen", "Koto",
    "Kalimba", "Bagpipe", "Fiddle", "Shanai",
    "Tinkle Bell", "Agogo", "Steel Drums", "Woodblock",
    "Taiko Drum", "Melodic Tom", "Synth Drum", "Reverse Cymbal",
    "Guitar Fret Noise", "Breath Noise", "Seashore", "Bird Tweet",
    "Telephone Ring", "Helicopter", "Applause", "Gunshot",
)  # fmt: skip
"""The 128 sounds of General MIDI level 1, by program number."""

DRUM_KITS = MappingProxyType(
    {
        0: "Standard Kit",
        8: "Room Kit",
        16: "Power Kit",
        24: "Electronic Kit",
        25: "TR-808 Kit",
        32: "Jazz Kit",
        40: "Brush Kit",
        48: "Orchestra Kit",
        56: "Sound FX Kit",
    }
)
"""Drum kits by the program number that selects them on the drum channel (Roland GS, GM level 2)."""


@dataclass(frozen=True, slots=True)
class InstrumentClass:
    """A family of programs. ``default`` is the one that stands for the whole class."""

    number: int
    name: str
    programs: range
    default: int


CLASSES: tuple[InstrumentClass, ...] = (
    InstrumentClass(0, "Piano", range(8), 0),
    InstrumentClass(1, "Chromatic Percussion", range(8, 16), 11),
    InstrumentClass(2, "Organ", range(16, 24), 16),
    InstrumentClass(3, "Guitar", range(24, 32), 25),
    InstrumentClass(4, "Bass", range(32, 40), 33),
    InstrumentClass(5, "Strings", range(40, 48), 40),
    InstrumentClass(6, "Ensemble", range(48, 56), 48),
    InstrumentClass(7, "Brass", range(56, 64), 61),
    InstrumentClass(8, "Reed", range(64, 72), 65),
    InstrumentClass(9, "Pipe", range(72, 80), 73),
    InstrumentClass(10, "Synth Lead", range(80, 88), 80),
    InstrumentClass(11, "Synth Pad", range(88, 96), 88),
    InstrumentClass(12, "Synth Effects", range(96, 104), 96),
    InstrumentClass(13, "Ethnic", range(104, 112), 104),
    InstrumentClass(14, "Percussive", range(112, 120), 114),
    InstrumentClass(15, "Sound Effects", range(120, 128), 120),
    InstrumentClass(16, "Drums", range(DRUMS, DRUMS + 1), DRUMS),
)
"""The 16 families of General MIDI and, as class 16, the drum kit."""

EFFECT_CLASSES = frozenset((12, 15))
"""Classes without music in them, which data sets leave out by default."""

MERGED_CLASSES: tuple[frozenset[int], ...] = (
    frozenset((1, 14, 16)),
    frozenset((10, 11)),
    frozenset((5, 6)),
    frozenset((3, 4)),
)
"""Classes that data sets may treat as one: percussion, synths, strings, guitar with bass."""

NICKNAMES = MappingProxyType(
    {
        "piano": 0,
        "epiano": 4,
        "rhodes": 4,
        "organ": 16,
        "hammond": 16,
        "guitar": 25,
        "nylonguitar": 24,
        "steelguitar": 25,
        "jazzguitar": 26,
        "cleanguitar": 27,
        "mutedguitar": 28,
        "electricguitar": 27,
        "acousticguitar": 25,
        "bass": 33,
        "electricbass": 33,
        "doublebass": 32,
        "uprightbass": 32,
        "fingerbass": 33,
        "pickbass": 34,
        "slapbass": 36,
        "synthbass": 38,
        "harp": 46,
        "strings": 48,
        "synthstrings": 50,
        "choir": 52,
        "voice": 52,
        "vocals": 52,
        "brass": 61,
        "horn": 60,
        "sax": 65,
        "saxophone": 65,
        "lead": 80,
        "synthlead": 80,
        "pad": 88,
        "synthpad": 88,
        "synth": 80,
        "drum": DRUMS,
        "drums": DRUMS,
        "drumkit": DRUMS,
        "drumset": DRUMS,
        "percussion": DRUMS,
    }
)
"""What musicians say for a program, without spaces and hyphens."""


def class_of(program: int) -> InstrumentClass:
    """The class of a program from 0 to 127, or of `DRUMS`; ValueError for other numbers."""
    if program == DRUMS:
        return CLASSES[16]
    if not 0 <= program <= 127:
        raise ValueError(f"a program is 0 to 127, or {DRUMS} for drums, not {program}")
    return CLASSES[program // 8]


def merged_class(number: int) -> int:
    """The number that stands for a class under `MERGED_CLASSES`: the lowest of its group."""
    return next((min(group) for group in MERGED_CLASSES if number in group), number)


def program_name(program: int) -> str:
    """Such as ``Acoustic Bass``; ``Drums`` for the drum kit."""
    return "Drums" if program == DRUMS else PROGRAMS[program]


def find_program(text: str) -> int:
    """The program that a text means: a number from 0 to 127, a General MIDI name, or a nickname.

    A word that is part of names only, such as ``sitar`` or ``nylon``, means the first of them.
    Returns 0 to 127, or `DRUMS`. Raises `SidemanError` for what means nothing.
    """
    key = _squash(text)
    if re.fullmatch(r"[0-9]{1,3}", text.strip()) and int(text) <= 127:
        return int(text)
    for names in (NICKNAMES, _BY_NAME):
        if key in names:
            return names[key]
    within = [program for name, program in _BY_NAME.items() if len(key) > 2 and key in name]
    if not within:
        shown = text.strip() if len(text) <= 32 else text.strip()[:31] + "…"
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"'{shown}' is no instrument: 0 to 127, a General MIDI name such as "
            "'Acoustic Bass', or a word such as piano, strings, drums",
        )
    return within[0]


def find_class(text: str) -> InstrumentClass:
    """The class that a text means: its number from 0 to 16, or its name.

    Raises `SidemanError` that lists the classes.
    """
    key = _squash(text)
    for each in CLASSES:
        if key in (str(each.number), _squash(each.name)):
            return each
    known = ", ".join(f"{each.number} {each.name}" for each in CLASSES)
    raise SidemanError(
        Code.BAD_ARGUMENTS, f"'{text.strip()[:32]}' is no instrument class: known are {known}"
    )


def _squash(text: str) -> str:
    return re.sub(r"[^a-z0-9+]", "", text.casefold())


_BY_NAME = {_squash(name): program for program, name in enumerate(PROGRAMS)}
