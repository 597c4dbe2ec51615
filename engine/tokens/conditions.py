"""What a bar is told before its first note: scale, density, instruments, chords, the others' part.

A model that was taught these has a token for each, behind those of the music. They stand between a
bar's TimeSig and its first note, in this order, each where something is known:

    Scale  Density  Cast …  Root Quality  Position Root Quality …  Hear NOTES Write

``Position`` in front of a chord says where in the bar it begins, unless it is the bar's start.
``Hear`` and ``Write`` have the others' notes of the bar between them, which come once more at their
places. And before a bar, ``Ahead BAR Back`` has a later one: what the bars to come lead up to.

Bars that were heard are told nothing: conditions are for what is yet to be written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from engine.chords import QUALITIES
from engine.music import Note

MAJOR = frozenset((0, 2, 4, 5, 7, 9, 11))
SCALES = tuple(frozenset((tonic + step) % 12 for step in MAJOR) for tonic in range(12))
"""The twelve diatonic scales, by their major tonic: A minor is C major's."""

DENSITIES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0)
"""Notes of all instruments that begin in a quarter note."""

KINDS = MappingProxyType({quality: quality or "maj" for quality in QUALITIES})
"""How a chord's quality is called in its token."""

NO_CHORD = "N"
HEAR, WRITE, AHEAD, BACK = "Hear_None", "Write_None", "Ahead_None", "Back_None"


@dataclass(frozen=True, slots=True)
class Harmony:
    """A chord from some tick of a bar on; ``root`` None is where no pitch sounds."""

    tick: int
    root: int | None
    quality: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What one bar is told; each may be left out."""

    scale: int | None = None
    """Index into `SCALES`."""
    density: float | None = None
    """Notes in a quarter note, of all that sounds."""
    cast: tuple[int, ...] = ()
    """Programs that play in the bar, drums -1."""
    chords: tuple[Harmony, ...] = ()
    others: tuple[Note, ...] = ()


NOTHING = Told()


def names(programs: Iterable[int]) -> list[str]:
    """Every condition of a vocabulary with these programs, in the order of the ids."""
    return [
        *(f"Scale_{scale}" for scale in range(len(SCALES))),
        *(f"Density_{density:g}" for density in DENSITIES),
        *(f"Cast_{program}" for program in programs),
        *(f"Root_{root}" for root in (*range(12), NO_CHORD)),
        *(f"Quality_{kind}" for kind in KINDS.values()),
        HEAR, WRITE, AHEAD, BACK,
    ]  # fmt: skip


def scale_of(pitch_classes: Iterable[int]) -> int | None:
    """The scale that has most of some pitch classes, at most one of them being foreign to it.

    None where they are too few, or too many, to say: `SCALES` differ from each other by one.
    """
    asked = frozenset(pitch_classes)
    if not 5 <= len(asked) <= 8:
        return None
    best = max(range(12), key=lambda tonic: len(SCALES[tonic] & asked))
    return best if len(asked - SCALES[best]) <= 1 else None


def density_name(density: float) -> str:
    """The token of the nearest of `DENSITIES`."""
    return f"Density_{min(DENSITIES, key=lambda level: abs(level - density)):g}"
