"""Bars told of what is in them, so that a model learns to do as it is told.

A piece goes by in runs of bars: some are told things that are so, drawn anew for each run, and
those between are not, as bars are not that a player has heard. See `engine.tokens.conditions`.
"""

from __future__ import annotations

from collections.abc import Sequence
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

CHANCES = {"scale": 0.4, "density": 0.4, "cast": 0.5, "chords": 0.5, "others": 0.25, "ahead": 0.25}
"""That a run is told of each."""

LONGEST_RUN, LONGEST_PAUSE = 16, 24
"""Bars."""
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


class Teller:
    """Writes what is so into pieces."""

    def __init__(self, folder: Path) -> None:
        """For the tokens of a data set. Raises ``bad-file`` where these know no conditions."""
        self._vocabulary = live.Vocabulary.load(folder)
        self._known: dict[int, Chords] = {}

    def chords(self, key: int, tokens: Tokens) -> Chords:
        """The chords of a piece, as it is in the data; found once."""
        if key not in self._known:
            self._known[key] = Bars(self._vocabulary, tokens).chords()
        return self._known[key]

    def tell(
        self, tokens: Tokens, chords: Chords, by: int, random: np.random.Generator
    ) -> Tokens:
        """A piece with runs of bars that are told something.

        ``chords`` are those before it was transposed ``by`` semitones.
        """
        bars = Bars(self._vocabulary, tokens)
        scales = bars.scales()
        told: list[int] = []
        bar = 0
        telling = random.random() < FROM_THE_START
        while bar < len(bars):
            most = LONGEST_RUN if telling else LONGEST_PAUSE
            stop = min(bar + int(random.integers(1, most + 1)), len(bars))
            if telling:
                told += self._run(bars, range(bar, stop), scales, chords, by, random)
            else:
                told += [token for each in bars.tokens[bar:stop] for token in each]
            bar, telling = stop, not telling
        return np.asarray(told, dtype=np.uint16)

    def _run(
        self,
        bars: Bars,
        run: range,
        scales: Sequence[int | None],
        chords: Chords,
        by: int,
        random: np.random.Generator,
    ) -> list[int]:
        vocabulary = self._vocabulary
        kinds = {kind for kind, chance in CHANCES.items() if random.random() < chance}
        others = _some({n.program for bar in run for n in bars.notes[bar]}, random)
        tokens: list[int] = []
        if "ahead" in kinds and run.stop < len(bars) and len(run) <= LONGEST_RUN // 2:
            tokens += ahead(vocabulary, bars.meters[run.stop], bars.notes[run.stop])
        for bar in run:
            meter, notes = bars.meters[bar], bars.notes[bar]
            told = Told(
                scale=scales[bar] if "scale" in kinds else None,
                density=_density(meter, notes) if "density" in kinds else None,
                cast=tuple({n.program for n in notes}) if "cast" in kinds else (),
                chords=_harmony(meter, chords[bar], by) if "chords" in kinds else (),
                others=tuple(n for n in notes if n.program in others)
                if "others" in kinds
                else (),
            )
            opening, music = bars.tokens[bar][:2], bars.tokens[bar][2:]
            tokens += [*opening, *header(vocabulary, meter, told), *music]
        return tokens


def _some(programs: set[int], random: np.random.Generator) -> set[int]:
    """Some of several programs, never all."""
    if len(programs) < 2:
        return set()
    count = int(random.integers(1, len(programs)))
    return {int(p) for p in random.choice(sorted(programs), count, replace=False)}


def _density(meter: Meter, notes: Sequence[Note]) -> float:
    return len(notes) * TICKS_PER_BEAT / meter.ticks


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
