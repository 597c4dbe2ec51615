"""Chord charts: ``"C:4|Am:4|F#m7-5/A:2|auto:4"`` as spans of ticks.

A chart is a row of chords parted by ``|``. Each is a name, or ``auto`` where the model is free to
choose, and after a colon its length: quarter notes by default (``4``, ``1.5``, ``2/3``),
sixteenths with ``s`` (``16s``), or ticks of the engine with ``t``, 960 to the quarter note
(``1920t``). A chord without a length lasts one bar, and must begin on a bar line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from engine.errors import Code, SidemanError
from engine.music import COMMON_TIME, TICKS_PER_BEAT, Meter

QUALITIES = MappingProxyType(
    {
        "": (0, 4, 7),
        "m": (0, 3, 7),
        "7": (0, 4, 7, 10),
        "m7": (0, 3, 7, 10),
        "M7": (0, 4, 7, 11),
        "m7-5": (0, 3, 6, 10),
        "dim": (0, 3, 6, 9),
        "sus4": (0, 5, 7),
        "7sus4": (0, 5, 7, 10),
        "aug": (0, 4, 8),
        "m6": (0, 3, 7, 9),
        "7(9)": (0, 4, 7, 10, 14),
        "m7(9)": (0, 3, 7, 10, 14),
        "add9": (0, 4, 7, 14),
        "6": (0, 4, 7, 9),
        "mM7": (0, 3, 7, 11),
        "7-5": (0, 4, 6, 10),
        "7#5": (0, 4, 8, 10),
        "M7-5": (0, 4, 6, 11),
        "M7(9)": (0, 4, 7, 11, 14),
        "sus2": (0, 2, 7),
        "5": (0, 7),
    }
)
"""Each quality's semitones above its root. ``dim`` is the four-note chord, as ``dim7`` is."""

ALIASES = MappingProxyType(
    {
        **dict.fromkeys(("M", "maj", "Maj", "major"), ""),
        **dict.fromkeys(("min", "mi", "-", "minor"), "m"),
        **dict.fromkeys(("dom7", "7dom"), "7"),
        **dict.fromkeys(("min7", "mi7", "-7", "7min"), "m7"),
        **dict.fromkeys(("maj7", "Maj7", "ma7", "△", "Δ", "△7", "Δ7", "7maj"), "M7"),
        **dict.fromkeys(("m7b5", "min7b5", "-7b5", "m7(b5)", "ø", "ø7", "7halfdim"), "m7-5"),
        **dict.fromkeys(("dim7", "°", "°7", "o", "o7", "7dim"), "dim"),
        "sus": "sus4",
        "7sus": "7sus4",
        **dict.fromkeys(("+", "#5", "+5"), "aug"),
        **dict.fromkeys(("min6", "mi6", "-6"), "m6"),
        **dict.fromkeys(("9", "7add9"), "7(9)"),
        **dict.fromkeys(("m9", "min9", "-9", "9min"), "m7(9)"),
        **dict.fromkeys(("M9", "maj9", "Maj9", "9maj"), "M7(9)"),
        **dict.fromkeys(("(9)", "(add9)"), "add9"),
        **dict.fromkeys(("maj6", "M6"), "6"),
        **dict.fromkeys(("mM", "mmaj7", "mMaj7", "m(maj7)", "minmaj7", "-M7"), "mM7"),
        **dict.fromkeys(("7b5", "7(b5)"), "7-5"),
        **dict.fromkeys(("7+5", "7(#5)", "7+", "+7", "aug7", "7aug"), "7#5"),
        **dict.fromkeys(("M7b5", "maj7b5", "maj7-5"), "M7-5"),
        "2": "sus2",
    }
)
"""Other spellings of the qualities."""

NATURALS = MappingProxyType({"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11})
ACCIDENTALS = MappingProxyType({"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1})
PITCH_CLASS_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

UNITS = MappingProxyType({"": TICKS_PER_BEAT, "s": TICKS_PER_BEAT // 4, "t": 1})
"""Ticks in one unit of a length, by its suffix."""

MAX_CHORDS = 4096
MAX_BEATS = 16384

_ROOT = r"[A-G][#b♯♭]?"
_CHORD = re.compile(rf"(?P<root>{_ROOT})(?P<quality>[^/]*)(?:/(?P<bass>.*))?")
_LENGTH = re.compile(
    r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9}|/[0-9]{1,9})?|\.[0-9]{1,9})(?P<unit>[st]?)"
)


@dataclass(frozen=True, slots=True)
class Chord:
    """A chord by pitch classes: root and bass from 0 (C) to 11 (B), quality out of `QUALITIES`."""

    root: int
    quality: str = ""
    bass: int | None = None

    @property
    def pitch_classes(self) -> frozenset[int]:
        """The chord's tones from 0 (C) to 11 (B), a slash bass among them."""
        tones = {(self.root + step) % 12 for step in QUALITIES[self.quality]}
        if self.bass is not None:
            tones.add(self.bass)
        return frozenset(tones)

    @property
    def name(self) -> str:
        """The chord in its usual spelling; `parse` reads it back as an equal chord."""
        name = PITCH_CLASS_NAMES[self.root] + self.quality
        return name if self.bass is None else f"{name}/{PITCH_CLASS_NAMES[self.bass]}"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ChordSpan:
    """A chord, or None for the model's free choice, over ticks ``[start, end)`` of a take."""

    start: int
    end: int
    chord: Chord | None


def parse_chord(name: str) -> Chord:
    """One chord name. Raises `SidemanError` that says what is allowed."""
    return _chord(name, column=1)


def parse(text: str, meters: Sequence[Meter] = (COMMON_TIME,)) -> tuple[ChordSpan, ...]:
    """The spans of a chart, from tick 0 on and without gaps.

    ``meters`` are those of the take's bars, the last one holding on; they give the chords without a
    length theirs. Boundaries are the exact sums of the lengths, rounded to whole ticks. Raises
    `SidemanError` that names the column, counted from 1.
    """
    pieces = text.split("|")
    if len(pieces) > MAX_CHORDS:
        raise _error(1, f"a chart holds at most {MAX_CHORDS} chords, not {len(pieces)}")
    spans: list[ChordSpan] = []
    lines = _BarLines(meters)
    at = Fraction(0)
    column = 1
    for piece in pieces:
        name, colon, length = piece.partition(":")
        here = column + _indent(name)
        if not name.strip():
            raise _error(here, "a chord name or 'auto' is missing")
        chord = None if name.strip().casefold() == "auto" else _chord(name.strip(), here)
        if colon:
            after = column + len(name) + 1 + _indent(length)
            end = at + _length(length.strip(), after)
        elif lines.on_line(at):
            end = Fraction(lines.after(at))
        else:
            raise _error(here, f"'{name.strip()}' needs a length, as it begins inside a bar")
        if end > MAX_BEATS * TICKS_PER_BEAT:
            raise _error(here, f"the chart is longer than {MAX_BEATS} beats")
        if round(end) == round(at):
            raise _error(here, f"'{name.strip()}' is shorter than a tick (1/{TICKS_PER_BEAT} beat)")
        spans.append(ChordSpan(round(at), round(end), chord))
        at = end
        column += len(piece) + 1
    return tuple(spans)


def fill(spans: Iterable[ChordSpan], total_ticks: int) -> tuple[ChordSpan, ...]:
    """The same spans, if they fill a take of ``total_ticks`` exactly; else a `SidemanError`."""
    spans = tuple(spans)
    end = spans[-1].end if spans else 0
    if end != total_ticks:
        by = _beats(abs(end - total_ticks))
        side = "too long" if end > total_ticks else "too short"
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"chords: the chart is {by} {side} for the bars asked for: it lasts {_beats(end)}, "
            f"and the take {_beats(total_ticks)}",
        )
    return spans


class _BarLines:
    """Bar lines of a take, found in order."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = meters
        self._bar = 0
        self._start = 0

    def on_line(self, at: Fraction) -> bool:
        while self._start < at:
            self._start = self.after(Fraction(self._start))
            self._bar += 1
        return self._start == at

    def after(self, line: Fraction) -> int:
        """The bar line that follows the one at hand."""
        return int(line) + self._meters[min(self._bar, len(self._meters) - 1)].ticks


def _chord(name: str, column: int) -> Chord:
    match = _CHORD.fullmatch(name)
    if match is None:
        raise _error(column, f"'{_cut(name)}' is no chord: A to G, with # or b, or 'auto'")
    quality = match["quality"].strip()
    quality = ALIASES.get(quality, quality)
    if quality not in QUALITIES:
        known = " ".join(q or "''" for q in QUALITIES)
        at = column + match.start("quality")
        raise _error(at, f"unknown chord quality '{_cut(quality)}': known are {known}")
    bass = match["bass"]
    if bass is None:
        return Chord(pitch_class(match["root"]), quality)
    if not re.fullmatch(_ROOT, bass.strip()):
        at = column + match.start("bass")
        raise _error(at, f"'{_cut(bass)}' is no bass note: A to G, with # or b")
    return Chord(pitch_class(match["root"]), quality, pitch_class(bass.strip()))


def pitch_class(note: str) -> int:
    """0 (C) to 11 (B) of a note's name, such as ``F#`` or ``Cb``; KeyError if it is none."""
    return (NATURALS[note[:1]] + ACCIDENTALS[note[1:]]) % 12


def _length(text: str, column: int) -> Fraction:
    """A length in ticks, exact."""
    match = _LENGTH.fullmatch(text)
    how = "beats as 4, 1.5 or 2/3; sixteenths as 16s; ticks as 1920t"
    if match is None:
        raise _error(column, f"'{_cut(text)}' is no length: {how}")
    number = match["number"]
    if "/" in number and not int(number.partition("/")[2]):
        raise _error(column, f"'{number}' divides by zero: {how}")
    length = Fraction(number) * UNITS[match["unit"]]
    if not length:
        raise _error(column, "a length is more than 0")
    return length


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _cut(text: str, width: int = 24) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _beats(ticks: int) -> str:
    number = f"{ticks / TICKS_PER_BEAT:.4f}".rstrip("0").rstrip(".")
    return f"{number} beat{'' if number == '1' else 's'}"


def _error(column: int, text: str) -> SidemanError:
    return SidemanError(Code.BAD_ARGUMENTS, f"chords, column {column}: {text}")
