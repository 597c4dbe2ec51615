"""What can be counted about a continuation: whether it fits what came before, and how it moves.

None of these says whether music is good; each catches one way of being wrong. Real music next to
the model's is the yardstick (:mod:`training.samples` prints both).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.music import DRUMS, Note

DIATONIC = frozenset((0, 2, 4, 5, 7, 9, 11))

Bars = Sequence[Sequence[Note]]
"""Notes by bar."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one take against its context; None where there is nothing to measure."""

    in_key: float | None
    """Share of pitched notes in the diatonic set that covers most of the context."""

    pitch_classes: float | None
    """Overlap of the two histograms of pitch classes, 0 to 1."""

    programs: float
    """Share of notes in programs of the context."""

    density: float
    """Notes a bar, as a multiple of the context's."""

    verbatim: float
    """Share of bars that the context holds note for note (onset, program and pitch)."""

    still: float
    """Share of bars that are the same as the take's bar before."""

    longest_run: int
    """Most notes in a row, in one program, on one pitch; drums do not count."""


def measure(context: Bars, take: Bars) -> Measures:
    """Measure ``take``, which follows ``context``; both hold at least one note."""
    known = {_picture(bar) for bar in context}
    notes = [note for bar in take for note in bar]
    before = [note for bar in context for note in bar]
    programs = {note.program for note in before}
    mine, theirs = _pitch_classes(notes), _pitch_classes(before)
    scale = _scale(theirs)
    pitched = sum(mine.values())
    repeats = sum(_picture(a) == _picture(b) for a, b in pairwise(take))
    return Measures(
        in_key=sum(mine[c] for c in scale) / pitched if pitched and theirs else None,
        pitch_classes=_overlap(mine, theirs) if pitched and theirs else None,
        programs=sum(note.program in programs for note in notes) / max(1, len(notes)),
        density=len(notes) / len(take) / (len(before) / len(context)),
        verbatim=sum(_picture(bar) in known for bar in take) / len(take),
        still=repeats / max(1, len(take) - 1),
        longest_run=_longest_run(notes),
    )


def _picture(bar: Sequence[Note]) -> frozenset[tuple[int, int, int]]:
    return frozenset((note.tick, note.program, note.pitch) for note in bar)


def _pitch_classes(notes: Sequence[Note]) -> Counter[int]:
    return Counter(note.pitch % 12 for note in notes if note.program != DRUMS)


def _scale(histogram: Counter[int]) -> frozenset[int]:
    """The transposition of the diatonic set that covers most of a histogram."""
    scales = [frozenset((c + root) % 12 for c in DIATONIC) for root in range(12)]
    return max(scales, key=lambda scale: sum(histogram[c] for c in scale))


def _overlap(mine: Counter[int], theirs: Counter[int]) -> float:
    return sum(min(mine[c] / mine.total(), theirs[c] / theirs.total()) for c in range(12))


def _longest_run(notes: Sequence[Note]) -> int:
    longest, runs = 0, dict[int, tuple[int, int]]()
    for note in notes:
        if note.program == DRUMS:
            continue
        pitch, length = runs.get(note.program, (-1, 0))
        length = length + 1 if note.pitch == pitch else 1
        runs[note.program] = note.pitch, length
        longest = max(longest, length)
    return longest
