"""Where sound is cut into clips. All lengths are whole frames of the codec."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.audio import Audio
from training.sound.dataset import RATE

FRAME = 640
"""Samples of a frame of MusicGen's codec, 20 ms: a frame that is partly sound is none to learn."""

QUIET = -60.0
"""dB below a file's peak that counts as silence at its ends."""

MARGIN = 0.05
"""Seconds of it that stay, so that nothing sounds cut off."""

STEP = RATE // 100
"""Samples that are silent or not as one."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How a file is cut; all in seconds."""

    length: float = 30.0
    stride: float | None = None
    """From one clip's start to the next; None sets them side by side."""

    shortest: float = 1.0
    """What is left at the end is a clip if it lasts as long; so is a file shorter than a clip."""

    most: int | None = None
    """Clips of one file at most, the first ones."""

    trim: bool = False
    """Leave out silence before and after all sound. Silence inside stays: it is rhythm."""


def sounding(audio: Audio) -> tuple[int, int]:
    """First and last sample, exclusive, of sound with some margin; silence gives (0, 0)."""
    whole = -(-len(audio) // STEP) * STEP
    peaks = np.zeros(whole, np.float32)
    peaks[: len(audio)] = np.abs(audio).max(axis=1)
    steps = peaks.reshape(-1, STEP).max(axis=1)
    loud = np.flatnonzero(steps > steps.max(initial=0.0) * 10 ** (QUIET / 20))
    if not loud.size:
        return 0, 0
    margin = round(MARGIN * RATE)
    first, last = int(loud[0]) * STEP, (int(loud[-1]) + 1) * STEP
    return max(0, first - margin), min(len(audio), last + margin)


def cuts(samples: int, cutting: Cutting) -> list[tuple[int, int]]:
    """Start and end of each clip of so many samples."""
    length = max(FRAME, whole(cutting.length))
    stride = length if cutting.stride is None else max(FRAME, whole(cutting.stride))
    shortest = min(length, max(FRAME, whole(cutting.shortest)))
    found = []
    for start in range(0, samples, stride):
        end = start + min(length, (samples - start) // FRAME * FRAME)
        if end - start >= shortest:
            found.append((start, end))
        if start + length >= samples or len(found) == cutting.most:
            break
    return found


def whole(seconds: float) -> int:
    """Seconds in samples, rounded to whole frames."""
    return round(seconds * RATE / FRAME) * FRAME
