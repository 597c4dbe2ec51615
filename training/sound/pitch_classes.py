"""Which pitch classes sound, and which key that is nearest to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.audio import Audio
from engine.audio.spectrum import magnitudes
from engine.keys import Key

WINDOW = 0.25
"""Seconds: neighbouring semitones are told apart from some 65 Hz on."""

LOWEST, HIGHEST = 65.0, 2100.0
"""Hz, C2 to C7: what is below is smeared, what is above is mostly overtones."""

PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
"""How well each semitone above the tonic fits, by listeners: Krumhansl and Kessler, Psychological
Review 89 (1982)."""

Chroma = NDArray[np.float64]
"""Shares of the pitch classes ``[12]``, from C."""


def chroma(audio: Audio, rate: int) -> Chroma:
    """How much each pitch class sounds, adding up to 1; zeros for silence.

    Magnitudes' roots are summed, so that no loud note decides alone.
    """
    window = round(WINDOW * rate)
    hertz = np.fft.rfftfreq(window, 1 / rate)
    inside = (hertz >= LOWEST) & (hertz <= HIGHEST)
    classes = np.round(12 * np.log2(hertz[inside] / 440.0) + 69).astype(int) % 12
    total = np.zeros(12)
    for block in magnitudes(audio, window, window // 2):
        peaks = _peaks(block)[:, inside]
        total += np.bincount(classes, weights=np.sqrt(peaks).sum(0), minlength=12)
    whole = total.sum()
    return total / whole if whole > 0 else total


def likeness(one: Chroma, other: Chroma) -> float:
    """The cosine of two, 0 to 1; 0 where one is silent."""
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / size if size > 0 else 0.0


def key_of(found: Chroma) -> Key:
    """The major or minor key whose profile goes with it best; C major for silence."""
    keys = [Key(tonic, scale) for tonic in range(12) for scale in PROFILES]
    if not found.std() > 0:
        return keys[0]
    fits = [np.corrcoef(np.roll(PROFILES[key.scale], key.tonic), found)[0, 1] for key in keys]
    return keys[int(np.argmax(fits))]


def _peaks(block: NDArray[np.float32]) -> NDArray[np.float64]:
    """Magnitudes where they are higher than their neighbours', and 0 elsewhere."""
    middle = block[:, 1:-1]
    high = (middle > block[:, :-2]) & (middle >= block[:, 2:])
    return np.pad(np.where(high, middle, 0.0), ((0, 0), (1, 1)))
