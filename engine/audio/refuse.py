"""What is no prompt: sound that a model could not go on from, refused with what to do about it."""

from __future__ import annotations

import numpy as np

from engine.audio import Audio
from engine.audio.grid import Grid
from engine.audio.level import SILENCE, loudness
from engine.errors import Code, SidemanError

RATES = (8_000, 384_000)
"""Lowest and highest rate in Hz that is taken."""
CHANNELS = (1, 2)

FLAT = 3
"""Equal samples in a row at full scale that make a flat top, as clipping leaves it."""
FULL_SCALE = 0.99
MOST_CLIPPED = 0.01
"""The share of samples in flat tops from which on the sound counts as clipped. Loops mastered to be
loud have up to 0.8 % of them."""


def check_format(rate: int, channels: int) -> None:
    """Raises `SidemanError` BAD_FILE for a rate or a number of channels that is not taken."""
    low, high = RATES
    if not low <= rate <= high:
        raise SidemanError(
            Code.BAD_FILE, f"a rate of {rate} Hz is not taken: use one from {low} to {high} Hz"
        )
    if channels not in CHANNELS:
        raise SidemanError(
            Code.BAD_FILE, f"{channels} channels are not taken: mix it down to mono or stereo"
        )


def check_prompt(audio: Audio, grid: Grid) -> None:
    """Raises `SidemanError` for sound that cannot be continued.

    BAD_FILE where it is broken or clipped, NO_CONTEXT where there is less than a beat or nothing to
    be heard.
    """
    check_format(grid.rate, audio.shape[1])
    if not np.isfinite(audio).all():
        raise SidemanError(
            Code.BAD_FILE, "the sound holds values that are no numbers: export it again"
        )
    if len(audio) < int(grid.beat_samples):
        raise SidemanError(
            Code.NO_CONTEXT,
            f"the sound lasts {len(audio) / grid.rate:.2f} s, less than one beat at "
            f"{float(grid.bpm):g} bpm: give at least a bar",
        )
    if loudness(audio, grid.rate) <= SILENCE:
        raise SidemanError(
            Code.NO_CONTEXT, "the sound is silent: give a loop that can be heard, or a prompt text"
        )
    clipped = clipped_share(audio)
    if clipped > MOST_CLIPPED:
        raise SidemanError(
            Code.BAD_FILE,
            f"the sound is clipped ({clipped:.1%} of it lies flat at full scale): "
            "record or export it at a lower level",
        )


def clipped_share(audio: Audio) -> float:
    """The share of samples that lie in flat tops at full scale."""
    if len(audio) < FLAT:
        return 0.0
    same = (audio[1:] == audio[:-1]) & (np.abs(audio[1:]) >= FULL_SCALE)
    # A row of FLAT equal samples is FLAT - 1 equal steps; its samples are counted once each.
    tops = len(audio) - FLAT + 1
    top = np.ones((tops, audio.shape[1]), bool)
    for step in range(FLAT - 1):
        top &= same[step : step + tops]
    flat = np.zeros(audio.shape, bool)
    for place in range(FLAT):
        flat[place : place + tops] |= top
    return float(flat.mean())
