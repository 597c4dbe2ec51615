"""The tempo of a loop that nobody has told: one at which it is whole bars long, and keeps time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from engine.audio import Audio
from engine.audio.grid import Grid
from engine.audio.tempo import measure

SLOWEST, FASTEST = 60.0, 190.0
USUAL = 115.0
"""BPM that loops are made at, more or less."""

MOST_BARS = 64
LISTENED = 24.0
"""Seconds of it that are measured."""

UNUSUAL = 0.25
"""What an octave away from `USUAL` costs, in confidence."""
ODD = 0.15
"""What a number of bars costs that is no power of two; loops are 1, 2, 4, 8 bars long."""
SWAY = 8.0
"""What an error of tempo costs, in confidence for all of it: 1 % costs 0.08."""


def guess(audio: Audio, rate: int) -> float:
    """Quarter notes a minute of a loop in 4/4, or 120 where it is too short to tell."""
    best, tempo = -np.inf, 120.0
    for beats in (2, *range(4, 4 * MOST_BARS + 1, 4)):
        bpm = Fraction(beats * 60 * rate, len(audio))
        if not SLOWEST <= bpm <= FASTEST:
            continue
        beat = measure(audio[: int(LISTENED * rate)], Grid(rate, bpm))
        score = (
            beat.confidence
            - SWAY * abs(beat.ratio - 1)
            - UNUSUAL * abs(float(np.log2(float(bpm) / USUAL)))
            - (0.0 if beats & (beats - 1) == 0 else ODD)
        )
        if score > best:
            best, tempo = score, float(bpm)
    return tempo
