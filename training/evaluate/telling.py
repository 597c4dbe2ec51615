"""What it is worth to be told: bits of the same music, by the same network, with and without.

Runs of bars are told one kind of thing, and pauses between them nothing, as a player does who asks
for some bars now and then; what is counted is the music of the runs, not what they are told. See
:mod:`training.conditions`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.conditions import Bars, Chords, Run, Teller
from training.data import Tokens, TokenSet
from training.evaluate.scoring import Predictor
from training.tokenize import Piece

RUN, GAP = 8, 4
"""Bars that are told, and bars between; a gap that knows what lies ahead is as long as a pause."""

KINDS = ("scale", "density", "cast", "chords", "ahead")
WHAT = ("Pitch", "PitchDrum", "Velocity", "Duration")
"""What of an instrument's notes is counted where the others are told: not when it plays."""


@dataclass(frozen=True, slots=True)
class Worth:
    """Bits a note, of the same notes."""

    notes: int
    told: float
    untold: float
    alone: float | None = None
    """Where the others' part is told: by who heard the others before, but not in these bars."""

    def figures(self) -> dict[str, Any]:
        """The numbers, rounded."""
        found = {"notes": self.notes, "told": round(self.told, 3), "untold": round(self.untold, 3)}
        return found if self.alone is None else found | {"alone": round(self.alone, 3)}


def telling(
    predictor: Predictor, data: TokenSet, pieces: Iterable[Piece], limit: int | None = None
) -> dict[str, Worth]:
    """The worth of each kind on some pieces, each whole or its first ``limit`` bars.

    Kinds that there was nothing to be told of are left out.
    """
    teller = Teller(data.folder)
    sums: dict[str, NDArray[np.float64]] = {}
    for piece in pieces:
        tokens = _first_bars(data, data.tokens(piece), limit)
        bars = teller.bars(tokens)
        chords = bars.chords()
        untold = _bits(predictor, tokens)
        for kind in KINDS:
            runs = _runs(len(bars), kind)
            told, music = teller.write(bars, runs, chords)
            counted = _counted(teller, bars, runs, chords)
            found = (_bits(predictor, told)[music], untold[counted])
            _add(sums, kind, data, tokens[counted], found)
        _others(sums, predictor, data, teller, tokens, bars, untold)
    return {kind: _worth(total) for kind, total in sums.items() if total[0]}


def _others(
    sums: dict[str, NDArray[np.float64]],
    predictor: Predictor,
    data: TokenSet,
    teller: Teller,
    tokens: Tokens,
    bars: Bars,
    untold: NDArray[np.float64],
) -> None:
    """One instrument after another plays to what the others play."""
    programs = sorted({note.program for notes in bars.notes for note in notes})
    if len(programs) < 2:
        return
    chords: list[Sequence[None]] = [[None]] * len(bars)
    runs = _runs(len(bars), "others")
    counted = _counted(teller, bars, runs, chords)
    for program in programs:
        others = [other for other in programs if other != program]
        heard = [Run(run.bars, run.kinds, others) for run in runs]
        told, music = teller.write(bars, heard, chords)
        name = data.vocabulary.names.index(f"Program_{program}")
        gapped, solo = _gapped(data, bars, {bar for run in runs for bar in run.bars}, name)
        here = counted & _of(data, tokens, name)
        found = (
            _bits(predictor, told)[music & _of(data, told, name)],
            untold[here],
            _bits(predictor, gapped)[solo & _of(data, gapped, name)],
        )
        _add(sums, "others", data, tokens[here], found)


def _counted(
    teller: Teller, bars: Bars, runs: Iterable[Run], chords: Chords
) -> NDArray[np.bool_]:
    """Which tokens of a piece, told nothing, are the music of these runs."""
    return teller.write(bars, [Run(run.bars, ()) for run in runs], chords)[1]


def _gapped(
    data: TokenSet, bars: Bars, gaps: Set[int], name: int
) -> tuple[Tokens, NDArray[np.bool_]]:
    """A piece in whose ``gaps`` nobody plays but one; and which tokens lie in these."""
    parts, inside = [], []
    for number, bar in enumerate(bars.tokens):
        part = np.asarray(bar, dtype=np.uint16)
        parts.append(data.vocabulary.thin(part, {name}) if number in gaps else part)
        inside.append(np.full(len(parts[-1]), number in gaps))
    return np.concatenate(parts), np.concatenate(inside)


def _first_bars(data: TokenSet, tokens: Tokens, limit: int | None) -> Tokens:
    starts = np.flatnonzero(data.vocabulary.is_bar[tokens])
    return tokens if limit is None or len(starts) <= limit else tokens[: starts[limit]]


def _runs(bars: int, kind: str) -> list[Run]:
    """Runs with pauses between them; what begins a piece has nothing to go on from."""
    gap = kind == "ahead"
    length = GAP if gap else RUN
    last = bars - length - 1 if gap else bars - 1
    starts = range(GAP, last + 1, length + GAP)
    return [Run(range(start, min(start + length, bars)), (kind,)) for start in starts]


def _of(data: TokenSet, tokens: Tokens, program: int) -> NDArray[np.bool_]:
    """The tokens that say what is played by the instrument of a Program token."""
    vocabulary = data.vocabulary
    at = np.where(vocabulary.is_program[tokens], np.arange(len(tokens)), 0)
    last = tokens[np.maximum.accumulate(at)]
    what: NDArray[np.bool_] = np.isin(vocabulary.kind[tokens], WHAT) & (last == program)
    return what


def _bits(predictor: Predictor, tokens: Tokens) -> NDArray[np.float64]:
    return -predictor.log_probs(tokens).astype(np.float64) / math.log(2)


def _add(
    sums: dict[str, NDArray[np.float64]],
    kind: str,
    data: TokenSet,
    counted: Tokens,
    found: Sequence[NDArray[np.float64]],
) -> None:
    notes = float(data.vocabulary.is_note[counted].sum())
    row = np.array([notes, *(bits.sum() for bits in found)])
    sums[kind] = sums[kind] + row if kind in sums else row


def _worth(total: NDArray[np.float64]) -> Worth:
    notes, *bits = total.tolist()
    return Worth(int(notes), *(each / notes for each in bits))
