"""The 423 tokens of a GPT-2 band: five tracks of 84 pitches on a grid of sixteenths.

A step of a sixteenth is the tokens of all sounding pitches, without the drums ascending and then
the drums ascending, closed by `TIME`; a piece closes with `END`. There are no lengths: what is held
sounds in every step, so a pitch that goes on without a gap is one note, except on drums. The data
set is a folder of ``NNN.npz``, each with an array ``data`` ``uint16 [n, 1024]`` through which the
pieces run on, and ``tracks.trc``, the tracks' names in the order of their tokens.

Format: github.com/Snips-SP/practical-work (MIT), described in its ``encode.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError
from engine.instruments import class_of
from engine.music import DRUMS, TICKS_PER_BEAT, Meter
from training.importers.arrays import read_arrays
from training.importers.song import MAX_BEATS, Note, Part, Song, replacing

TRACKS = (("Bass", 32), ("Drums", DRUMS), ("Piano", 0), ("Guitar", 24), ("Strings", 48))
"""Names and programs in the order of the tokens."""

CLASS_TRACKS = {0: 2, 3: 3, 4: 0, 16: 1}
"""Which track plays an instrument class. As in LPD-5, all the others are strings."""

STRINGS_TRACK = 4
EFFECTS = (12, 15)
"""Classes that no track plays: synthesiser and sound effects."""

LOWEST, PITCHES = 24, 84
TIME = len(TRACKS) * PITCHES
END, PAD, VOCAB = TIME + 1, TIME + 2, TIME + 3
DRUM_TRACK = 1

STEP = TICKS_PER_BEAT // 4
"""Ticks in a step."""
VELOCITY = 100
"""Of every note: the format has none."""
SEQUENCE = 1024
CHUNK = 400_000
"""Sequences in a file of the data set."""

Step: TypeAlias = frozenset[int]
"""The sounding tokens of a step, each below `TIME`."""


def to_tokens(steps: Iterable[Step]) -> list[int]:
    """The tokens of one piece."""
    drums = range(DRUM_TRACK * PITCHES, (DRUM_TRACK + 1) * PITCHES)
    tokens = []
    for step in steps:
        tokens += sorted(step, key=lambda token: (token in drums, token))
        tokens.append(TIME)
    return [*tokens, END]


def to_steps(tokens: Iterable[int]) -> list[Step]:
    """The steps of one piece, up to its end. Raises ``bad-file`` for what is no token."""
    steps: list[Step] = []
    step: set[int] = set()
    for token in tokens:
        if token == END:
            break
        if token == TIME:
            steps.append(frozenset(step))
            step = set()
        elif 0 <= token < TIME:
            step.add(int(token))
        elif token != PAD:
            raise SidemanError(Code.BAD_FILE, f"{token} is none of the {VOCAB} tokens")
    return [*steps, frozenset(step)] if step else steps


def encode(song: Song) -> list[int]:
    """The tokens of a song: what sounds at each sixteenth, folded into seven octaves.

    Drums sound in the step that they begin in. Raises ``bad-file`` for a song that is too long.
    """
    sounding: dict[int, set[int]] = {}
    for part in song.parts:
        number = class_of(part.program).number
        if number in EFFECTS:
            continue
        track = CLASS_TRACKS.get(number, STRINGS_TRACK)
        for note in part.notes:
            token = track * PITCHES + _fold(note.pitch) - LOWEST
            first = (2 * note.start + STEP) // (2 * STEP)
            last = (2 * (note.start + note.duration) + STEP) // (2 * STEP)
            if last * STEP > MAX_BEATS * TICKS_PER_BEAT:
                raise SidemanError(Code.BAD_FILE, f"is longer than {MAX_BEATS} beats")
            for step in range(first, max(first + 1, last) if track != DRUM_TRACK else first + 1):
                sounding.setdefault(step, set()).add(token)
    count = max(sounding, default=-1) + 1
    return to_tokens(frozenset(sounding.get(i, ())) for i in range(count))


def decode(tokens: Iterable[int]) -> Song:
    """The song of one piece's tokens: five parts, those without notes among them."""
    parts = [Part(name, program) for name, program in TRACKS]
    steps = to_steps(tokens)
    begun: dict[int, int] = {}
    for i, step in enumerate([*steps, frozenset()]):
        for token in sorted(begun):
            if token not in step or token // PITCHES == DRUM_TRACK:
                start = begun.pop(token)
                track, pitch = divmod(token, PITCHES)
                note = Note(start * STEP, (i - start) * STEP, pitch + LOWEST, VELOCITY)
                parts[track].notes.append(note)
        for token in step:
            begun.setdefault(token, i)
    for part in parts:
        part.notes.sort()
    return Song(parts, meters=[(0, Meter())])


def _fold(pitch: int) -> int:
    """The pitch, by octaves, inside the format's range."""
    while pitch < LOWEST:
        pitch += 12
    while pitch >= LOWEST + PITCHES:
        pitch -= 12
    return pitch


def read_tokens(path: Path) -> Iterator[tuple[str, Song]]:
    """The pieces of one file of a data set, numbered from 1; empty ones are passed over.

    Sequences run on into each other, so the first piece of a file may lack its beginning and the
    last one its end.
    """
    data = read_arrays(path, only=("data",)).get("data")
    if data is None or data.dtype.kind not in "iu" or data.ndim != 2:
        raise SidemanError(Code.BAD_FILE, "has no table of tokens called 'data'")
    if data.size and not 0 <= data.min() <= data.max() < VOCAB:
        raise SidemanError(Code.BAD_FILE, f"has numbers that are none of the {VOCAB} tokens")
    stream = data.reshape(-1)
    begin, number = 0, 0
    for end in [*(np.flatnonzero(stream == END) + 1), len(stream)]:
        song = decode(stream[begin:end].tolist())
        begin = int(end)
        if song.notes:
            number += 1
            yield f"-{number:05d}", song


def write_tokens(pieces: Iterable[Sequence[int]], folder: Path) -> list[Path]:
    """Write the tokens of pieces as a data set; the last sequence is filled up with `PAD`.

    Returns the files. Unlike the original program, it drops no last, incomplete sequence.
    """
    files: list[Path] = []
    rows: list[NDArray[np.uint16]] = []
    rest: list[int] = []

    def flush() -> None:
        path = folder / f"{len(files):03d}.npz"
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, data=np.stack(rows))
        files.append(path)
        rows.clear()

    for piece in pieces:
        rest += piece
        while len(rest) >= SEQUENCE:
            rows.append(np.array(rest[:SEQUENCE], np.uint16))
            del rest[:SEQUENCE]
            if len(rows) == CHUNK:
                flush()
    if rest:
        rows.append(np.array(rest + [PAD] * (SEQUENCE - len(rest)), np.uint16))
    if rows:
        flush()
    order = folder / "tracks.trc"
    with replacing(order) as temporary:
        temporary.write_text(",".join(name for name, _ in TRACKS), encoding="utf-8")
    return [*files, order]
