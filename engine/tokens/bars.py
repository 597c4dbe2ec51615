"""What a plan means inside one bar: its grid, its pitches, and how many notes it takes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from math import ceil, floor
from typing import NamedTuple

from engine.music import TICKS_PER_BEAT, Meter, Note
from engine.tokens.encode import Written, quantise
from engine.tokens.menu import Pitches
from engine.tokens.plan import ChordSpan, Plan
from engine.tokens.vocabulary import Grid, Vocabulary

NOTES_PER_BEAT = 16
"""No program writes more notes than this to a quarter note, whatever the model wants."""

DENSITY_TOLERANCE = 0.25
"""How far the number of notes in a bar may lie from what the density asks for, as a share."""


class Budget(NamedTuple):
    """How many notes a bar takes and how evenly they come; ticks are those of the bar."""

    least: int
    most: int
    origin: int
    """Tick from which the pace is counted."""
    span: int
    """Ticks over which the notes are spread."""
    lead: int | None
    """Notes that the bar may be ahead of an even pace; None where it need not be even."""

    def open(self, count: int, tick: int) -> bool:
        """Whether a bar that holds ``count`` notes may begin another at ``tick``."""
        if self.lead is None:
            return count < self.most
        ahead = (count - self.lead) * self.span
        return count < self.most and ahead < self.most * (tick - self.origin)

    def earliest(self, count: int) -> int:
        """The first tick that is open to a bar that holds ``count`` notes, less than its most."""
        if self.lead is None or count < self.lead:
            return self.origin
        return self.origin + (count - self.lead) * self.span // self.most + 1

    def latest(self, count: int) -> int:
        """The tick before which the next note is due, in a bar that owes it.

        At the latest at an even pace, so that the bar's end is not crammed with what is missing.
        """
        return self.origin + -(-(count + 1) * self.span // self.least)


class OpenBar(NamedTuple):
    """One bar of a plan, ready to be written. Positions are those of its grid."""

    grid: Grid
    given: tuple[Written, ...]
    reference: dict[int, tuple[Written, ...]]
    """Notes of the reference by position."""
    first: int
    """The first position at which the take may begin a note."""
    room: int
    """The position from which on no note fits in."""
    budget: Budget
    scale: Pitches
    """Those of key and range."""
    drums: Pitches
    starts: tuple[int, ...]
    """Ticks at which chords begin, ascending."""
    chords: tuple[tuple[int, Pitches], ...]
    """For each chord the tick at which it ends, and its tones in key and range."""

    def harmony(self, tick: int) -> tuple[Pitches, Pitches | None]:
        """The pitches that may sound at a tick, and those of the chord there, if one holds."""
        i = bisect_right(self.starts, tick) - 1
        if i < 0 or tick >= self.chords[i][0]:
            return self.scale, None
        return self.scale, self.chords[i][1]

    def position_from(self, tick: int) -> int:
        """The first position at or after a tick."""
        return -(-tick // self.grid.step)

    def until(self, tick: int) -> int:
        """The position before which a note must begin that is due before ``tick``, if it fits."""
        return min(self.position_from(tick), self.room)


@lru_cache(maxsize=4096)
def pitches(
    ids: range, lowest: int, low: int, high: int, *classes: frozenset[int] | None
) -> Pitches:
    """Those of a range that are in all of some sets of pitch classes; None is no limit.

    ``ids`` are the vocabulary's, from the pitch ``lowest`` on.
    """
    limits = [limit for limit in classes if limit is not None]
    return sum(
        1 << pitch
        for pitch in range(max(low, lowest), min(high, lowest + len(ids) - 1) + 1)
        if all(pitch % 12 in limit for limit in limits)
    )


class Limits(NamedTuple):
    """What a plan asks of each of its bars alike; see there."""

    low: int
    high: int
    key: frozenset[int] | None
    density: float | None
    programs: int
    """How many there are."""


def limits(plan: Plan) -> Limits:
    """Those of a plan."""
    return Limits(plan.low, plan.high, plan.key, plan.density, len(set(plan.programs)))


def least_notes(density: float | None, beats: float) -> int:
    """How many notes a density asks of so many quarter notes at the least."""
    return floor((density or 0) * beats * (1 - DENSITY_TOLERANCE))


def budget(limits: Limits, owed: int, first: int, room: int, step: int) -> Budget:
    """The budget of a bar whose notes begin from position ``first`` to before ``room``.

    ``owed`` notes have to come even where the density asks for fewer.
    """
    positions = max(0, room - first)
    span = positions * step
    beats = span / TICKS_PER_BEAT
    limit = most = ceil(NOTES_PER_BEAT * beats) * limits.programs
    lead = None
    if limits.density is not None:
        most = min(limit, max(1, ceil(limits.density * beats * (1 + DENSITY_TOLERANCE))))
        lead = max(1, ceil(limits.density))
    least = min(max(least_notes(limits.density, beats), owed), positions, limit)
    return Budget(least, max(least, most), first * step, span, lead)


def open_bar(
    vocabulary: Vocabulary,
    plan: Plan,
    bar: int,
    limits: Limits,
    room: int,
    owed: int,
    reference: Sequence[Note],
) -> OpenBar:
    """Get bar number ``bar`` of a plan ready; ``room`` is the ticks from its start to the end."""
    planned = plan.bars[bar]
    grid = vocabulary.grid(planned.meter)
    first = 0 if bar else -(-plan.start // grid.step)
    fitting = min(grid.positions, (room - grid.durations[0]) // grid.step + 1)
    frame = _frame(vocabulary, planned.meter, planned.chords, limits, first, fitting, owed)
    if not planned.given and not reference:
        return frame
    given = quantise(vocabulary, grid, planned.given)
    if plan.opened and not bar:
        given = [note for note in given if note.position >= first]
    places: dict[int, tuple[Written, ...]] = {}
    for note in quantise(vocabulary, grid, reference):
        places[note.position] = (*places.get(note.position, ()), note)
    return frame._replace(given=tuple(given), reference=places)


@lru_cache(maxsize=1024)
def _frame(
    vocabulary: Vocabulary,
    meter: Meter,
    chords: tuple[ChordSpan, ...],
    limits: Limits,
    first: int,
    room: int,
    owed: int,
) -> OpenBar:
    """A bar without given notes and reference: those of a take are mostly alike."""
    grid = vocabulary.grid(meter)
    melodic = (vocabulary.pitch, vocabulary.lowest, limits.low, limits.high, limits.key)
    return OpenBar(
        grid=grid,
        given=(),
        reference={},
        first=first,
        room=room,
        budget=budget(limits, owed, first, room, grid.step),
        scale=pitches(*melodic),
        drums=pitches(vocabulary.drum, vocabulary.lowest_drum, 0, 127),
        starts=tuple(chord.start for chord in chords),
        chords=tuple((chord.end, pitches(*melodic, chord.pitch_classes)) for chord in chords),
    )
