"""What sound is made of, in short steps: magnitudes by the Fourier transform, and band levels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.audio import Audio

_AT_ONCE = 2048
"""Windows that are transformed in one go, which bounds the memory."""

_BANDS = 24
_LOWEST, _HIGHEST = 40.0, 12_000.0
"""Hz of the bands' outer edges; those between are spaced evenly by ear (in equal ratios)."""
_FLOOR = 1e-7
"""Power that counts as nothing, -70 dB."""


def magnitudes(audio: Audio, window: int, hop: int) -> Iterator[NDArray[np.float32]]:
    """Magnitudes [windows, bins] of Hann windows ``hop`` apart, the channels' powers added.

    In blocks, one after the other; a sine of amplitude 1 has a magnitude of about 1.
    """
    shape = np.hanning(window + 2)[1:-1].astype(np.float32)
    shape *= 2 / shape.sum()
    if len(audio) < window:
        return
    views = np.lib.stride_tricks.sliding_window_view(audio, window, axis=0)[::hop]
    for start in range(0, len(views), _AT_ONCE):
        spectra = np.fft.rfft(views[start : start + _AT_ONCE] * shape, axis=-1)
        yield np.sqrt((np.abs(spectra) ** 2).sum(axis=1)).astype(np.float32)


def bands(audio: Audio, rate: int) -> NDArray[np.float64]:
    """Levels in dB of bands from 40 Hz to 12 kHz, over the whole of the sound."""
    if not len(audio):
        return np.full(_BANDS, 10 * np.log10(_FLOOR))
    size = len(audio)
    power = (np.abs(np.fft.rfft(audio.astype(np.float64), axis=0)) ** 2).sum(axis=1)
    power *= 2 / size**2
    edges = np.geomspace(_LOWEST, _HIGHEST, _BANDS + 1) * size / rate
    places = np.minimum(np.round(edges).astype(np.int64), len(power))
    total = np.concatenate([[0.0], np.cumsum(power)])
    levels = total[places[1:]] - total[places[:-1]]
    return np.asarray(10 * np.log10(np.maximum(levels, _FLOOR)))


def unlikeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """How differently two sounds are made up, by their `bands`: the mean distance in dB.

    Both are taken as equally loud, so that only the balance of high and low counts.
    """
    difference = one - other
    return float(np.abs(difference - np.median(difference)).mean())
