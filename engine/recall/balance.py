"""The pitch classes of a take, kept near to those of the song; and no note for ever.

Token by token a take drifts: it stays on the notes that it has just played. So each instrument's
pitch classes are counted, beside those of the song's last bars, and what was had too much of gets
less likely: a product of experts (Hinton 2002) with a memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from engine.music import DRUMS
from engine.recall.bars import Struck
from engine.tokens.vocabulary import Vocabulary

LAST_BARS = 32
FADING = 0.93
"""What a bar counts beside the one after it."""

ALL = 8.0
"""Notes that what all instruments play counts for in what one of them plays."""

LIKELY = 0.5
"""Weight of how often a pitch class was played in the song."""

EVEN = 2.0
"""Weight of how much more often it was in the take."""

PATIENCE = 16.0
"""Notes of the song that a take's balance begins with."""

NEVER = 0.01
"""Share of a pitch class that was never played."""

ROW = 16
"""Notes in a row on one pitch from which on an instrument has had enough of it, unless the song has
longer rows."""

ENOUGH = 6.0
"""What the pitch is less likely by then, in nats."""

Counts = NDArray[np.float64]


def pitch_classes(vocabulary: Vocabulary, notes: Iterable[Struck]) -> dict[int, Counts]:
    """How often each pitch class ``[12]`` is struck, by program; drums have none."""
    found: dict[int, Counts] = {}
    first = vocabulary.pitch.start - vocabulary.lowest
    for note in notes:
        if note.program != DRUMS:
            counts = found.setdefault(note.program, np.zeros(12))
            counts[(note.pitch - first) % 12] += 1
    return found


def longest_rows(bars: Iterable[Iterable[Struck]]) -> dict[int, int]:
    """Most notes in a row on one pitch, by program."""
    last: dict[int, tuple[int, int]] = {}
    longest: dict[int, int] = {}
    for bar in bars:
        for _, program, pitch, _, _ in bar:
            before, row = last.get(program, (-1, 0))
            row = row + 1 if pitch == before else 1
            last[program] = pitch, row
            if row > longest.get(program, 0):
                longest[program] = row
    return longest


class Scales:
    """Shares of the pitch classes ``[12]`` in what each program is expected to play."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        bars: Sequence[Mapping[int, Counts]],
        programs: Iterable[int],
        rows: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        """``bars`` are the song's last ones, counted by `pitch_classes`; ``rows`` their
        `longest_rows`.
        """
        self.pitches = slice(vocabulary.pitch.start, vocabulary.pitch.stop)
        self.classes = (np.arange(len(vocabulary.pitch)) + vocabulary.lowest) % 12
        self.lowest = vocabulary.pitch.start - vocabulary.lowest
        every = np.zeros(12)
        known = set(programs) & set(vocabulary.program_ids) - {DRUMS}
        own = {program: np.zeros(12) for program in known}
        for age, bar in enumerate(reversed(bars[-LAST_BARS:])):
            for program, counts in bar.items():
                faded = FADING**age * counts
                every += faded
                if program in own:
                    own[program] += faded
        self.shares: dict[int, list[float]] = {}
        """By Program token."""
        self.rows: dict[int, int] = {}
        if every.any():
            every *= ALL / max(1.0, every.sum())
            for program, counts in own.items():
                counts += every
                token = vocabulary.program_ids[program]
                self.shares[token] = (counts / counts.sum() + NEVER).tolist()
                self.rows[token] = max(ROW, rows.get(program, 0))


class Balance:
    """One take's."""

    def __init__(self, scales: Scales, strength: float) -> None:
        """``strength`` 0 leaves all as it is."""
        self._scales = scales
        self._called: int | None = None
        """The Program token whose pitch comes next."""
        self._strength = strength
        self._last = dict.fromkeys(scales.shares, (-1, 0))
        """The last pitch of each program, and how often it came in a row."""
        self._counts = {program: [0] * 12 for program in scales.shares}
        self._leans = {
            program: np.array([self._lean(program, c) for c in range(12)], dtype=np.float32)
            for program in scales.shares
        }

    def _lean(self, program: int, pitch_class: int) -> float:
        share, count = self._scales.shares[program][pitch_class], self._counts[program][pitch_class]
        surplus = math.log((count + PATIENCE * share) / share)
        return self._strength * (LIKELY * math.log(share) - EVEN * surplus)

    def accept(self, token: int) -> None:
        """The take goes on with this token."""
        program = self._called
        if program is None:
            if token in self._leans:
                self._called = token
            return
        self._called = None
        last, times = self._last[program]
        self._last[program] = token, times + 1 if token == last else 1
        pitch_class = (token - self._scales.lowest) % 12
        self._counts[program][pitch_class] += 1
        self._leans[program][pitch_class] = self._lean(program, pitch_class)

    def urge(self, row: NDArray[np.float32]) -> None:
        """Lean the log-probabilities ``[V]`` of a pitch that comes next, in place."""
        program = self._called
        if program is not None:
            row[self._scales.pitches] += self._leans[program][self._scales.classes]
            pitch, times = self._last[program]
            if times >= self._scales.rows[program]:
                row[pitch] -= np.float32(ENOUGH * self._strength)
