"""Sound on the song's grid: bars in samples, level, seams, and whether it keeps time.

Needs numpy and soxr, and no torch; models are known by their doors alone, `engine.models.audio`.

Sound is float32 [frames, channels] from -1 to 1 everywhere here, as in audio files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]
"""Samples from -1 to 1, shaped [frames, channels]."""
