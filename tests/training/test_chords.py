"""The chord recogniser, on charts that are known."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from engine.chords import QUALITIES, Chord, parse, parse_chord
from engine.music import TICKS_PER_BEAT
from training.chords import PRIORS, Tone, recognise, triad
from training.importers.musicxml import read_musicxml

BEAT = TICKS_PER_BEAT
Span = tuple[int, int, Chord | None]

CHARTS = (
    "C:4|Am:4|F:4|G7:4|C:4|Am:4|Dm:4|G7:4",
    "Dm7:4|G7:4|CM7:8|Cm7:4|F7:4|BbM7:8",
    "Am:2|E7:2|Am:2|A7:2|Dm:4|Bm7-5:2|E7:2|Am:4",
    "Eb:4|Cdim:2|Fm:2|Bb7:4|Eb6:4|Abm6:4|Eb:4",
)


def close(root: int, quality: str) -> list[Tone]:
    """A bar of a chord in close position over its root in the bass."""
    tones = [Tone(0, 4 * BEAT, 36 + root)]
    return tones + [Tone(0, 4 * BEAT, 60 + root + step) for step in QUALITIES[quality]]


def spans(chart: str) -> list[Span]:
    return [(span.start, span.end, span.chord) for span in parse(chart)]


def band(chart: Sequence[Span], chance: random.Random) -> Iterator[Tone]:
    """Bass, and broken or struck chords that now and then lack a fifth, with stray notes."""
    broken = chance.random() < 0.5
    for start, end, chord in chart:
        if chord is None:
            continue
        steps = list(QUALITIES[chord.quality])
        fifth = steps[2] if len(steps) > 2 else 7
        if len(steps) > 3 and chance.random() < 0.4:
            steps.remove(fifth)
        for number, at in enumerate(range(start, end, BEAT)):
            if number % 2 == 0:
                low = chord.root + (fifth if number % 4 and chance.random() < 0.5 else 0)
                yield Tone(at, 2 * BEAT, 36 + low % 12)
                if not broken:
                    for step in steps:
                        yield Tone(at, 2 * BEAT, 48 + (chord.root + step) % 12)
            if broken:
                for half in (0, BEAT // 2):
                    yield Tone(at + half, BEAT // 2, 48 + (chord.root + chance.choice(steps)) % 12)
            if chance.random() < 0.35:
                yield Tone(at + BEAT // 2, BEAT // 2, chance.randint(60, 78))


class Tally:
    """How many windows were named exactly, and with the right root and triad."""

    def __init__(self) -> None:
        self.total = self.exact = self.triads = 0

    def count(self, tones: Sequence[Tone], chart: Sequence[Span]) -> None:
        """Count the half bars that one chord fills."""
        found = recognise(tones, chart[-1][1])
        for start, end, chord in chart:
            if chord is None or chord.quality not in PRIORS:
                continue
            for window in range(-(-start // (2 * BEAT)), end // (2 * BEAT)):
                got = found[window]
                self.total += 1
                if got is not None and got.root == chord.root:
                    self.exact += got.quality == chord.quality
                    self.triads += triad(got.quality) == triad(chord.quality)

    @property
    def shares(self) -> tuple[float, float]:
        return self.exact / self.total, self.triads / self.total


@pytest.mark.parametrize("quality", list(PRIORS))
@pytest.mark.parametrize("root", [0, 5, 11])
def test_every_quality_in_root_position(root: int, quality: str) -> None:
    assert recognise(close(root, quality), 4 * BEAT) == [Chord(root, quality)] * 2


def test_the_bass_tells_chords_of_the_same_tones_apart() -> None:
    sixth = [t._replace(pitch=45) if t.pitch < 60 else t for t in close(0, "6")]
    assert recognise(sixth, 4 * BEAT)[0] == parse_chord("Am7")


def test_silence_and_clusters_are_no_chords() -> None:
    assert recognise([], 0) == []
    assert recognise([], 4 * BEAT) == [None, None]
    cluster = [Tone(0, 4 * BEAT, pitch) for pitch in range(48, 60)]
    assert recognise(cluster, 4 * BEAT) == [None, None]


def test_a_passing_note_does_not_change_the_chord() -> None:
    tones = [*close(0, ""), Tone(2 * BEAT, BEAT // 2, 74), Tone(5 * BEAT // 2, BEAT // 2, 77)]
    assert recognise(tones, 4 * BEAT) == [Chord(0)] * 2


def test_transposition_moves_the_chords_along() -> None:
    tones = list(band(spans(CHARTS[1]), random.Random(1)))
    plain = recognise(tones, 32 * BEAT)
    higher = recognise([t._replace(pitch=t.pitch + 12) for t in tones], 32 * BEAT)
    assert [c and c.root for c in higher] == [c and c.root for c in plain]


def test_known_charts_played_with_stray_notes() -> None:
    tally = Tally()
    for seed in range(40):
        chart = spans(CHARTS[seed % len(CHARTS)])
        tally.count(list(band(chart, random.Random(seed))), chart)
    exact, triads = tally.shares
    assert exact >= 0.8 and triads >= 0.9


def lead_sheets() -> Iterator[tuple[list[Tone], list[Span]]]:
    """Every ninth lead sheet of the collection: its melody and its chart."""
    data = Path(os.environ.get("SIDEMAN_DATA", Path(__file__).parents[3] / "shared" / "data"))
    files = sorted((data / "scores" / "openewld").rglob("*.mxl"))
    if not files:
        pytest.skip("needs the project's music data")
    for file in files[::9]:
        for _, song in read_musicxml(file):
            if not song.notes:
                continue
            melody = [Tone(*note[:3]) for part in song.parts for note in part.notes]
            end = max(tone.start + tone.duration for tone in melody)
            marks = [mark for mark in song.chords if mark[0] < end]
            ends = [tick for tick, _ in marks[1:]] + [end]
            yield melody, [(at, to, c) for (at, c), to in zip(marks, ends, strict=True) if to > at]


def test_lead_sheets() -> None:
    """A melody alone hardly tells its chords; with a band under it, it tells nearly all."""
    alone, played = Tally(), Tally()
    for number, (melody, chart) in enumerate(lead_sheets()):
        if chart:
            alone.count(melody, chart)
            played.count([*melody, *band(chart, random.Random(number))], chart)
    assert alone.total > 2000
    assert alone.shares[0] >= 0.1 and alone.shares[1] >= 0.2
    assert played.shares[0] >= 0.7 and played.shares[1] >= 0.88
