"""What can be counted about a continuation: whether it fits what came before, how it moves, and how
near it comes to what really follows.

None of these says whether music is good; each catches one way of being wrong. Real music next to
the model's is the yardstick: see :mod:`training.report`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from statistics import fmean

from engine.music import DRUMS, TICKS_PER_BEAT, Note

DIATONIC = frozenset((0, 2, 4, 5, 7, 9, 11))
TRIADS = tuple(
    frozenset((root + step) % 12 for step in steps)
    for root in range(12)
    for steps in ((0, 4, 7), (0, 3, 7))
)
"""The 24 major and minor triads, as pitch classes."""

SIXTEENTH = TICKS_PER_BEAT // 4
WIDEST_INTERVAL = 24
"""Semitones; wider leaps count as this."""

VELOCITY_BINS = 16

Bars = Sequence[Sequence[Note]]
"""Notes by bar."""

Picture = frozenset[tuple[int, int, int]]
"""A bar as its notes' onsets, programs and pitches: what makes two bars the same."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one take against its context; None where there is nothing to measure."""

    in_key: float | None
    """Share of pitched notes in the diatonic set that covers most of the context."""

    chord_tones: float | None
    """Share of pitched notes in the triad that covers most of their bar: how clear harmony is."""

    context_pitch_classes: float | None
    """Overlap of the two histograms of pitch classes, 0 to 1."""

    groove: float
    """Mean likeness of a bar of the take and a bar of the context, by the sixteenths on which
    anything begins: 1 where they are the same, 0 where none is shared."""

    programs: float
    """Share of notes in programs of the context."""

    context_density: float
    """Notes a bar, as a multiple of the context's."""

    empty: float
    """Share of bars without a note."""

    verbatim: float
    """Share of bars that the context holds note for note (onset, program and pitch)."""

    still: float
    """Share of bars that are the same as the take's bar before."""

    self_similarity: float | None
    """Mean share of notes that two bars of the take have in common."""

    longest_run: int
    """Most notes in a row, in one program, on one pitch; drums do not count."""


def measure(context: Bars, take: Bars) -> Measures:
    """Measure ``take``, which follows ``context``; the context holds at least one note."""
    known = {picture(bar) for bar in context}
    notes, before = _notes(take), _notes(context)
    programs = {note.program for note in before}
    pictures = [picture(bar) for bar in take]
    scale = _scale(_pitch_classes(before))
    return Measures(
        in_key=_share(_pitched(notes), lambda n: n.pitch % 12 in scale) if scale else None,
        chord_tones=chord_tones(take, [clearest_triad(bar) for bar in take]),
        context_pitch_classes=overlap(_pitch_classes(notes), _pitch_classes(before)),
        groove=fmean(_groove(a, b) for a, b in product(take, context)),
        programs=_share(notes, lambda n: n.program in programs) or 0.0,
        context_density=density(take) / density(context),
        empty=sum(not bar for bar in take) / len(take),
        verbatim=sum(bar in known for bar in pictures) / len(take),
        still=sum(a == b for a, b in pairwise(pictures)) / max(1, len(take) - 1),
        self_similarity=_mean(likeness_of_bars(a, b) for a, b in combinations(pictures, 2)),
        longest_run=_longest_run(notes),
    )


@dataclass(frozen=True, slots=True)
class Likeness:
    """How near a take comes to the music that really follows: overlaps of distributions, 0 to 1.

    An overlap is the sum, over all values, of the smaller of the two shares. None where neither
    has anything to count; 0 where only one has.
    """

    pitch_classes: float | None
    intervals: float | None
    """From one highest note of a program to its next, in semitones."""
    onsets: float | None
    """Sixteenths of the bar."""
    durations: float | None
    """Sixteenths, halves up."""
    velocities: float | None
    """In 16 steps."""
    density: float
    """Notes a bar, as a multiple of the real ones."""


OVERLAPS = ("pitch_classes", "intervals", "onsets", "durations", "velocities")
"""The five measures of distribution."""


def compare(real: Bars, take: Bars) -> Likeness:
    """Compare ``take`` with ``real``, which holds at least one note."""
    mine, theirs = _notes(take), _notes(real)

    def counted(key: Callable[[Note], int]) -> float | None:
        return overlap(Counter(map(key, mine)), Counter(map(key, theirs)))

    return Likeness(
        pitch_classes=overlap(_pitch_classes(mine), _pitch_classes(theirs)),
        intervals=overlap(_intervals(take), _intervals(real)),
        onsets=counted(lambda n: _sixteenth(n.tick)),
        durations=counted(lambda n: _sixteenth(n.duration)),
        velocities=counted(lambda n: n.velocity * VELOCITY_BINS // 128),
        density=density(take) / density(real),
    )


def is_degenerate(context: Bars, take: Bars) -> bool:
    """Whether a take has broken down: silence, a flood, or one note for ever.

    The bounds are far from what real music does (the report counts that, too): more than half of
    the bars empty, four times or a tenth of the context's notes, or more than 32 notes in a row on
    one pitch and twice as many as ever in the context.
    """
    share = density(take) / density(context)
    run, known = _longest_run(_notes(take)), _longest_run(_notes(context))
    empty = sum(not bar for bar in take) / len(take)
    return empty > 0.5 or not 0.1 <= share <= 4 or run > max(32, 2 * known)


def picture(bar: Iterable[Note]) -> Picture:
    """What makes two bars the same: onsets, programs and pitches."""
    return frozenset((note.tick, note.program, note.pitch) for note in bar)


def likeness_of_bars(a: Picture, b: Picture) -> float:
    """The share of notes that two bars have in common, of all that they hold; 1 if both rest."""
    return len(a & b) / len(a | b) if a or b else 1.0


def density(bars: Bars) -> float:
    """Notes a bar."""
    return sum(map(len, bars)) / len(bars)


def chord_tones(take: Bars, chords: Sequence[frozenset[int] | None]) -> float | None:
    """Share of pitched notes that are tones of their bar's chord; a bar without one counts not."""
    judged = [
        note.pitch % 12 in chord
        for bar, chord in zip(take, chords, strict=True)
        if chord is not None
        for note in _pitched(bar)
    ]
    return _mean(judged)


def clearest_triad(bar: Sequence[Note]) -> frozenset[int] | None:
    """The triad that covers most of a bar's pitched notes; of equals, the one with most sounding
    time. None for a bar without any."""
    notes = _pitched(bar)
    if not notes:
        return None

    def covered(triad: frozenset[int]) -> tuple[int, int]:
        inside = [note for note in notes if note.pitch % 12 in triad]
        return len(inside), sum(note.duration for note in inside)

    return max(TRIADS, key=covered)


def overlap(mine: Counter[int], theirs: Counter[int]) -> float | None:
    """The common area of two histograms, each of area 1. None where both are empty."""
    if not mine or not theirs:
        return None if not mine and not theirs else 0.0
    return sum(min(mine[c] / mine.total(), theirs[c] / theirs.total()) for c in mine)


def _notes(bars: Bars) -> list[Note]:
    return [note for bar in bars for note in bar]


def _pitched(notes: Iterable[Note]) -> list[Note]:
    return [note for note in notes if note.program != DRUMS]


def _pitch_classes(notes: Iterable[Note]) -> Counter[int]:
    return Counter(note.pitch % 12 for note in _pitched(notes))


def _scale(histogram: Counter[int]) -> frozenset[int]:
    """The transposition of the diatonic set that covers most of a histogram; empty for none."""
    if not histogram:
        return frozenset()
    scales = [frozenset((c + root) % 12 for c in DIATONIC) for root in range(12)]
    return max(scales, key=lambda scale: sum(histogram[c] for c in scale))


def _intervals(bars: Bars) -> Counter[int]:
    """Steps of each program's upper voice."""
    last: dict[int, int] = {}
    found: Counter[int] = Counter()
    for bar in bars:
        tops: dict[tuple[int, int], int] = {}
        for note in _pitched(bar):
            place = note.tick, note.program
            tops[place] = max(note.pitch, tops.get(place, 0))
        for (_, program), pitch in sorted(tops.items()):
            if program in last:
                step = pitch - last[program]
                found[max(-WIDEST_INTERVAL, min(step, WIDEST_INTERVAL))] += 1
            last[program] = pitch
    return found


def _sixteenth(ticks: int) -> int:
    return (ticks + SIXTEENTH // 2) // SIXTEENTH


def _groove(a: Sequence[Note], b: Sequence[Note]) -> float:
    """Dice's coefficient: counting silent positions, as the XOR of two grids does (Wu and Yang
    2020), makes all sparse bars alike."""
    mine, theirs = ({_sixteenth(note.tick) for note in bar} for bar in (a, b))
    both = len(mine) + len(theirs)
    return 2 * len(mine & theirs) / both if both else 1.0


def _share(notes: Sequence[Note], test: Callable[[Note], bool]) -> float | None:
    return _mean(map(test, notes))


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return fmean(found) if found else None


def _longest_run(notes: Sequence[Note]) -> int:
    longest, runs = 0, dict[int, tuple[int, int]]()
    for note in _pitched(notes):
        pitch, length = runs.get(note.program, (-1, 0))
        length = length + 1 if note.pitch == pitch else 1
        runs[note.program] = note.pitch, length
        longest = max(longest, length)
    return longest
