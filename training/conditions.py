"""Bars told of what is in them, so that a model learns to do as it is told.

A piece goes by in runs of bars: some are told things that are so, drawn anew for each run, and
those between are not, as bars are not that a player has heard. See `engine.tokens.conditions`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.chords import Chord
from engine.music import DRUMS, TICKS_PER_BEAT, Meter, Note
from engine.tokens import vocabulary as live
from engine.tokens.conditions import SCALES, Harmony, Told
from engine.tokens.encode import decode
from engine.tokens.header import ahead, header
from training.chords import Tone, recognise

Tokens = NDArray[np.uint16]
Chords = Sequence[Sequence[Chord | None]]
"""Of each bar, in equal parts of it: one part, or two halves."""

CHANCES = {"scale": 0.6, "density": 0.6, "cast": 0.6, "chords": 0.65, "others": 0.2, "ahead": 0.25}
"""That a run is told of each."""

LONGEST_RUN, LONGEST_PAUSE, LONGEST_GAP = 16, 8, 8
"""Bars; a gap is a run that knows what lies ahead."""
FROM_THE_START = 0.5
"""Chance that a piece's first bars are told."""

AROUND = 4
"""Bars before and after one, which decide on its scale."""
IN_SCALE = 0.9
"""Least share of notes in a scale that is told."""

WINDOW = 2 * TICKS_PER_BEAT
"""What a part of a bar counts as where chords are heard."""


class Bars:
    """A piece bar by bar: tokens, meters and notes."""

    def __init__(self, vocabulary: live.Vocabulary, tokens: Tokens) -> None:
        starts = np.flatnonzero(tokens == vocabulary.bar)
        self.tokens = [part.tolist() for part in np.split(tokens, starts)[1:]]
        first = vocabulary.time_signature.start
        self.meters: list[Meter] = [vocabulary.meters[bar[1] - first] for bar in self.tokens]
        self.notes: list[list[Note]] = [decode(vocabulary, bar) for bar in self.tokens]

    def __len__(self) -> int:
        return len(self.tokens)

    def chords(self) -> Chords:
        """The chords that the bars spell."""
        tones: list[Tone] = []
        counts: list[int] = []
        at = 0
        for meter, notes in zip(self.meters, self.notes, strict=True):
            parts = 1 if meter.num == 3 or meter.ticks < 3 * TICKS_PER_BEAT else 2
            stretch = parts * WINDOW / meter.ticks
            tones += [
                Tone(at + round(n.tick * stretch), max(1, round(n.duration * stretch)), n.pitch)
                for n in notes
                if n.program != DRUMS
            ]
            counts.append(parts)
            at += parts * WINDOW
        heard = iter(recognise(tones, at, WINDOW))
        return [[next(heard) for _ in range(parts)] for parts in counts]

    def scales(self) -> list[int | None]:
        """The scale that each bar is in, by what is played around it; None for none."""
        counts = np.zeros((len(self) + 1, 12))
        for bar, notes in enumerate(self.notes, 1):
            for note in notes:
                if note.program != DRUMS:
                    counts[bar, note.pitch % 12] += 1
        sums = counts.cumsum(0)
        members = np.array([[pc in scale for pc in range(12)] for scale in SCALES], dtype=float)
        found: list[int | None] = []
        for bar in range(len(self)):
            here = sums[min(bar + AROUND + 1, len(self))] - sums[max(0, bar - AROUND)]
            inside = members @ here
            best = int(inside.argmax())
            sure = here.sum() > 0 and inside[best] >= IN_SCALE * here.sum()
            found.append(best if sure else None)
        return found


@dataclass(frozen=True, slots=True)
class Run:
    """Bars that are told the same kinds of things."""

    bars: range
    kinds: Collection[str]
    """Out of `CHANCES`."""
    others: Collection[int] = ()
    """Programs whose notes are told where ``others`` is one of the kinds."""


class Teller:
    """Writes what is so into pieces."""

    def __init__(self, folder: Path) -> None:
        """For the tokens of a data set. Raises ``bad-file`` where these know no conditions."""
        self._vocabulary = live.Vocabulary.load(folder)
        self._known: dict[int, Chords] = {}

    def chords(self, key: int, tokens: Tokens) -> Chords:
        """The chords of a piece, as it is in the data; found once."""
        if key not in self._known:
            self._known[key] = self.bars(tokens).chords()
        return self._known[key]

    def bars(self, tokens: Tokens) -> Bars:
        """A piece, taken apart."""
        return Bars(self._vocabulary, tokens)

    def tell(self, tokens: Tokens, chords: Chords, by: int, random: np.random.Generator) -> Tokens:
        """A piece with runs of bars that are told something.

        ``chords`` are those before it was transposed ``by`` semitones.
        """
        bars = self.bars(tokens)
        return self.write(bars, _runs(bars, random), chords, by)[0]

    def write(
        self, bars: Bars, runs: Iterable[Run], chords: Chords, by: int = 0
    ) -> tuple[Tokens, NDArray[np.bool_]]:
        """A piece with these runs, in order; and which of its tokens are music that was told of."""
        scales = bars.scales()
        tokens: list[int] = []
        music: list[bool] = []

        def add(more: Sequence[int], told: bool = False) -> None:
            tokens.extend(more)
            music.extend([told] * len(more))

        at = 0
        for run in (*runs, Run(range(len(bars), len(bars)), ())):
            for bar in range(at, run.bars.start):
                add(bars.tokens[bar])
            at = run.bars.stop
            if "ahead" in run.kinds and at < len(bars):
                add(ahead(self._vocabulary, bars.meters[at], bars.notes[at]))
            for bar in run.bars:
                opening, rest = bars.tokens[bar][:2], bars.tokens[bar][2:]
                told = _told(bars, bar, run, scales[bar], chords[bar], by)
                add(opening)
                add(header(self._vocabulary, bars.meters[bar], told))
                add(rest, True)
        return np.asarray(tokens, dtype=np.uint16), np.asarray(music, dtype=bool)


def _runs(bars: Bars, random: np.random.Generator) -> Iterator[Run]:
    """Runs and pauses as they fall."""
    at = 0
    telling = random.random() < FROM_THE_START
    while at < len(bars):
        most = LONGEST_RUN if telling else LONGEST_PAUSE
        run = range(at, min(at + int(random.integers(1, most + 1)), len(bars)))
        if telling:
            kinds = {kind for kind, chance in CHANCES.items() if random.random() < chance}
            if len(run) > LONGEST_GAP:
                kinds.discard("ahead")
            programs = {note.program for bar in run for note in bars.notes[bar]}
            yield Run(run, kinds, _some(programs, random))
        at, telling = run.stop, not telling


def _told(
    bars: Bars, bar: int, run: Run, scale: int | None, chords: Sequence[Chord | None], by: int
) -> Told:
    meter, notes, kinds = bars.meters[bar], bars.notes[bar], run.kinds
    others = run.others if "others" in kinds else ()
    return Told(
        scale=scale if "scale" in kinds else None,
        density=len(notes) * TICKS_PER_BEAT / meter.ticks if "density" in kinds else None,
        cast=tuple({note.program for note in notes}) if "cast" in kinds else (),
        chords=_harmony(meter, chords, by) if "chords" in kinds else (),
        others=tuple(note for note in notes if note.program in others),
    )


def _some(programs: set[int], random: np.random.Generator) -> set[int]:
    """Some of several programs, never all."""
    if len(programs) < 2:
        return set()
    count = int(random.integers(1, len(programs)))
    return {int(p) for p in random.choice(sorted(programs), count, replace=False)}


def _harmony(meter: Meter, parts: Sequence[Chord | None], by: int) -> tuple[Harmony, ...]:
    """The chords of a bar where they change."""
    found: list[Harmony] = []
    before: Chord | None = None
    for i, chord in enumerate(parts):
        if chord == before:
            continue
        tick = meter.ticks * i // len(parts)
        if chord is None:
            found.append(Harmony(tick, None))
        else:
            found.append(Harmony(tick, (chord.root + by) % 12, chord.quality))
        before = chord
    return tuple(found)
