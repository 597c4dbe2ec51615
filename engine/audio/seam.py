"""The seam between what sounded and what goes on: left as it is where it is smooth, and crossfaded
over the shortest stretch that mends it where it is not.

What was played before the bar line is played and cannot be changed, so a crossfade lies after it:
from what the past would have gone on with (a loop's own beginning) into the new sound.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.audio import Audio

CLICK = 1.5
"""The `click` from which on a seam is heard, and mended."""

NEIGHBOURHOOD = 0.010
"""Seconds to each side that a seam is compared with."""

FADES = (0.001, 0.002, 0.005, 0.010, 0.020, 0.040)
"""Seconds of the crossfades that are tried, the shortest first."""

_INAUDIBLE = 2.0**-11
"""A step from one sample to the next, some -66 dB, that is no click beside any silence."""


class Seam(NamedTuple):
    """New sound, made to follow what sounded before."""

    audio: Audio
    """As long as the sound given; the same samples where nothing had to be done."""
    fade: int
    """Samples of the crossfade, 0 for none."""
    click: float
    """What is left of the click."""


def click(before: Audio, after: Audio, rate: int, fade: int = 0) -> float:
    """How much the step across the seam stands out from the steps around it; above 1 it does.

    The greatest of the channels. With ``fade``, the greatest step of the seam and of that many
    samples after it.
    """
    around = max(2, round(NEIGHBOURHOOD * rate))
    past, future = before[-around:], after[: fade + around]
    if not len(past) or not len(future):
        return 0.0
    steps = np.abs(np.diff(np.concatenate([past, future]).astype(np.float64), axis=0))
    seam = slice(len(past) - 1, len(past) + fade)
    across = steps[seam].max(axis=0)
    rest = np.delete(steps, np.arange(seam.start, min(seam.stop, len(steps))), axis=0)
    usual = rest.max(axis=0) if len(rest) else np.zeros_like(across)
    return float((across / np.maximum(usual, _INAUDIBLE)).max())


def join(before: Audio, after: Audio, rate: int, beyond: Audio | None = None) -> Seam:
    """``after`` so that it follows ``before`` without a click.

    ``beyond`` is what ``before`` would go on with; where it is not known, or is shorter than a
    crossfade, the last of ``before`` is mirrored. A seam that no crossfade of `FADES` mends gets
    the one that leaves the least, and where all of them leave more than there was, none.
    """
    best = Seam(after, 0, click(before, after, rate))
    if best.click <= CLICK:
        return best
    for seconds in FADES:
        fade = min(round(seconds * rate), len(after))
        mended = crossfade(_going_on(before, beyond, fade), after)
        left = click(before, mended, rate, fade)
        if left < best.click:
            best = Seam(mended, fade, left)
        if left <= CLICK:
            break
    return best


def crossfade(out: Audio, into: Audio) -> Audio:
    """``into``, its beginning faded in while ``out`` fades out.

    The gains keep the power of the two together even for the correlation that they have: linear
    where they are the same sound, of equal power where they have nothing in common.
    """
    fade = len(out)
    head = into[:fade].astype(np.float64)
    rise = ((np.arange(fade) + 1) / (fade + 1))[:, np.newaxis]
    fall = 1 - rise
    alike = _correlation(out, head)
    even = np.sqrt(rise**2 + fall**2 + 2 * alike * rise * fall)
    mixed = (out * fall + head * rise) / even
    return np.concatenate([mixed.astype(np.float32), into[fade:]])


def _correlation(one: Audio, other: NDArray[np.float64]) -> float:
    """From 0 to 1 (opposite sounds count as having nothing in common: they would be boosted)."""
    first, second = one.astype(np.float64).ravel(), other.ravel()
    power = float(np.sqrt((first @ first) * (second @ second)))
    return min(1.0, max(0.0, float(first @ second) / power)) if power > 0 else 0.0


def _going_on(before: Audio, beyond: Audio | None, samples: int) -> Audio:
    """``samples`` of what would follow ``before``."""
    known = before[:0] if beyond is None else beyond[:samples]
    past = np.concatenate([before[-samples:], known])
    mirrored = past[::-1][: samples - len(known)]
    going_on = np.concatenate([known, mirrored])
    rest = samples - len(going_on)
    return np.pad(going_on, ((0, rest), (0, 0))) if rest else going_on
