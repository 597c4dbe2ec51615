"""The prompt as a model hears it: at its rate, in whole frames, the last of which ends exactly at
the bar line.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import NamedTuple

import numpy as np
import soxr

from engine.audio import Audio
from engine.audio.wanted import Wanted
from engine.models.audio import AudioModel

RIGHT = 0.5
"""Seconds of what follows that are looked at: several times what codecs see."""
_MIRRORED = 0.05
"""Seconds of the prompt's end, mirrored, that stand for what follows where it is not known: the
resampler would otherwise smear the silence there into the last samples."""


class Heard(NamedTuple):
    """Sound at a model's rate."""

    audio: Audio
    """[T * hop, 1 or 2]"""
    right: Audio
    """What sounds after it; nothing where it is not known."""


def heard(wanted: Wanted, model: AudioModel, frames: int) -> Heard:
    """The last ``frames`` of the past for ``model``: the prompt, and what its first frame lacks."""
    rate, to = wanted.grid.rate, model.sample_rate
    samples = frames * model.hop
    known = wanted.following is not None and len(wanted.following) > 0
    after = wanted.following if wanted.following is not None and known else wanted.past[::-1]
    after = after[: round((RIGHT if known else _MIRRORED) * rate)]
    # Both rates have a sample at the bar line if what is before it are so many whole periods.
    period = rate // gcd(rate, to)
    before = -(-samples * rate // (to * period)) * period
    past = wanted.past[-before:]
    lead = np.zeros((before - len(past), past.shape[1]), np.float32)
    sound = _sides(np.concatenate([lead, past, after]), model.channels)
    if rate != to:
        sound = soxr.resample(sound, rate, to, quality="VHQ")
    line = int(Fraction(before * to, rate))
    right = sound[line:] if known else sound[:0]
    return Heard(sound[line - samples : line], right)


def _sides(audio: Audio, channels: int) -> Audio:
    """Mixed down for a model of one channel."""
    if audio.shape[1] > channels:
        return np.asarray(np.mean(audio, axis=1, keepdims=True), np.float32)
    return audio
