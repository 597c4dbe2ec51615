"""Notes to tokens, bar by bar, and back.

A bar's tokens depend on nothing outside the bar, so that a piece is the concatenation of its bars:
what miditok's REMI writes for the same notes, its tracks ordered by program and their notes by
onset and pitch. Within a position, notes stand in sounding order: drums, then by program, each
from low to high. The grammar relies on this order, and training data has to have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from engine.music import DRUMS, Meter, Note
from engine.tokens.vocabulary import Grid, Vocabulary

EDGE_HATS = {22: 42, 26: 46}
"""Drum pitches below the General MIDI kit that Roland's kits send for a hi-hat struck on its edge,
and the closed and open hi-hat that they stand for (Gillick et al. 2019, Groove MIDI Dataset)."""


class Written(NamedTuple):
    """A note on the grid. Sorts in the order in which notes stand in the stream."""

    position: int
    program: int
    pitch: int
    program_id: int
    pitch_id: int
    velocity_id: int
    duration_id: int


def quantise(vocabulary: Vocabulary, grid: Grid, notes: Iterable[Note]) -> list[Written]:
    """The notes of one bar as the vocabulary can write them, in the order of the stream.

    Onsets go to the nearest position of the bar (one that rounds past its end stays on the last),
    durations and velocities to the nearest bin; halves go up. Notes whose program or pitch the
    vocabulary lacks are left out, as miditok does. Of notes that fall together (same program,
    position and pitch) the longest stays, of equally long ones the loudest.
    """
    kept: dict[tuple[int, int, int], tuple[int, int, int, int]] = {}
    for note in notes:
        pitch = EDGE_HATS.get(note.pitch, note.pitch) if note.program == DRUMS else note.pitch
        program_id = vocabulary.program_ids.get(note.program)
        pitch_id = vocabulary.pitch_id(note.program, pitch)
        if program_id is None or pitch_id is None:
            continue
        place = (grid.position(note.tick), note.program, pitch)
        duration_id = vocabulary.duration[grid.duration(note.duration)]
        velocity_id = vocabulary.velocity_ids[min(max(note.velocity, 1), 127)]
        former = kept.get(place)
        if former is None or (duration_id, velocity_id) > (former[3], former[2]):
            kept[place] = (program_id, pitch_id, velocity_id, duration_id)
    return [Written(*place, *tokens) for place, tokens in sorted(kept.items())]


def encode_bar(vocabulary: Vocabulary, meter: Meter, notes: Iterable[Note]) -> list[int]:
    """The tokens of one bar: Bar, TimeSig, then its notes; an empty bar is the first two.

    Only the notes' ticks are read, not their bars. See :func:`quantise` for what is rounded.
    """
    grid = vocabulary.grid(meter)
    tokens = [vocabulary.bar, grid.time_signature]
    position = -1
    for note in quantise(vocabulary, grid, notes):
        if note.position != position:
            position = note.position
            tokens.append(vocabulary.position[position])
        tokens += note[3:]
    return tokens


def decode(vocabulary: Vocabulary, tokens: Iterable[int]) -> list[Note]:
    """The notes of a stream, in its order; the first Bar token opens bar 0.

    Positions count in the meter that is written, which for an unknown meter is not the bar's own
    (see :meth:`Vocabulary.meter_for`). Incomplete notes and stray tokens are passed over.
    """
    notes: list[Note] = []
    bar, position = -1, 0
    grid = vocabulary.grid(vocabulary.meters[0])
    pending: list[int] = []
    expected: list[range] = []
    for token in tokens:
        if token == vocabulary.bar:
            bar, position, pending = bar + 1, 0, []
        elif token in vocabulary.time_signature:
            meter = vocabulary.meters[token - vocabulary.time_signature.start]
            grid = vocabulary.grid(meter)
        elif token in vocabulary.position:
            position, pending = token - vocabulary.position.start, []
        elif token in vocabulary.program:
            program = vocabulary.programs[token - vocabulary.program.start]
            expected = [vocabulary.pitches(program)[0], vocabulary.velocity, vocabulary.duration]
            pending = [token]
        elif pending and token in expected[len(pending) - 1]:
            pending.append(token)
            if len(pending) == 4:
                notes.append(_note(vocabulary, grid, max(bar, 0), position, pending))
                pending = []
        else:
            pending = []
    return notes


def _note(vocabulary: Vocabulary, grid: Grid, bar: int, position: int, tokens: list[int]) -> Note:
    program = vocabulary.programs[tokens[0] - vocabulary.program.start]
    ids, lowest = vocabulary.pitches(program)
    return Note(
        bar=bar,
        tick=position * grid.step,
        program=program,
        pitch=lowest + tokens[1] - ids.start,
        duration=grid.durations[tokens[3] - vocabulary.duration.start],
        velocity=vocabulary.velocities[tokens[2] - vocabulary.velocity.start],
    )
