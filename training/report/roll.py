"""Piano rolls: pitch over time, drums in rows of their own below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from engine.instruments import program_name
from engine.music import DRUMS, Meter, Note
from training.measures import Bars
from training.report.svg import Markup, line, plot, tag

WIDTH = 560.0
PITCH, DRUM = 2.4, 4.0
"""Height of a semitone, and of a drum."""

HUES = 8
"""Colours of instruments; the ninth has the first one's."""


@dataclass(frozen=True, slots=True)
class Staff:
    """What the rolls of one piece share, so that they can be compared: rows and colours."""

    low: int
    high: int
    drums: tuple[int, ...]
    """Drum pitches, from the lowest."""
    programs: tuple[int, ...]
    """The busiest first."""

    @classmethod
    def of(cls, music: Iterable[Bars]) -> Staff:
        """For all that is to be drawn."""
        notes = [note for bars in music for bar in bars for note in bar]
        pitches = [note.pitch for note in notes if note.program != DRUMS]
        busy = Counter(note.program for note in notes if note.program != DRUMS)
        return cls(
            min(pitches, default=60),
            max(pitches, default=59),
            tuple(sorted({note.pitch for note in notes if note.program == DRUMS})),
            tuple(program for program, _ in busy.most_common()),
        )

    @property
    def pitched_height(self) -> float:
        """Height of the rows of pitches."""
        return PITCH * (self.high - self.low + 1)

    @property
    def height(self) -> float:
        """Height of all rows."""
        return self.pitched_height + (DRUM * len(self.drums) + 4 if self.drums else 0)

    def y(self, note: Note) -> float:
        """The middle of a note's row."""
        if note.program == DRUMS:
            return self.height - DRUM * (self.drums.index(note.pitch) + 0.5)
        return PITCH * (self.high - note.pitch + 0.5)

    def colour(self, program: int) -> str:
        """The class of an instrument's colour."""
        return "drums" if program == DRUMS else f"hue{self.programs.index(program) % HUES}"

    def legend(self) -> Markup:
        """Which colour is which instrument."""
        heard = (*self.programs, *((DRUMS,) if self.drums else ()))
        items = (
            tag("span", tag("i", class_=self.colour(p)), program_name(p), class_="key")
            for p in heard
        )
        return tag("p", *items, class_="legend")


def roll(staff: Staff, before: Bars, take: Bars, meters: Sequence[Meter], title: str) -> Markup:
    """Some bars of context, paler, then a take. ``meters`` are those of all these bars."""
    lines = [0, *accumulate(meter.ticks for meter in meters)]
    scale = WIDTH / lines[-1]
    height, cut = staff.height, len(before)
    drawn = [
        line(tick * scale, 0, tick * scale, height, "cut" if bar == cut else "grid")
        for bar, tick in enumerate(lines)
    ]
    for bars, first, pale in ((before, 0, " past"), (take, cut, "")):
        strokes: dict[int, list[str]] = {}
        for bar, notes in enumerate(bars, first):
            for note in notes:
                length = 0 if note.program == DRUMS else note.duration
                x = (lines[bar] + note.tick) * scale
                # A stroke of some length, so that short notes and drums can be seen.
                long = max(2.0, min(length * scale, WIDTH - x) - 0.6)
                stroke = f"M{x:.1f} {staff.y(note):.1f}h{long:.1f}"
                strokes.setdefault(note.program, []).append(stroke)
        drawn += [
            tag("path", d="".join(each), class_=f"notes {staff.colour(program)}{pale}")
            for program, each in sorted(strokes.items())
        ]
    drawing = plot(WIDTH, height, title, *drawn)
    return tag("figure", tag("figcaption", title), drawing)
