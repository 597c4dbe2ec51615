"""Where bars lie in samples: exact, so that no rate, tempo or meter lets them drift.

A bar line's place is a fraction, and its sample the nearest one. A bar's length is the distance of
two such samples: bars of one tempo may differ by a sample, and their sum is always the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from engine.audio import Audio
from engine.errors import Code, SidemanError
from engine.music import TICKS_PER_BEAT, MeterMap


class Cut(NamedTuple):
    """A piece of a track: samples ``first`` to ``end`` (not included), which is a bar line."""

    first: int
    end: int
    beats: Fraction
    """Its length in quarter notes."""


@dataclass(frozen=True)
class Grid:
    """Bars and beats in samples, counted from the beginning of bar 0."""

    rate: int
    """Samples in a second."""
    bpm: Fraction | float | int
    """Quarter notes per minute."""
    meters: MeterMap = field(default_factory=MeterMap)

    def __post_init__(self) -> None:
        if self.rate <= 0 or not self.bpm > 0:
            raise ValueError(f"rate and tempo are above 0, not {self.rate} and {self.bpm}")

    @property
    def tick_samples(self) -> Fraction:
        """Samples in a tick."""
        return Fraction(self.rate * 60, TICKS_PER_BEAT) / Fraction(self.bpm)

    @property
    def beat_samples(self) -> Fraction:
        """Samples in a quarter note."""
        return self.tick_samples * TICKS_PER_BEAT

    def sample(self, tick: int | Fraction) -> int:
        """The sample nearest to an absolute tick."""
        return nearest(self.tick_samples * tick)

    def line(self, bar: int) -> int:
        """The first sample of a bar."""
        return self.sample(self.meters.start(bar))

    def length(self, bar: int, bars: int = 1) -> int:
        """Samples in ``bars`` bars from ``bar`` on."""
        return self.line(bar + bars) - self.line(bar)

    def bar_at(self, sample: int) -> int:
        """The bar that a sample belongs to; bars before bar 0 have its meter."""
        bar = self.meters.locate(int(sample // self.tick_samples)).bar
        # Lines lie on the nearest sample, up to half a sample before their tick.
        return bar + 1 if sample >= self.line(bar + 1) else bar

    def before(
        self, bar: int, seconds: float | Fraction, bars: int | None = None, first: int = 0
    ) -> Cut:
        """The last whole bars before the line of ``bar``, for a model to go on from.

        At most ``seconds`` and at most ``bars`` of them, none of it before the sample ``first``
        where the track begins; it is below 0 where the track was there before bar 0. Where not one
        bar fits, as many quarter notes as do. Raises
        `SidemanError` NO_CONTEXT where not one of these does.
        """
        end = self.line(bar)
        earliest = max(first, end - int(Fraction(seconds) * self.rate))
        start = bar
        while self.line(start - 1) >= earliest and (bars is None or bar - start < bars):
            start -= 1
        if start < bar:
            ticks = self.meters.start(bar) - self.meters.start(start)
            return Cut(self.line(start), end, Fraction(ticks, TICKS_PER_BEAT))
        beats = int((end - earliest + Fraction(1, 2)) / self.beat_samples)
        if beats < 1:
            raise SidemanError(
                Code.NO_CONTEXT,
                "less than one beat of sound lies before the bar line: play or load more of it",
            )
        beginning = self.sample(self.meters.start(bar) - beats * TICKS_PER_BEAT)
        return Cut(max(beginning, earliest), end, Fraction(beats))


def nearest(place: Fraction) -> int:
    """The nearest whole number; the later one where two are equally near."""
    return int((place + Fraction(1, 2)) // 1)


def frames_for(samples: int, rate: int, codec_rate: int, hop: int) -> int:
    """The fewest frames of ``hop`` samples at ``codec_rate`` that last as long as ``samples``."""
    return -(-samples * codec_rate // (rate * hop))


def exactly(audio: Audio, samples: int) -> Audio:
    """``samples`` frames of ``audio``: what is more is cut off, what is missing is silence."""
    if len(audio) >= samples:
        return audio[:samples]
    return np.concatenate([audio, np.zeros((samples - len(audio), audio.shape[1]), audio.dtype)])
