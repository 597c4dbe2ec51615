"""How loud the sound of a data set is made: one gain for all of a file."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from engine.audio import Audio
from engine.audio.meter import Meter
from training.sound.dataset import RATE

SILENT = -60.0
"""dBFS that sound has to reach somewhere, to count as sound."""

CEILING = -0.3
"""dBFS that no sample goes above where loudness is the measure."""

AT_ONCE = 10 * RATE
"""Samples whose loudness is measured in one go."""


class Level(StrEnum):
    """What is brought to the target."""

    PEAK = "peak"
    LUFS = "lufs"
    NONE = "none"


TARGETS = {Level.PEAK: -1.0, Level.LUFS: -14.0, Level.NONE: 0.0}
"""dBFS and LUFS. -14 is what audiocraft brings its own output to."""


def levelled(audio: Audio, level: Level, target: float) -> Audio:
    """Sound that is not silent, at its target, and nowhere above full scale.

    Sound with high peaks stays below its LUFS target: nothing is clipped or squeezed.
    """
    peak = decibels(audio)
    if level is Level.PEAK:
        gain = target - peak
    elif level is Level.LUFS:
        measured = loudness(audio)
        gain = min(target - measured, CEILING - peak) if np.isfinite(measured) else 0.0
    else:
        gain = min(0.0, -peak)
    result: Audio = audio * np.float32(10 ** (gain / 20))
    return result


def loudness(audio: Audio) -> float:
    """Integrated loudness in LUFS, in little memory however long the sound is."""
    meter = Meter(RATE, audio.shape[1])
    for start in range(0, len(audio), AT_ONCE):
        meter.push(audio[start : start + AT_ONCE])
    return meter.loudness()


def decibels(audio: Audio) -> float:
    """The highest sample, in dBFS; -inf for silence."""
    peak = float(np.abs(audio).max(initial=0.0))
    return 20 * float(np.log10(peak)) if peak > 0 else float("-inf")
