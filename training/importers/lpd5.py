"""Piano rolls of the Lakh Pianoroll Dataset (Dong et al. 2018, MuseGAN), as pypianoroll saves them.

An npz with ``info.json`` and, for each track, a matrix of velocities ``[time, 128]`` in compressed
columns. Old files call the steps of a beat ``beat_resolution``, those since pypianoroll 1.0
``resolution``. A roll does not tell a held note from a repeated one: here a note begins where a
pitch starts to sound or gets louder.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError
from engine.music import DRUMS, TICKS_PER_BEAT, Meter
from training.importers.arrays import Arrays, read_arrays, read_info
from training.importers.song import MAX_BEATS, Note, Part, Song, clean_text

PROGRAMS = {"Drums": DRUMS, "Piano": 0, "Guitar": 24, "Bass": 32, "Strings": 48}
"""The five tracks of LPD-5, in their order, where ``info.json`` names no program."""

MAX_TRACKS = 64
PITCHES = 128
BINARY_VELOCITY = 64
"""Of notes in rolls that only say on and off; pypianoroll's own default."""


def read_lpd5(path: Path) -> Iterator[tuple[str, Song]]:
    """The song in a file of LPD-5, or of any multitrack that pypianoroll saved."""
    info, arrays = read_info(path), read_arrays(path)
    resolution = info.get("resolution", info.get("beat_resolution"))
    if not isinstance(resolution, int) or not 1 <= resolution <= TICKS_PER_BEAT:
        raise SidemanError(Code.BAD_FILE, f"its resolution is {str(resolution)[:20]}")
    tracks = [i for i in range(MAX_TRACKS) if f"pianoroll_{i}_csc_data" in arrays]
    if not tracks:
        raise SidemanError(Code.BAD_FILE, "has no piano rolls")
    parts = []
    for i in tracks:
        described = info.get(str(i))
        name, program = _described(described if isinstance(described, dict) else {}, i)
        parts.append(Part(name, program, notes(_roll(arrays, i, resolution), resolution)))
    title = info.get("name")
    yield (
        "",
        Song(
            parts,
            meters=_meters(arrays, resolution),
            tempos=_tempos(arrays, resolution),
            title=clean_text(title) if isinstance(title, str) else "",
        ),
    )


def notes(roll: NDArray[np.uint8], resolution: int) -> list[Note]:
    """The notes of a roll ``[time, 128]`` with ``resolution`` steps to the quarter note."""
    times, pitches = np.nonzero(roll.T)[::-1]  # by pitch, then by time
    velocities = roll[times, pitches].astype(int)
    held = (np.diff(times, prepend=-2) == 1) & (np.diff(pitches, prepend=-1) == 0)
    held &= np.diff(velocities, prepend=0) <= 0
    begins = np.flatnonzero(~held)
    ends = np.append(begins, len(times))[1:]
    return sorted(
        Note(
            int(times[i]) * TICKS_PER_BEAT // resolution,
            max(1, int(j - i) * TICKS_PER_BEAT // resolution),
            int(pitches[i]),
            min(int(velocities[i]), 127),
        )
        for i, j in zip(begins, ends, strict=True)
    )


def _described(track: dict[str, Any], number: int) -> tuple[str, int]:
    """Name and program of a track."""
    names = list(PROGRAMS)
    usual = names[number] if number < len(names) else f"Track {number + 1}"
    name = track.get("name")
    name = clean_text(name) if isinstance(name, str) and name else usual
    program = track.get("program")
    if track.get("is_drum") or (not track and name == "Drums"):
        return name, DRUMS
    valid = isinstance(program, int) and 0 <= program < PITCHES
    return name, int(program) if valid else PROGRAMS.get(name, 0)  # type: ignore[arg-type]


def _roll(arrays: Arrays, track: int, resolution: int) -> NDArray[np.uint8]:
    """The dense roll ``[time, 128]`` out of its compressed columns."""
    try:
        data, rows, starts, shape = (
            arrays[f"pianoroll_{track}_csc_{name}"]
            for name in ("data", "indices", "indptr", "shape")
        )
        length, width = map(int, shape)
        binary = data.dtype == np.bool_
        counts = starts[1:].astype(np.int64) - starts[:-1].astype(np.int64)
        sound = (
            width == PITCHES
            and 0 <= length <= MAX_BEATS * resolution
            and len(counts) == PITCHES
            and bool((counts >= 0).all())
            and int(starts[0]) == 0
            and len(data) == len(rows) == int(starts[-1])
            and bool(((rows >= 0) & (rows < length)).all())
        )
        if not sound:
            raise ValueError
        roll = np.zeros((length, PITCHES), np.uint8)
        columns = np.repeat(np.arange(PITCHES), counts)
        roll[rows, columns] = BINARY_VELOCITY if binary else np.clip(data, 0, 127)
        if binary:
            roll[rows[~data], columns[~data]] = 0
        return roll
    except (KeyError, ValueError, IndexError, TypeError) as error:
        text = f"the piano roll {track} is no compressed matrix of {PITCHES} pitches"
        raise SidemanError(Code.BAD_FILE, text) from error


def _tempos(arrays: Arrays, resolution: int) -> list[tuple[int, float]]:
    """The tempo wherever it changes."""
    tempo = np.ravel(arrays.get("tempo", ()))
    if tempo.dtype.kind not in "fiu":
        return []
    steps = np.flatnonzero(np.diff(tempo, prepend=0) != 0)
    return [
        (int(i) * TICKS_PER_BEAT // resolution, float(np.clip(tempo[i], 5, 1000)))
        for i in steps
        if np.isfinite(tempo[i]) and tempo[i] > 0
    ]


def _meters(arrays: Arrays, resolution: int) -> list[tuple[int, Meter]]:
    """Meters by the steps from one downbeat to the next; 4/4 where there are none."""
    beats = np.flatnonzero(np.ravel(arrays.get("downbeat", ())))
    found: list[tuple[int, Meter]] = []
    for begin, end in pairwise(beats.tolist()):
        for lower in (4, 8, 16):
            upper, rest = divmod((end - begin) * lower, 4 * resolution)
            if not rest and 1 <= upper <= 64:
                meter = Meter(upper, lower)
                if not found or found[-1][1] != meter:
                    found.append((begin * TICKS_PER_BEAT // resolution, meter))
                break
    if not found or found[0][0] > 0:
        found.insert(0, (0, Meter()))
    return found
