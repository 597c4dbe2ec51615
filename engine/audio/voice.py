"""One sequence on its way from codes to sound at the session's rate."""

from __future__ import annotations

import numpy as np
import soxr

from engine.audio import Audio
from engine.models.audio import AudioModel, Codes


class Voice:
    """A sequence's codes, its decoder, and the resampler behind it."""

    def __init__(self, model: AudioModel, rate: int, channels: int) -> None:
        """Its sound comes at ``rate`` and in ``channels``."""
        self.alive = True
        """Whether it is still to be made."""
        self._decoder = model.decoder()
        self._channels = channels
        self._frames: list[Codes] = []
        self._resampler = (
            None
            if rate == model.sample_rate
            else soxr.ResampleStream(model.sample_rate, rate, channels, dtype="float32")
        )

    def prime(self, codes: Codes) -> None:
        """Hear the prompt."""
        self._decoder.prime(codes)

    def follow(self, other: Voice) -> None:
        """Have heard what another has heard."""
        self._decoder = other._decoder.fork()

    def take(self, frame: Codes) -> None:
        """One more frame."""
        self._frames.append(frame)

    def sound(self, last: bool = False) -> Audio:
        """What the frames taken so far have made certain, and was not given yet.

        The resampler works in blocks of up to 50 ms (100 ms to 8 kHz), and holds back what does not
        fill one, but for the ``last`` time. The very end is then that of a piece that ends there.
        """
        made = _sides(self._decoder.push(self._frames), self._channels)
        self._frames = []
        if self._resampler is not None:
            made = np.asarray(self._resampler.resample_chunk(made, last=last), np.float32)
        return made


def _sides(audio: Audio, channels: int) -> Audio:
    """The same on both sides, or both sides in one."""
    if audio.shape[1] == channels:
        return audio
    if channels == 1:
        return np.asarray(np.mean(audio, axis=1, keepdims=True), np.float32)
    return np.repeat(audio, channels, axis=1)
