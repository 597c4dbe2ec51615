"""The information fields of ABC: keys, meters, lengths and tempos."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

from engine.music import Meter
from training.importers.song import key_name

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SHARPS = "FCGDAEB"
"""The letters in the order in which key signatures raise them; flats come in from the end."""

ACCIDENTALS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}

MODES = {
    "": 0, "maj": 0, "ion": 0, "lyd": 1, "mix": -1, "dor": -2, "m": -3, "min": -3, "aeo": -3,
    "phr": -4, "loc": -5,
}  # fmt: skip
"""Fifths from the major key of the same tonic, by the first three letters."""

_KEY = re.compile(r"(?P<tonic>[A-G])(?P<accidental>[#b]?)[ \t]*(?P<mode>[A-Za-z]*)")
_FRACTION = re.compile(r"([0-9]{1,4})[ \t]*/[ \t]*([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Key:
    """A key signature: its name for MIDI, and semitones by letter."""

    name: str | None = None
    raised: dict[str, int] = field(default_factory=dict)


def read_key(text: str) -> Key | None:
    """The key of a ``K:`` field; None where it names no key but a clef, say."""
    text = text.strip()
    if text.startswith(("HP", "Hp")):  # the Highland pipes
        return Key("D", {"F": 1, "C": 1})
    match = _KEY.match(text)
    mode = match["mode"].casefold()[:3] if match else ""
    explicit = re.findall(r"(?<![A-Za-z=])(\^\^|__|[\^_=])([A-Ga-g])(?![A-Za-z])", text)
    if match is None or (mode not in MODES and mode != "exp"):
        if not explicit and not text.casefold().startswith("none"):
            return None
        return Key(None, {letter.upper(): ACCIDENTALS[sign] for sign, letter in explicit})
    raised: dict[str, int] = {}
    name = None
    if mode != "exp":
        sign = {"": 0, "#": 7, "b": -7}[match["accidental"]]
        fifths = SHARPS.index(match["tonic"]) - SHARPS.index("C") + sign + MODES[mode]
        name = key_name(fifths, MODES[mode] == MODES["min"])
        changed = SHARPS[:fifths] if fifths > 0 else SHARPS[fifths:] if fifths < 0 else ""
        raised = dict.fromkeys(changed, 1 if fifths > 0 else -1)
    raised |= {letter.upper(): ACCIDENTALS[sign] for sign, letter in explicit}
    return Key(name, raised)


def read_meter(text: str) -> Meter | None:
    """The meter of an ``M:`` field; None for free meter and for what cannot be read."""
    text = text.strip()
    if text in ("C", "C|"):
        return Meter(4, 4) if text == "C" else Meter(2, 2)
    upper, _, lower = text.replace("(", "").replace(")", "").partition("/")
    try:
        return Meter(sum(int(each) for each in upper.split("+")), int(lower))
    except ValueError:
        return None


def read_length(text: str) -> Fraction | None:
    """Quarter notes of an ``L:`` field."""
    match = _FRACTION.search(text)
    if match and int(match[1]) and int(match[2]):
        return 4 * Fraction(int(match[1]), int(match[2]))
    return Fraction(4) if text.strip() == "1" else None


def usual_length(meter: Meter | None) -> Fraction:
    """Quarter notes of the unit length where no field gives it: an eighth, or a sixteenth."""
    short = meter is not None and Fraction(meter.num, meter.den) < Fraction(3, 4)
    return Fraction(1, 4) if short else Fraction(1, 2)


def read_tempo(text: str, unit: Fraction) -> float | None:
    """Quarter notes a minute of a ``Q:`` field; ``unit`` is the unit length in quarter notes."""
    text = re.sub(r'"[^"]*"', "", text)
    beats, _, number = text.rpartition("=")
    match = re.search(r"[0-9]{1,4}(\.[0-9]{1,4})?", number)
    if match is None:
        return None
    fractions = _FRACTION.findall(beats)
    beat = sum((4 * Fraction(int(a), max(1, int(b))) for a, b in fractions), Fraction(0)) or unit
    return float(min(max(Fraction(match[0]) * beat, Fraction(5)), Fraction(1000)))
