"""The chords that some notes spell: pitch classes and bass against templates, and a Viterbi path.

Each window of a piece (half a bar, say) is heard as a bag of pitch classes, weighted by how long
they sound, over the class of its lowest notes. A chord expects its own tones and a few others; the
path through all windows pays for each change. There is no key in it, and nothing is trained.

Measured on half bars that one chord fills, in the 452 lead sheets of OpenEWLD (33,370 windows; the
weights were chosen on 60 of the sheets): root and quality are exact in 15%, root and kind of triad
in 26% where only the melody is heard; 78% and 93% with a band under it that
`tests/training/test_chords.py` plays from the chart, with fifths left out and stray notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.chords import QUALITIES, Chord
from engine.music import TICKS_PER_BEAT

Floats = NDArray[np.float64]

PRIORS = MappingProxyType(
    {
        "": 0.0, "m": 0.0, "7": 0.0, "m7": -0.4, "M7": -0.6, "m7-5": -1.0, "dim": -1.0,
        "sus4": -1.4, "7sus4": -1.8, "aug": -1.2, "m6": -1.2, "7(9)": -1.0, "m7(9)": -1.0,
        "add9": -1.0, "6": -0.8, "mM7": -1.0, "7-5": -2.0,
    }
)  # fmt: skip
"""The qualities that are told apart, and how much rarer each is than a triad, in nats."""

CHORDS = tuple(Chord(root, quality) for quality in PRIORS for root in range(12))
NOTHING = len(CHORDS)
"""The state behind the chords: no chord at all."""

OUTSIDE = 0.1
"""Share of a window's sound that is expected outside its chord: melodies and passing notes."""
BEATS_HEARD = 5.0
"""What a window's tones weigh: as much as so many of them heard one by one."""
BASS_WEIGHT = 1.0
BASS_ELSEWHERE = 0.02
"""Likelihood of each bass note that is no chord tone; of the tones see `_bass_of`."""
CHANGE = 1.5
"""Price of a change of chord, in nats."""
NO_CHORD = -4.0
"""Prior of no chord, in nats, where something sounds: its pitch classes are all as likely."""
LOW = 60
"""A lowest note below this pitch is a bass; one above it only counts half."""


class Tone(NamedTuple):
    """A pitched note: its start and duration in ticks, 960 to the quarter note, and its pitch."""

    start: int
    duration: int
    pitch: int


def recognise(
    tones: Iterable[Tone], end: int, window: int = 2 * TICKS_PER_BEAT
) -> list[Chord | None]:
    """The chord of each window from tick 0 to ``end``; None where there is none.

    ``tones`` are those of all instruments but drums, in any order.
    """
    heard, bass = windows(tones, end, window)
    if not len(heard):
        return []
    path = _path(_scores(heard, bass))
    return [None if state == NOTHING else CHORDS[state] for state in path]


def windows(tones: Iterable[Tone], end: int, window: int) -> tuple[Floats, Floats]:
    """What sounds in each window: ticks by pitch class ``[T, 12]``, and those of the bass.

    A window's bass is whatever is the lowest note as each of its notes begins.
    """
    count = -(-end // window)
    heard, bass = np.zeros((count, 12)), np.zeros((count, 12))
    inside: list[list[Tone]] = [[] for _ in range(count)]
    for tone in tones:
        stop = min(tone.start + tone.duration, end)
        for i in range(max(tone.start, 0) // window, -(-stop // window)):
            part = min(stop, (i + 1) * window) - max(tone.start, i * window)
            heard[i, tone.pitch % 12] += part
            inside[i].append(tone)
    for i, here in enumerate(inside):
        _add_bass(bass[i], here, i * window, (i + 1) * window)
    return heard, bass


def _add_bass(bass: Floats, here: Sequence[Tone], start: int, stop: int) -> None:
    """Add the ticks for which each class is the lowest that sounds."""
    edges = {start, stop}
    for tone in here:
        edges.update((max(start, tone.start), min(stop, tone.start + tone.duration)))
    line = sorted(edges)
    for begin, after in pairwise(line):
        pitches = [t.pitch for t in here if t.start <= begin < t.start + t.duration]
        if pitches:
            lowest = min(pitches)
            bass[lowest % 12] += (after - begin) * (1.0 if lowest < LOW else 0.5)


@lru_cache(maxsize=1)
def _templates() -> tuple[Floats, Floats, Floats]:
    """Log-likelihoods of a tone's class and of a bass's ``[S, 12]``, and priors ``[S]``."""
    tone = np.full((NOTHING + 1, 12), np.log(1 / 12))
    bass = np.full((NOTHING + 1, 12), np.log(1 / 12))
    prior = np.full(NOTHING + 1, NO_CHORD)
    for state, chord in enumerate(CHORDS):
        classes = sorted(chord.pitch_classes)
        likely = np.full(12, OUTSIDE / 12)
        likely[classes] += (1 - OUTSIDE) / len(classes)
        tone[state] = np.log(likely)
        bass[state] = np.log(_bass_of(chord))
        prior[state] = PRIORS[chord.quality]
    return tone, bass, prior


def _bass_of(chord: Chord) -> Floats:
    """How likely each class is in the bass: the root, then the fifth, then the other tones."""
    likely = np.full(12, BASS_ELSEWHERE)
    for step in QUALITIES[chord.quality]:
        likely[(chord.root + step) % 12] = 0.08
    fifth = (chord.root + QUALITIES[chord.quality][2]) % 12
    likely[fifth] = 0.15
    likely[chord.root] = 0.6
    summed: Floats = likely / likely.sum()
    return summed


def _scores(heard: Floats, bass: Floats) -> Floats:
    """How well each state explains each window, ``[T, S]`` nats."""
    tone_of, bass_of, prior = _templates()
    total, low = heard.sum(1, keepdims=True), bass.sum(1, keepdims=True)
    scores: Floats = (
        BEATS_HEARD * (heard / np.maximum(total, 1)) @ tone_of.T
        + BASS_WEIGHT * (bass / np.maximum(low, total / 4 + 1)) @ bass_of.T
        + prior
    )
    scores[total[:, 0] == 0] = -100.0
    scores[total[:, 0] == 0, NOTHING] = 0.0
    return scores


def _path(scores: Floats) -> list[int]:
    """The states of the best path, each change of which costs ``CHANGE``."""
    best = scores[0].copy()
    back = np.empty(scores.shape, dtype=np.int64)
    stay = np.arange(scores.shape[1])
    for i in range(1, len(scores)):
        top = int(best.argmax())
        back[i] = np.where(best >= best[top] - CHANGE, stay, top)
        best = np.maximum(best, best[top] - CHANGE) + scores[i]
    state = int(best.argmax())
    path = [state]
    for i in range(len(scores) - 1, 0, -1):
        state = int(back[i, state])
        path.append(state)
    return path[::-1]


def triad(quality: str) -> str:
    """The kind of triad that a quality is built on: ``maj min dim aug sus``."""
    steps = QUALITIES[quality]
    third, fifth = steps[1], steps[2] if len(steps) > 2 else 7
    if third not in (3, 4):
        return "sus"
    if third == 3:
        return "dim" if fifth == 6 else "min"
    return "aug" if fifth == 8 else "maj"
