"""A written score, and how it is played: repeats unfolded, ties joined, bars made whole.

Times inside a measure are exact fractions of quarter notes. All parts share one row of measures, as
they do on paper; a note says which part it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TypeVar

from engine.chords import Chord
from engine.errors import Code, SidemanError
from engine.music import TICKS_PER_BEAT, Meter
from training.importers import song

MAX_PLAYED = 20_000
"""Measures that a score may have when its repeats are unfolded."""

DYNAMICS = {
    "pppp": 20, "ppp": 28, "pp": 38, "p": 50, "mp": 64, "mf": 80, "f": 96, "ff": 112,
    "fff": 120, "ffff": 127, "fp": 96, "sf": 112, "sfz": 112, "fz": 112, "rf": 104, "rfz": 104,
}  # fmt: skip
"""Velocities of the letters; mezzo forte is where a score says nothing."""

Value = TypeVar("Value")
Timed = list[tuple[Fraction, Value]]


@dataclass(slots=True)
class Note:
    """A note as it is written; ``at`` counts from the start of its measure."""

    at: Fraction
    length: Fraction
    pitch: int
    velocity: int
    part: int
    tied_from: bool = False
    tied_to: bool = False


@dataclass(slots=True)
class Measure:
    """What stands between two bar lines, and the signs that say where to go on."""

    length: Fraction = Fraction(0)
    """As far as any part writes notes or rests; 0 where nothing is written."""
    notes: list[Note] = field(default_factory=list)
    chords: Timed[Chord | None] = field(default_factory=list)
    tempos: Timed[float] = field(default_factory=list)
    meter: Meter | None = None
    key: str | None = None
    movement: bool = False
    """A movement begins here, which no repeat or jump leaves."""
    forward: bool = False
    """A repeat begins here."""
    times: int = 0
    """How often the repeat that ends here is played; 0 where none does."""
    endings: frozenset[int] = frozenset()
    """The times through the repeat in which this measure is played; empty for every time."""
    ending_stops: bool = False
    """The bracket of an ending closes after this measure."""
    jump: str = ""
    """``capo`` or ``segno``: where to go from the end of this measure, once."""
    segno: bool = False
    coda: bool = False
    to_coda: bool = False
    """After a jump, from the end of this measure to the coda."""
    fine: bool = False
    """After a jump, the end."""


@dataclass(slots=True)
class Sheet:
    """Measures, and the instruments that play them: (name, program) of each part."""

    parts: list[tuple[str, int]]
    measures: list[Measure]
    title: str = ""
    author: str = ""
    rights: str = ""


def spread_endings(measures: Sequence[Measure]) -> None:
    """Give an ending's numbers, written where it begins, to all the measures that it spans.

    A first ending goes on to its repeat sign, even where its bracket stops before.
    """
    running: frozenset[int] = frozenset()
    for i, measure in enumerate(measures):
        running = measure.endings or running
        measure.endings = running
        if measure.times or (measure.ending_stops and not (1 in running and _repeats(measures, i))):
            running = frozenset()


def _repeats(measures: Sequence[Measure], ended: int) -> bool:
    """Whether a repeat sign follows before the next ending or part begins."""
    for measure in measures[ended + 1 :]:
        if measure.forward or measure.endings or measure.movement:
            return False
        if measure.times:
            return True
    return False


def play_order(measures: Sequence[Measure]) -> list[int]:
    """Indexes of the measures in the order in which they are played, movement by movement."""
    begins = [i for i, measure in enumerate(measures) if measure.movement and i]
    order = [
        begin + i
        for begin, end in pairwise([0, *begins, len(measures)])
        for i in _movement_order(measures[begin:end])
    ]
    if len(order) > MAX_PLAYED:
        raise SidemanError(Code.BAD_FILE, f"is longer than {MAX_PLAYED} measures when played")
    return order


def _movement_order(measures: Sequence[Measure]) -> list[int]:
    last_time = _last_times(measures)
    coda = max((i for i, measure in enumerate(measures) if measure.coda), default=-1)
    segno = max((i for i, measure in enumerate(measures) if measure.segno), default=0)
    order: list[int] = []
    i = start = 0
    time, jumped = 1, False
    while i < len(measures):
        measure = measures[i]
        if measure.forward and i != start:
            start, time = i, 1
        if measure.endings and (last_time[i] if jumped else time) not in measure.endings:
            i += 1
            continue
        order.append(i)
        times = last_time[i] if measure.endings else measure.times
        after_volta = i + 1 == len(measures) or measures[i + 1].endings != measure.endings
        if measure.times and not jumped and time < times:
            i, time = start, time + 1
            continue
        if jumped and measure.fine:
            break
        if measure.jump and not jumped:
            jumped = True
            i = start = segno if measure.jump == "segno" else 0
            continue
        if jumped and measure.to_coda and coda > i:
            i = start = coda
            continue
        if measure.times or (measure.endings and after_volta and time >= times):
            start, time = i + 1, 1
        i += 1
    return order


def _last_times(measures: Sequence[Measure]) -> list[int]:
    """For each measure, the highest number in the row of endings that it stands in."""
    last = [0] * len(measures)
    for indexes in (range(len(measures)), reversed(range(len(measures)))):
        highest = 0
        for i in indexes:
            highest = max(highest, last[i], *measures[i].endings) if measures[i].endings else 0
            last[i] = highest
    return last


def perform(sheet: Sheet) -> song.Song:
    """The score as it sounds."""
    order = play_order(sheet.measures)
    meters = _held([measure.meter for measure in sheet.measures], Meter())
    keys = _held([measure.key for measure in sheet.measures], "")
    tempos_after = _held([m.tempos[-1][1] if m.tempos else None for m in sheet.measures], 0.0)
    lengths = [m.length or meter.beats for m, meter in zip(sheet.measures, meters, strict=True)]
    bars = [(lengths[i], meters[i]) for i in order]
    begin, changes = _bar_lines(bars)

    made = song.Song(
        [song.Part(name, program) for name, program in sheet.parts],
        meters=[(_ticks(at), meter) for at, meter in changes],
        title=sheet.title,
        author=sheet.author,
        rights=sheet.rights,
    )
    at = begin
    ties: dict[tuple[int, int], tuple[Fraction, int]] = {}
    for i in order:
        measure = sheet.measures[i]
        tempos = list(measure.tempos)
        if i and tempos_after[i - 1] and (not tempos or tempos[0][0] > 0):
            tempos.insert(0, (Fraction(0), tempos_after[i - 1]))
        _note_changes(made.tempos, at, tempos)
        _note_changes(made.chords, at, measure.chords)
        if keys[i]:
            _note_changes(made.keys, at, [(Fraction(0), keys[i])])
        for note in sorted(measure.notes, key=lambda note: note.at):
            _sound(made.parts[note.part], note, at, ties)
        at += lengths[i]
    if made.tempos and made.tempos[0][0] <= _ticks(begin):
        made.tempos[0] = (0, made.tempos[0][1])
    return made


def _held(values: Sequence[Value | None], current: Value) -> list[Value]:
    """Each value held until the next one; ``current`` before the first."""
    held = []
    for value in values:
        current = current if value is None else value
        held.append(current)
    return held


def _note_changes(
    changes: list[tuple[int, Value]], start: Fraction, here: Sequence[tuple[Fraction, Value]]
) -> None:
    """Add the values of a measure that differ from what holds already."""
    for at, value in here:
        tick = _ticks(start + at)
        if changes and changes[-1][0] >= tick:
            changes.pop()
        if not changes or changes[-1][1] != value:
            changes.append((tick, value))


def _sound(
    part: song.Part,
    note: Note,
    measure: Fraction,
    ties: dict[tuple[int, int], tuple[Fraction, int]],
) -> None:
    """Add a note to its part, or lengthen the one that it is tied to."""
    start, end = measure + note.at, measure + note.at + note.length
    key = (note.part, note.pitch)
    tied_end, index = ties.pop(key, (None, -1)) if note.tied_from else (None, -1)
    if tied_end == start:
        before = part.notes[index]
        part.notes[index] = before._replace(duration=_ticks(end) - before.start)
    else:
        index = len(part.notes)
        duration = max(1, _ticks(end) - _ticks(start))
        part.notes.append(song.Note(_ticks(start), duration, note.pitch, note.velocity))
    if note.tied_to:
        ties[key] = (end, index)


def _bar_lines(bars: Sequence[tuple[Fraction, Meter]]) -> tuple[Fraction, Timed[Meter]]:
    """Where the music begins, and the meters that put every bar line where it is written.

    ``bars`` are the lengths of the played measures and their meters. A short first measure becomes
    the end of a whole bar; measures that fill one bar together are one; what is left over has a
    bar of its own length.
    """
    begin = Fraction(0)
    changes: Timed[Meter] = []
    at, i = Fraction(0), 0
    while i < len(bars):
        span, meter = bars[i]
        j = i + 1
        while j < len(bars) and bars[j][1] == meter and span + bars[j][0] <= meter.beats:
            span += bars[j][0]
            j += 1
        if i == 0 and span < meter.beats and j < len(bars):
            begin, span = meter.beats - span, meter.beats
        real = (_meter_of(span) or meter) if span != meter.beats and j < len(bars) else meter
        if not changes or changes[-1][1] != real:
            changes.append((at, real))
        at += span
        i = j
    return begin, changes


def _meter_of(beats: Fraction) -> Meter | None:
    """The meter whose bar lasts so many quarter notes, in the longest notes that count it."""
    for lower in (4, 8, 16, 32):
        upper = beats * lower / 4
        if upper.denominator == 1 and 1 <= upper <= 64:
            return Meter(int(upper), lower)
    return None


def _ticks(beats: Fraction) -> int:
    return round(beats * TICKS_PER_BEAT)
