"""Keys and scales: ``C``, ``Am``, ``F#maj``, ``Bb dorian`` as pitch classes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType

from engine.chords import PITCH_CLASS_NAMES, pitch_class
from engine.errors import Code, SidemanError

SCALES = MappingProxyType(
    {
        "major": (0, 2, 4, 5, 7, 9, 11),
        "minor": (0, 2, 3, 5, 7, 8, 10),
        "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
        "melodic minor": (0, 2, 3, 5, 7, 9, 11),
        "dorian": (0, 2, 3, 5, 7, 9, 10),
        "phrygian": (0, 1, 3, 5, 7, 8, 10),
        "lydian": (0, 2, 4, 6, 7, 9, 11),
        "mixolydian": (0, 2, 4, 5, 7, 9, 10),
        "locrian": (0, 1, 3, 5, 6, 8, 10),
        "harmonic major": (0, 2, 4, 5, 7, 8, 11),
        "phrygian dominant": (0, 1, 4, 5, 7, 8, 10),
        "major pentatonic": (0, 2, 4, 7, 9),
        "minor pentatonic": (0, 3, 5, 7, 10),
        "blues": (0, 3, 5, 6, 7, 10),
        "major blues": (0, 2, 3, 4, 7, 9),
        "whole tone": (0, 2, 4, 6, 8, 10),
        "diminished": (0, 2, 3, 5, 6, 8, 9, 11),
        "half whole diminished": (0, 1, 3, 4, 6, 7, 9, 10),
        "chromatic": tuple(range(12)),
    }
)
"""Each scale's semitones above its tonic. ``minor`` is natural, ``diminished`` whole-half."""

ALIASES = MappingProxyType(
    {
        "": "major",
        "maj": "major",
        "ionian": "major",
        "min": "minor",
        "natural minor": "minor",
        "aeolian": "minor",
        "harm minor": "harmonic minor",
        "minor harmonic": "harmonic minor",
        "mel minor": "melodic minor",
        "minor melodic": "melodic minor",
        "jazz minor": "melodic minor",
        "pentatonic": "major pentatonic",
        "penta": "major pentatonic",
        "major penta": "major pentatonic",
        "minor penta": "minor pentatonic",
        "pentatonic minor": "minor pentatonic",
        "pentatonic major": "major pentatonic",
        "minor blues": "blues",
        "octatonic": "diminished",
    }
)

_KEY = re.compile(r"(?P<tonic>[A-Ga-g][#b♯♭]?)(?P<scale>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Key:
    """A scale, by its name in `SCALES`, on a tonic from 0 (C) to 11 (B)."""

    tonic: int
    scale: str = "major"

    @property
    def pitch_classes(self) -> frozenset[int]:
        """The tones of the scale, from 0 (C) to 11 (B)."""
        return frozenset((self.tonic + step) % 12 for step in SCALES[self.scale])

    @property
    def name(self) -> str:
        """Such as ``Bb dorian``; `parse` reads it back as an equal key."""
        return f"{PITCH_CLASS_NAMES[self.tonic]} {self.scale}"

    def __str__(self) -> str:
        return self.name


def parse(text: str) -> Key:
    """The key that a text names.

    ``m`` and ``M`` are minor and major; but for these, case does not count, nor do spaces, hyphens
    and underscores. Raises `SidemanError` that lists what is known.
    """
    words = text.strip()
    if _squash(words) == "chromatic":
        return Key(0, "chromatic")
    match = _KEY.fullmatch(words)
    scale = _scale(match["scale"].strip()) if match else None
    if match is None or scale is None:
        shown = words if len(words) <= 32 else words[:31] + "…"
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"key: '{shown}' is unknown: a tonic A to G, with # or b, and one of "
            f"{', '.join(SCALES)}; or Cm, Cmin, Cmaj",
        )
    tonic = match["tonic"]
    return Key(pitch_class(tonic[0].upper() + tonic[1:]), scale)


def _squash(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text).casefold()


def _scale(text: str) -> str | None:
    if text in ("m", "M"):
        return {"m": "minor", "M": "major"}[text]
    return _BY_SQUASHED.get(_squash(text))


_BY_SQUASHED = {_squash(name): name for name in SCALES} | {
    _squash(alias): name for alias, name in ALIASES.items()
}
