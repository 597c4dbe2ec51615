"""REMI tokens of a score in a few passes over arrays.

miditok makes an object of each token and a string of each object; this writes the same ids,
over twenty times as fast. It knows the plain vocabulary only: notes, programs, bars and meters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.music import DRUMS

if TYPE_CHECKING:
    from miditok import MusicTokenizer

Ids = NDArray[np.int64]
Ticks = NDArray[np.int64]


class FastRemi:
    """The ids of one tokenizer's tokens, as tables, and the encoder that uses them."""

    def __init__(self, tokenizer: MusicTokenizer) -> None:
        """``tokenizer`` is a REMI of `training.tokenize.tokenizer`, without tempos and chords."""
        ids: dict[str, int] = tokenizer.vocab
        self._bar = ids["Bar_None"]
        self._pitch = _table(ids, "Pitch", 128)
        self._drum = _table(ids, "PitchDrum", 128)
        self._velocity = _table(ids, "Velocity", 128)
        self._position = _table(ids, "Position", 1 + _highest(ids, "Position"))
        self._program = {
            program: ids[f"Program_{program}"] for program in tokenizer.config.programs
        }
        self._meter = {name: id_ for name, id_ in ids.items() if name.startswith("TimeSig_")}
        self._positions = max(tokenizer.config.beat_res.values())
        self._lengths = [
            (*map(int, name.removeprefix("Duration_").split(".")), id_)
            for name, id_ in ids.items()
            if name.startswith("Duration_")
        ]
        self._durations: dict[int, Ids] = {}

    def encode(self, score: Any) -> Ids:
        """The ids [tokens] of a score that ``preprocess_score`` has laid on the grid.

        Raises ValueError for a note that has no place in the vocabulary.
        """
        meters = score.time_signatures
        begins = np.array([meter.time for meter in meters], dtype=np.int64)
        beats = np.array([4 * score.tpq // meter.denominator for meter in meters], dtype=np.int64)
        lengths = beats * np.array([meter.numerator for meter in meters], dtype=np.int64)
        names = [self._meter[f"TimeSig_{m.numerator}/{m.denominator}"] for m in meters]

        times, notes = self._notes(score, begins, beats)
        order = np.argsort(times, kind="stable")
        times, notes = times[order], notes[order]

        last = max(int(begins[-1]), int(times[-1]) if len(times) else 0)
        bars, bar_meters = _bar_lines(begins, lengths, last)
        onsets, first = np.unique(times, return_index=True)
        place = np.searchsorted(bars, onsets, side="right") - 1
        step = beats[bar_meters[place]] // self._positions
        positions = _look_up(self._position, (onsets - bars[place]) // step, "position")

        # What stands before each bar, onset and note: 2 tokens a bar, 1 an onset, 4 a note.
        onset_of = np.repeat(np.arange(len(onsets)), np.diff(np.append(first, len(times))))
        earlier = np.searchsorted(onsets, bars, side="left")
        at_bar = 2 * np.arange(len(bars)) + earlier + 4 * np.append(first, len(times))[earlier]
        at_onset = 2 * (place + 1) + np.arange(len(onsets)) + 4 * first
        at_note = 2 * (place[onset_of] + 1) + onset_of + 1 + 4 * np.arange(len(times))

        out = np.empty(2 * len(bars) + len(onsets) + 4 * len(times), dtype=np.int64)
        out[at_bar] = self._bar
        out[at_bar + 1] = np.array(names, dtype=np.int64)[bar_meters]
        out[at_onset] = positions
        for offset in range(4):
            out[at_note + offset] = notes[:, offset]
        return out

    def _notes(self, score: Any, begins: Ticks, beats: Ticks) -> tuple[Ticks, Ids]:
        """Onsets [notes] and their program, pitch, velocity and duration [notes, 4], by track."""
        times, rows = [np.zeros(0, dtype=np.int64)], [np.zeros((0, 4), dtype=np.int64)]
        for track in score.tracks:
            notes = track.notes.numpy()
            onset = notes["time"].astype(np.int64)
            program = DRUMS if track.is_drum else track.program
            pitch = self._drum if track.is_drum else self._pitch
            beat = beats[np.searchsorted(begins, onset, side="right") - 1]
            row = np.empty((len(onset), 4), dtype=np.int64)
            row[:, 0] = self._program[program]
            row[:, 1] = _look_up(pitch, notes["pitch"], "pitch")
            row[:, 2] = _look_up(self._velocity, notes["velocity"], "velocity")
            for ticks in np.unique(beat):
                here = beat == ticks
                table = self._duration_table(int(ticks))
                row[here, 3] = _look_up(table, notes["duration"][here], "duration")
            times.append(onset)
            rows.append(row)
        return np.concatenate(times), np.concatenate(rows)

    def _duration_table(self, beat: int) -> Ids:
        """The Duration token of each number of ticks, where a beat has ``beat`` of them."""
        if beat not in self._durations:
            ticks = [
                (whole * parts + part) * beat // parts for whole, part, parts, _ in self._lengths
            ]
            table = np.full(max(ticks) + 1, -1, dtype=np.int64)
            table[ticks] = [id_ for *_, id_ in self._lengths]
            self._durations[beat] = table
        return self._durations[beat]


def _bar_lines(begins: Ticks, lengths: Ticks, last: int) -> tuple[Ticks, NDArray[np.intp]]:
    """The ticks of all bar lines up to ``last``, and the index of each bar's meter."""
    ends = np.append(begins[1:], last + 1)
    if ((ends[:-1] - begins[:-1]) % lengths[:-1]).any():
        raise ValueError("a meter changes inside a bar")
    lines = [
        np.arange(begin, end, length)
        for begin, end, length in zip(begins, ends, lengths, strict=True)
    ]
    return np.concatenate(lines), np.repeat(np.arange(len(lines)), [len(line) for line in lines])


def _highest(ids: dict[str, int], kind: str) -> int:
    return max(int(name.partition("_")[2]) for name in ids if name.startswith(f"{kind}_"))


def _table(ids: dict[str, int], kind: str, size: int) -> Ids:
    """The id of each value of one kind of token, -1 where there is none."""
    table = np.full(size, -1, dtype=np.int64)
    for name, id_ in ids.items():
        if name.startswith(f"{kind}_"):
            table[int(name.partition("_")[2])] = id_
    return table


def _look_up(table: Ids, values: NDArray[Any], what: str) -> Ids:
    inside = np.clip(values, 0, len(table) - 1)
    found: Ids = np.where(inside == values, table[inside], -1)
    if (found < 0).any():
        raise ValueError(f"{what} {values[found < 0][0]} has no token")
    return found
