"""Whether sound keeps the song's time: its beats against the grid that it was made for.

Onsets are where the spectrum rises (spectral flux; Bello et al., IEEE TSAP 13(5), 2005). The grid
is known, so nothing is tracked: the grid's pulses are laid over the onsets, moved and stretched a
little, and where they meet most of them is where the beats are.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.audio import Audio
from engine.audio.grid import Grid, exactly
from engine.audio.seam import crossfade
from engine.audio.spectrum import magnitudes
from engine.music import TICKS_PER_BEAT, Meter

WINDOW, STEP = 0.016, 0.0025
"""Seconds that one look at the spectrum takes in, and from one to the next."""
EARLY = WINDOW / 4
"""Seconds before an onset that the spectrum rises most: sooner than its middle is in the window.
Measured: 2.9 ms for noises, 4.5 for kicks, 4.6 for tones, 5.0 for clicks."""
FAINT = 0.02
"""Rises by less than this share of what sounds are no onsets."""
SPREAD = 0.005
"""Seconds (deviation) by which onsets are spread, so that near misses count a little."""
WIDEST = 0.06
"""The greatest error of tempo that is looked for; more is another tempo."""
PLAIN = 1.03
"""A tempo of its own has to meet this much more of the onsets than the song's own tempo does."""

CHANCE = 4.0
"""Standard deviations above the mean that pulses reach by chance, being tried in so many places."""
SURE = 0.5
"""Confidence from which on a measured error is believed; syncopated loops of one bar stay below."""
STEADY = 10.0
"""Milliseconds by which a piece may drift until its end; less is not heard, nor measured surely."""
LISTENED = 40.0
"""Seconds of a long take that its tempo is measured by: to a hundredth of what is heard."""
PIECE, LEAD, FADE = 20.0, 0.5, 0.02
"""Seconds that are stretched in one go, those around them that are looked at, and of a crossfade
between two."""
MENDABLE = 0.03
"""Errors of tempo up to this are stretched away unheard; more is reported."""


class Verdict(StrEnum):
    """What is to be done about the time that a piece keeps."""

    KEEP = "keep"
    STRETCH = "stretch"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Beat:
    """How a piece's beats lie on the grid."""

    offset_ms: float
    """The first beat's distance from its place; above 0 it is late."""
    ratio: float
    """Length of its beats by the grid's: 1.01 is 1 % too slow."""
    drift_ms: float
    """How far its last beat is off for the tempo alone."""
    confidence: float
    """From 0, no beats were found, to 1."""

    @property
    def verdict(self) -> Verdict:
        """Keep it, stretch it, or take another; a piece without clear beats is kept."""
        if self.confidence < SURE or abs(self.drift_ms) <= STEADY:
            return Verdict.KEEP
        return Verdict.STRETCH if abs(self.ratio - 1) <= MENDABLE else Verdict.REJECT


class Onsets(NamedTuple):
    """How much begins at each moment."""

    strength: NDArray[np.float64]
    rate: float
    """Values in a second."""
    start: float
    """Seconds of the first value."""


def onsets(audio: Audio, rate: int) -> Onsets:
    """The onset strength of sound: how much all parts of its spectrum rise, in steps of `STEP`."""
    # Whole eighths: what rates would give, 706 samples at 44.1 kHz, is twice a prime.
    window, hop = 8 * round(WINDOW * rate / 8), max(1, round(STEP * rate))
    # Silence before it lets a beat on the first sample rise from something.
    padded = np.pad(audio, ((2 * window, window), (0, 0)))
    rises = [np.zeros(0)]
    last = None
    for block in magnitudes(padded, window, hop):
        level = np.sqrt(block)
        rows = level if last is None else np.concatenate([last, level])
        rise = np.maximum(np.diff(rows, axis=0), 0).sum(axis=1, dtype=np.float64)
        rises.append(np.maximum(rise - FAINT * rows[1:].sum(axis=1), 0))
        last = level[-1:]
    strength = np.concatenate(rises)
    # That the sound begins and ends at all is no greater onset than those in it.
    edge = 4 * window // hop
    inside = strength[edge:-edge].max(initial=0.0)
    strength[:edge] = np.minimum(strength[:edge], inside)
    strength[-edge:] = np.minimum(strength[-edge:], inside)
    # A rise between two windows is that of the middle between their centres.
    start = (window + hop) / 2 / rate - 2 * window / rate + EARLY
    return Onsets(strength, rate / hop, start)


def measure(audio: Audio, grid: Grid, bar: int = 0) -> Beat:
    """How the beats of ``audio``, which begins at the line of ``bar``, lie on ``grid``."""
    found = onsets(audio, grid.rate)
    places, weights = _pulses(grid, bar, len(audio))
    beat = float(_beat(grid.meters.at(bar)) * grid.beat_samples) / grid.rate
    reach = round(beat / 2 * found.rate)
    longest = places[-1] * (1 + WIDEST)
    strength = _spread(found)
    usual, deviation = float(strength.mean()), float(strength.std())
    before = reach - round(found.start * found.rate)
    after = max(0, int(longest * found.rate) + 2 * reach + 2 + before - len(strength))
    strength = np.pad(strength, (max(0, before), after))
    windows = np.lib.stride_tricks.sliding_window_view(strength, 2 * reach + 1)
    shift = max(0, before) - reach - found.start * found.rate
    whole = round(shift)

    def met(ratio: float) -> NDArray[np.float64]:
        """What the pulses meet, for each place of the first from -reach to reach."""
        rows = np.round(places * ratio * found.rate).astype(np.int64) + whole
        return np.asarray(weights @ windows[rows])

    span = max(places[-1], beat)
    steps = max(1, int(WIDEST * span * found.rate / 2))
    ratios = 1 + WIDEST * np.arange(-steps, steps + 1) / steps
    heights = np.array([met(ratio).max() for ratio in ratios])
    best = int(heights.argmax())
    ratio = 1.0
    if heights[best] > PLAIN * heights[steps]:
        ratio = float(ratios[best] + _vertex(heights, best) * (ratios[1] - ratios[0]))
    heights = met(ratio)
    top = int(heights.argmax())
    if not deviation > 0:
        return Beat(0.0, 1.0, 0.0, 0.0)
    offset = (top + _vertex(heights, top) - reach + whole - shift) / found.rate
    by_chance = CHANCE * deviation * float(np.sqrt((weights**2).sum()))
    above = float(heights[top] - usual * weights.sum())
    confidence = max(0.0, 1 - by_chance / above) if above > 0 else 0.0
    return Beat(offset * 1000, ratio, (ratio - 1) * float(places[-1]) * 1000, confidence)


class Fitted(NamedTuple):
    """Sound made to fill some bars."""

    audio: Audio
    beat: Beat
    """As it was measured, before anything was done."""
    stretched: bool


def fit(audio: Audio, grid: Grid, bar: int, bars: int) -> Fitted:
    """``audio``, which begins at the line of ``bar``, as ``bars`` bars long to the sample.

    A small error of tempo is stretched away where there is sound enough for it: what plays too
    slowly becomes shorter, so up to `MENDABLE` more than the bars should be there. A great error is
    left to be seen in the beat's verdict.
    """
    work = fitting(audio, grid, bar, bars)
    try:
        while True:
            next(work)
    except StopIteration as done:
        fitted: Fitted = done.value
        return fitted


def fitting(audio: Audio, grid: Grid, bar: int, bars: int) -> Generator[None, None, Fitted]:
    """`fit` for who has other things to do: it rests after each piece, of a second at most."""
    samples = grid.length(bar, bars)
    listened = max(grid.length(bar), min(samples, round(LISTENED * grid.rate)))
    beat = measure(audio[:listened], grid, bar)
    yield
    if beat.verdict is not Verdict.STRETCH or len(audio) < samples * beat.ratio:
        return Fitted(exactly(audio, samples), beat, False)
    pieces = []
    for piece in stretched(audio, grid.rate, beat.ratio):
        pieces.append(piece)
        yield
    return Fitted(exactly(np.concatenate(pieces), samples), beat, True)


def stretched(audio: Audio, rate: int, ratio: float) -> Iterator[Audio]:
    """`stretch` piece by piece, of `PIECE` seconds each; where two meet they are crossfaded."""
    size, lead, fade = (round(seconds * rate) for seconds in (PIECE, LEAD, FADE))
    total = round(len(audio) / ratio)
    beyond = audio[:0]
    for start in range(0, total, size):
        end = min(start + size, total)
        first = max(0, round(start * ratio) - lead)
        last = round((end + fade) * ratio) + lead
        made = stretch(audio[first:last], rate, ratio)[start - round(first / ratio) :]
        yield crossfade(beyond, made[: end - start])
        beyond = made[end - start : end - start + fade]


def stretch(audio: Audio, rate: int, ratio: float) -> Audio:
    """``audio`` at another tempo and the same pitch, 1 / ``ratio`` as long: undoes `Beat.ratio`.

    By Signalsmith Stretch, from the package python-stretch.
    """
    signalsmith = importlib.import_module("python_stretch").Signalsmith
    stretcher = signalsmith.Stretch()
    stretcher.preset(audio.shape[1], rate)
    stretcher.timeFactor = ratio
    made = stretcher.process(np.ascontiguousarray(audio.T, np.float32))
    return np.ascontiguousarray(np.asarray(made, np.float32).T)


def _beat(meter: Meter) -> Fraction:
    """What is felt as a beat, in quarter notes: three eighths in 6/8, one in 7/8."""
    unit = Fraction(4, meter.den)
    if meter.den >= 8 and meter.num % 3 == 0:
        return 3 * unit
    return unit


def _levels(meter: Meter) -> Iterator[tuple[Fraction, float]]:
    """Steps in quarter notes that music moves in, the finest first, and how much each counts."""
    beat = _beat(meter)
    parts = 3 if beat == Fraction(12, meter.den) else 2
    yield beat / parts / 2, 0.25
    yield beat / parts, 0.5
    yield beat, 1.0


def _pulses(grid: Grid, bar: int, samples: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds from the line of ``bar``, and weights, of the pulses inside so many samples."""
    weights: dict[Fraction, float] = {}
    end = Fraction(samples) / grid.tick_samples
    start = grid.meters.start(bar)
    while (line := grid.meters.start(bar) - start) < end or not weights:
        meter = grid.meters.at(bar)
        for step, weight in _levels(meter):
            ticks = step * TICKS_PER_BEAT
            for count in range(-(-meter.ticks // ticks)):
                if not weights or line + count * ticks < end:
                    weights[line + count * ticks] = weight
        bar += 1
    places = sorted(weights)
    seconds = [float(place * grid.tick_samples / grid.rate) for place in places]
    return np.array(seconds), np.array([weights[place] for place in places])


def _spread(found: Onsets) -> NDArray[np.float64]:
    """The onsets, each spread to a bell."""
    width = SPREAD * found.rate
    reach = int(4 * width) + 1
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return np.convolve(found.strength, bell / bell.sum(), mode="same")


def _vertex(heights: NDArray[np.float64], top: int) -> float:
    """Where between its neighbours a peak is, in steps, by the parabola through the three."""
    if not 0 < top < len(heights) - 1:
        return 0.0
    left, middle, right = heights[top - 1 : top + 2]
    bend = left - 2 * middle + right
    return float((left - right) / (2 * bend)) if bend < 0 else 0.0
