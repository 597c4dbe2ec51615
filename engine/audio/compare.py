"""Candidates held against the prompt that they go on from."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from engine.audio import Audio
from engine.audio.grid import Grid, nearest
from engine.audio.level import SILENCE, loudness
from engine.audio.rank import Measures
from engine.audio.seam import click
from engine.audio.spectrum import bands, unlikeness
from engine.audio.tempo import Beat, measure
from engine.errors import SidemanError

_NO_BEAT = Beat(0.0, 1.0, 0.0, 0.0)
_ON_THE_GRID = Beat(0.0, 1.0, 0.0, 1.0)


class Reference:
    """A prompt that ends at the line of a bar: what its candidates are measured by.

    Without a prompt there is nothing to be like; then a candidate is to have a beat, on the grid.
    """

    def __init__(self, prompt: Audio, grid: Grid, bar: int) -> None:
        self.prompt = prompt
        self.grid = grid
        self.bar = bar
        self.loudness = loudness(prompt, grid.rate)
        self.beat = self._own_beat()
        self._bands = bands(prompt, grid.rate)

    def measure(self, take: Audio) -> Measures:
        """How ``take``, which begins at that bar line, goes on from the prompt."""
        rate = self.grid.rate
        beat = measure(take, self.grid, self.bar)
        own = loudness(take, rate)
        alone = not len(self.prompt)
        return Measures(
            offset_ms=self._aside(beat) * min(beat.confidence, self.beat.confidence),
            tempo_percent=abs(beat.ratio - 1) * 100 * beat.confidence,
            lost_beat=max(0.0, self.beat.confidence - beat.confidence),
            level_lu=0.0 if alone else _apart(own, self.loudness),
            entry_lu=max(0.0, _apart(self.loudness, self._entry(take), signed=True)),
            click=max(0.0, click(self.prompt, take, rate) - 1),
            unlikeness_db=0.0 if alone else unlikeness(self._bands, bands(take, rate)),
        )

    def _own_beat(self) -> Beat:
        """The beat of as many whole bars of the prompt as there are."""
        samples = len(self.prompt)
        if not samples:
            return _ON_THE_GRID
        try:
            begin = self.grid.line(self.bar) - samples
            cut = self.grid.before(self.bar, Fraction(samples, self.grid.rate), first=begin)
        except SidemanError:
            return _NO_BEAT
        first = self.grid.bar_at(cut.first)
        if self.grid.line(first) != cut.first:
            return _NO_BEAT
        return measure(self.prompt[samples - (cut.end - cut.first) :], self.grid, first)

    def _aside(self, beat: Beat) -> float:
        """How far beats lie from the prompt's, in ms; a whole beat aside is none at all."""
        period = float(self.grid.beat_samples) / self.grid.rate * 1000
        aside = beat.offset_ms - self.beat.offset_ms
        return abs(aside - period * round(aside / period))

    def _entry(self, take: Audio) -> float:
        return loudness(take[: nearest(self.grid.beat_samples)], self.grid.rate)


def _apart(one: float, other: float, signed: bool = False) -> float:
    """LU between two levels, silence being at the gate."""
    apart = float(np.maximum(one, SILENCE) - np.maximum(other, SILENCE))
    return apart if signed else abs(apart)
