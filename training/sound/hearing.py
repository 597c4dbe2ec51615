"""Sound files as models hear them: at 32 kHz, in mono or stereo."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from engine.audio import Audio
from training.sound.dataset import RATE

LONGEST = 3600.0
"""Seconds of a file, which is held in memory as a whole."""

HIGHEST = 384_000
"""Hz."""

BLOCK = 1 << 16
"""Sample frames that are read at a time."""


class UnusableError(ValueError):
    """A file is not used; the text is the reason."""


class Heard(NamedTuple):
    """A file's sound, and what it was."""

    audio: Audio
    """At 32 kHz, [frames, channels]."""

    rate: int
    """Hz of the file."""

    channels: int
    """Of the file."""


def hear(path: Path, channels: int) -> Heard:
    """Read a file and resample it. Raises :class:`UnusableError` where nothing good comes of it.

    For mono all channels are averaged; for stereo one channel is heard on both sides.
    """
    try:
        with soundfile.SoundFile(path) as file:
            return Heard(_read(file, channels), file.samplerate, file.channels)
    except soundfile.LibsndfileError as error:
        raise UnusableError(f"cannot be read as sound: {error.error_string}") from error
    except OSError as error:
        raise UnusableError(f"cannot be read: {error.strerror or error}") from error


def _read(file: soundfile.SoundFile, channels: int) -> Audio:
    rate, claimed = file.samplerate, file.frames
    if not 0 < rate <= HIGHEST:
        raise UnusableError(f"has a rate of {rate} Hz")
    _check_length(claimed, rate)
    if channels == 2 and file.channels > 2:
        raise UnusableError(f"has {file.channels} channels, which are no stereo")
    resampler = soxr.ResampleStream(rate, RATE, channels, dtype="float32", quality="VHQ")
    parts, read = [], 0
    for block in file.blocks(BLOCK, dtype="float32", always_2d=True):
        if not np.isfinite(block).all():
            raise UnusableError("has samples that are no numbers")
        read += len(block)
        _check_length(read, rate)  # a stream may claim nothing
        parts.append(resampler.resample_chunk(_mixed(block, channels)))
    if not read:
        raise UnusableError("holds no sound")
    # What an MP3 claims is a guess; elsewhere, less sound than claimed is a damaged file.
    if file.format != "MP3" and read < claimed:
        raise UnusableError(
            f"ends after {read / rate:.1f} of {claimed / rate:.1f} s: it is damaged"
        )
    parts.append(resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True))
    return np.concatenate(parts)


def _check_length(frames: int, rate: int) -> None:
    if frames > LONGEST * rate:
        raise UnusableError(f"lasts more than {LONGEST / 60:.0f} minutes: cut it")


def _mixed(block: Audio, channels: int) -> Audio:
    if channels == 1:
        return np.ascontiguousarray(block.mean(axis=1, keepdims=True, dtype=np.float32))
    return np.ascontiguousarray(np.broadcast_to(block, (len(block), 2)))
