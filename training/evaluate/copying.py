"""How much of a take stands in the training set, note for note, in any key.

Each program's notes are a line of steps: how long after the note before, and how many semitones
from it (of drums, which drum). All lines of the training set make one text with a suffix array
(Manber and Myers 1993), in which a take's lines are looked up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.music import DRUMS, Meter
from engine.tokens.vocabulary import Vocabulary
from training.measures import Bars

LONGEST = 256
"""Notes beyond which a run is not followed."""

Longs = NDArray[np.int64]
Line = tuple[bool, Longs, Longs]
"""Whether it is drums; onsets in ticks from the start of the music; pitches."""

_FAR = 1 << 20
_BREAK = -1
_WORD = 4


class TrainingLines:
    """Every line of the training set."""

    def __init__(self, lines: Iterable[Line]) -> None:
        """Index them: some seconds for a million notes."""
        text = np.concatenate(
            [np.zeros(0, dtype=np.int64), *(np.append(_steps(line), _BREAK) for line in lines)]
        )
        self._steps, ids = np.unique(text, return_inverse=True)
        ids = np.where(text == _BREAK, 0, ids + 1)
        # As big-endian bytes, pieces of the text compare as the numbers in them do.
        self._text = ids.astype(">u4").tobytes()
        self._suffixes = _suffixes(ids)

    def longest_run(self, lines: Iterable[Line]) -> int:
        """Most notes in a row, in one line, that some line of the training set has as well.

        A note by itself is none.
        """
        return max((self._longest(line) for line in lines), default=0)

    def _longest(self, line: Line) -> int:
        steps = _steps(line)
        if not len(self._steps) or not len(steps):
            return 0
        places = np.minimum(np.searchsorted(self._steps, steps), len(self._steps) - 1)
        # What the training set lacks gets a number above all of its own.
        ids = np.where(self._steps[places] == steps, places + 1, len(self._steps) + 1)
        text = ids.astype(">u4").tobytes()
        best = 0
        for start in range(len(ids)):
            if len(ids) - start <= best:
                break
            best = max(best, self._match(text[_WORD * start : _WORD * (start + LONGEST)]))
        return best + 1 if best else 0

    def _match(self, wanted: bytes) -> int:
        """Steps at the start of ``wanted`` that stand somewhere in the text."""
        place = bisect_left(self._suffixes, wanted, key=self._at)
        around = self._suffixes[max(0, place - 1) : place + 1]
        return max(_common(wanted, self._at(suffix)) for suffix in around)

    def _at(self, suffix: int) -> bytes:
        return self._text[_WORD * suffix : _WORD * (suffix + LONGEST)]


def lines_of_tokens(vocabulary: Vocabulary, tokens: NDArray[np.integer]) -> list[Line]:
    """The lines of a piece, as `training.tokenize` writes it: whole bars, whole notes."""
    ids: Longs = tokens.astype(np.int64)
    bars = np.flatnonzero(ids == vocabulary.bar)
    meters = ids[bars + 1] - vocabulary.time_signature.start
    lengths = np.array([meter.ticks for meter in vocabulary.meters])[meters]
    starts = np.cumsum(lengths) - lengths
    steps = np.array([vocabulary.grid(meter).step for meter in vocabulary.meters])[meters]

    notes = np.flatnonzero(_inside(ids, vocabulary.program))
    marks = np.flatnonzero(_inside(ids, vocabulary.position))
    position = ids[marks[np.searchsorted(marks, notes) - 1]] - vocabulary.position.start
    bar = np.searchsorted(bars, notes) - 1
    onset = starts[bar] + position * steps[bar]
    program = np.array(vocabulary.programs)[ids[notes] - vocabulary.program.start]
    pitch = ids[notes + 1]  # they ascend with the pitch, and only steps of it are looked at
    return [
        (number == DRUMS, onset[program == number], pitch[program == number])
        for number in np.unique(program).tolist()
    ]


def lines_of_bars(vocabulary: Vocabulary, meters: Sequence[Meter], take: Bars) -> list[Line]:
    """The lines of a take, whose bars have these meters."""
    start, found = 0, dict[int, list[tuple[int, int]]]()
    for meter, bar in zip(meters, take, strict=True):
        for note in sorted(bar):
            token = vocabulary.pitch_id(note.program, note.pitch)
            if token is not None:
                found.setdefault(note.program, []).append((start + note.tick, token))
        start += meter.ticks
    return [
        (program == DRUMS, *np.array(notes, dtype=np.int64).T) for program, notes in found.items()
    ]


def _inside(tokens: Longs, ids: range) -> NDArray[np.bool_]:
    return (tokens >= ids.start) & (tokens < ids.stop)


def _steps(line: Line) -> Longs:
    """A number for each note but the first: waiting time, and step or drum; at least 0."""
    drums, onsets, pitches = line
    wait = np.minimum(np.diff(onsets), _FAR)
    step: Longs = pitches[1:] + 1024 if drums else np.diff(pitches) + 512
    result: Longs = wait * 2048 + step
    return result


def _suffixes(ids: Longs) -> list[int]:
    """The starts of all suffixes in the order of their first `LONGEST` numbers.

    Prefix doubling: ranks by the first k numbers, paired with those k further on, rank by 2k.
    """
    rank, reach = ids, 1
    while reach < LONGEST:
        behind = np.zeros_like(rank)
        behind[:-reach] = rank[reach:] + 1
        _, rank = np.unique(rank * (len(ids) + 2) + behind, return_inverse=True)
        reach *= 2
    order: list[int] = np.argsort(rank, kind="stable").tolist()
    return order


def _common(a: bytes, b: bytes) -> int:
    """Numbers that two texts have in common at their start."""
    size = min(len(a), len(b)) // _WORD
    same = np.frombuffer(a, ">u4", size) == np.frombuffer(b, ">u4", size)
    return size if same.all() else int(same.argmin())
