"""How loud sound is (LUFS), how high it peaks between its samples (dBTP), and matching the two.

Both are measured by Recommendation ITU-R BS.1770-4, annexes 1 and 2. It gives the K-weighting's two
filters for 48 kHz, and asks for the same frequency response at any other rate. So they are applied
in the frequency domain, with silence after the sound that outlasts their ringing: the response at
each frequency is the one that the table gives.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from engine.audio import Audio

CEILING = -1.0
"""dBTP above which nothing is given out."""

SILENCE = -70.0
"""LUFS: the standard's absolute gate. What is below counts as silent."""

_TABLE_RATE = 48_000
_K_WEIGHTING = (
    # The head's shelf, then the high-pass: (b0, b1, b2), (1, a1, a2); annex 1, tables 1 and 2.
    (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (1.0, -1.69065929318241, 0.73248077421585),
    ),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)
RINGING = 0.25
"""Seconds until the high-pass (two poles near 38 Hz) has died away, by far more than 24 bits."""

BLOCK, STEP = 0.4, 0.1
"""Seconds of a gating block, and from one to the next: an overlap of 75 %."""
_OFFSET = -0.691
_RELATIVE_GATE = -10.0
_TAPS = 256
"""Samples of silence around sound that is oversampled."""
_AT_ONCE = 1 << 19
"""Samples that are oversampled in one go, which bounds the memory."""
_HAIR = 1e-4
"""dB kept free below the ceiling, so that rounding to float32 does not reach it."""


class Match(NamedTuple):
    """Sound with its level matched to another's."""

    audio: Audio
    gain: float
    """What it was multiplied by."""
    gap: float
    """LU by which it is quieter than what it should match, for the sake of the ceiling."""


def loudness(audio: Audio, rate: int) -> float:
    """Integrated loudness in LUFS of mono or stereo sound, -inf for silence.

    Sound shorter than a gating block of 0.4 s is measured as one block.
    """
    power = np.cumsum(np.sum(weighted(audio, rate) ** 2, axis=1))
    power = np.concatenate([[0.0], power])
    block = min(round(BLOCK * rate), len(audio))
    if not block:
        return float("-inf")
    count = 1 + int((len(audio) - block) / (STEP * rate))
    starts = np.round(np.arange(count) * STEP * rate).astype(np.int64)
    starts = starts[starts + block <= len(audio)]
    return gated((power[starts + block] - power[starts]) / block)


def gated(means: NDArray[np.float64]) -> float:
    """Integrated loudness in LUFS of blocks with these mean squares, K-weighted; -inf for none."""
    means = means[_lufs(means) > SILENCE]
    if not means.size:
        return float("-inf")
    gate = float(_lufs(means.mean())) + _RELATIVE_GATE
    return float(_lufs(means[_lufs(means) > gate].mean()))


def true_peak(audio: Audio, rate: int) -> float:
    """The highest level in dBTP that the sound reaches, also between its samples; -inf for none.

    Oversampled four times, or to 192 kHz where less does, as the standard's annex 2 has it.
    """
    if not audio.size:
        return float("-inf")
    peak = float(np.abs(audio).max())
    factor = next((times for times in (1, 2) if rate * times >= 4 * _TABLE_RATE), 4)
    if factor > 1:
        # Silence around it lets the filter ring out, and what it rings is part of the sound.
        padded = np.pad(audio, ((_TAPS, _TAPS), (0, 0)))
        for start in range(0, len(audio), _AT_ONCE):
            piece = padded[start : start + _AT_ONCE + 2 * _TAPS].astype(np.float64)
            dense = soxr.resample(piece, rate, rate * factor, quality="VHQ")
            # A piece's own edges are no sound, but for the first and the last.
            first = _TAPS * factor if start else 0
            last = len(dense) if start + _AT_ONCE >= len(audio) else len(dense) - _TAPS * factor
            peak = max(peak, float(np.abs(dense[first:last]).max()))
    return decibels(peak)


def match(take: Audio, prompt: Audio, rate: int, ceiling: float = CEILING) -> Match:
    """``take`` as loud as ``prompt``, but with no true peak above ``ceiling`` dBTP.

    One gain for all of it: the balance inside the take stays, and nothing is clipped. A silent take
    or prompt decides nothing, and then only the ceiling holds.
    """
    target, own = loudness(prompt, rate), loudness(take, rate)
    wanted = target - own if np.isfinite(target) and np.isfinite(own) else 0.0
    gain = min(wanted, ceiling - _HAIR - true_peak(take, rate))
    factor = 10 ** (gain / 20)
    return Match((take * np.float32(factor)).astype(np.float32), factor, wanted - gain)


def decibels(amplitude: float) -> float:
    """dB of an amplitude, 1.0 being 0 dB; -inf for 0."""
    return 20 * float(np.log10(amplitude)) if amplitude > 0 else float("-inf")


def weighted(audio: Audio, rate: int) -> NDArray[np.float64]:
    """K-weighted samples [frames, channels], and nothing of their ringing after the end."""
    size = 1 << (len(audio) + round(RINGING * rate)).bit_length()
    spectrum = np.fft.rfft(np.asarray(audio, np.float64), size, axis=0)
    spectrum *= _response(size, rate)[:, np.newaxis]
    return np.fft.irfft(spectrum, size, axis=0)[: len(audio)]


@lru_cache(maxsize=8)
def _response(size: int, rate: int) -> NDArray[np.complex128]:
    """The K-weighting's response at the frequencies of an FFT of ``size`` samples."""
    turns = np.arange(size // 2 + 1) * (rate / size / _TABLE_RATE)
    # Nothing is heard above the table's 24 kHz; the shelf goes on there.
    back = np.exp(-2j * np.pi * np.minimum(turns, 0.5))
    response = np.ones(len(back), np.complex128)
    for above, below in _K_WEIGHTING:
        response *= np.polyval(above[::-1], back) / np.polyval(below[::-1], back)
    return response


def _lufs(mean_square: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.asarray(_OFFSET + 10 * np.log10(np.maximum(mean_square, 0.0)))
