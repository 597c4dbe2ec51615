"""Loudness of sound that is still being made, by the same standard as `engine.audio.level`."""

from __future__ import annotations

import numpy as np

from engine.audio import Audio
from engine.audio.level import BLOCK, RINGING, STEP, gated, weighted

_STEPS = round(BLOCK / STEP)


class Meter:
    """Takes sound chunk by chunk and knows how loud all of it is, in steps of a tenth second."""

    def __init__(self, rate: int, channels: int) -> None:
        self.samples = 0
        """Samples that it has heard."""
        self._rate = rate
        self._past = np.zeros((0, channels), np.float32)
        self._powers: list[float] = []
        self._open = 0.0  # power of the step that has begun

    def push(self, chunk: Audio) -> None:
        """Hear more of it."""
        # What the filters still ring from is weighted once more.
        sound = np.concatenate([self._past, chunk])
        power = (weighted(sound, self._rate)[len(self._past) :] ** 2).sum(axis=1)
        end = self.samples + len(chunk)
        while (line := self._line(len(self._powers) + 1)) <= end:
            count = line - self.samples
            self._powers.append(self._open + float(power[:count].sum()))
            self._open, self.samples, power = 0.0, line, power[count:]
        self._open += float(power.sum())
        self.samples = end
        self._past = sound[len(sound) - min(len(sound), round(RINGING * self._rate)) :]

    def loudness(self, seconds: float | None = None) -> float:
        """Integrated loudness in LUFS, of the first ``seconds`` or of all; -inf for silence.

        Less than a gating block is measured as one.
        """
        steps = len(self._powers)
        if seconds is not None:
            steps = min(steps, int(seconds / STEP + 1e-6))
        if not steps:
            return float("-inf")
        length = min(_STEPS, steps)
        sums = np.cumsum([0.0, *self._powers[:steps]])
        lines = np.array([self._line(step) for step in range(steps + 1)])
        return gated((sums[length:] - sums[:-length]) / (lines[length:] - lines[:-length]))

    def _line(self, step: int) -> int:
        return round(step * STEP * self._rate)
