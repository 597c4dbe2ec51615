"""A take's level while it is still being made: a gain, and a ceiling that holds.

What was given out cannot be taken back, so a few milliseconds are held back: where a peak to come
would pass the ceiling, the gain has gone down by then, smoothly, and it stays there.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from engine.audio import Audio
from engine.audio.level import CEILING

RAMP = 0.005
"""Seconds in which the gain goes down."""

UP, DOWN = 3.0, 12.0
"""dB a second by which the gain follows a goal: slower than music swells, sooner than it hurts."""

_EDGE = 128
"""Samples to each side that decide how high the sound goes between two of them."""
_TIMES = 4
"""How much it is oversampled to see that."""
_MARGIN = 0.05
"""dB kept free below the ceiling: for the samples beyond the edge, and for what a gain that moves
adds between the samples."""


class Leveller:
    """Takes sound chunk by chunk, and gives it back at a level, a little later."""

    def __init__(
        self, rate: int, channels: int, gain: float = 1.0, ceiling: float = CEILING
    ) -> None:
        """``gain`` is the factor wanted; no true peak passes ``ceiling`` dBTP."""
        self.gain = gain
        """The factor at which the latest sound leaves."""
        self._goal = gain
        self._most = np.inf  # what the ceiling has allowed so far
        self.held = round(RAMP * rate) + _EDGE
        """Samples by which what comes out is behind what went in."""
        self._rate = rate
        self._top = 10 ** ((ceiling - _MARGIN) / 20)
        self._past = np.zeros((_EDGE, channels), np.float32)
        self._waiting = np.zeros((0, channels), np.float32)
        self._gains = np.zeros(0)
        self._seen = 0  # samples of the waiting ones whose peaks are known

    def aim(self, gain: float) -> None:
        """Have what is pushed from now on go to another ``gain``, slowly: by `UP` or `DOWN`.

        A gain that the ceiling did not allow before is not tried again.
        """
        self._goal = gain

    def push(self, chunk: Audio) -> Audio:
        """The sound [frames, channels] that is certain now; there may be none."""
        self._waiting = np.concatenate([self._waiting, chunk])
        self._gains = np.concatenate([self._gains, self._way(len(chunk))])
        self._look(max(self._seen, len(self._waiting) - _EDGE))
        return self._give(max(0, len(self._waiting) - self.held))

    def flush(self) -> Audio:
        """The sound held back, as at a take's end."""
        self._look(len(self._waiting))
        return self._give(len(self._waiting))

    def _way(self, samples: int) -> NDArray[np.float64]:
        """The gains from the present one towards the goal."""
        goal = min(self._goal, self._most)
        if goal == self.gain or not samples:
            return np.full(samples, self.gain)
        speed = UP if goal > self.gain else -DOWN
        way = self.gain * 10 ** (speed / 20 / self._rate * np.arange(1.0, samples + 1))
        way = np.clip(way, min(goal, self.gain), max(goal, self.gain))
        self.gain = float(way[-1])
        return way

    def _look(self, end: int) -> None:
        """Lowers the gain where a peak before ``end`` asks for it."""
        peak = self._peak(self._seen, end)
        if peak * self._gains[self._seen :].max(initial=0.0) > self._top:
            lower = self._top / peak
            ramp = slice(max(0, self._seen - self.held + _EDGE), self._seen)
            steps = ramp.stop - ramp.start
            down = 0.5 - 0.5 * np.cos(np.pi * (np.arange(steps) + 1) / (steps + 1))
            before = self._gains[ramp]
            self._gains[ramp] = np.minimum(before, before + (lower - before) * down)
            self._gains[self._seen :] = np.minimum(self._gains[self._seen :], lower)
            self.gain = min(self.gain, lower)
            self._most = min(self._most, lower)
        self._seen = end

    def _peak(self, first: int, end: int) -> float:
        """The highest amplitude from one waiting sample to another, and between them."""
        around = [self._past, self._waiting[: end + _EDGE]]
        missing = end + _EDGE - len(self._waiting)
        if missing > 0:
            around.append(np.zeros((missing, self._past.shape[1]), np.float32))
        sound = np.concatenate(around).astype(np.float64)[first:]
        if end == first:
            return 0.0
        dense = soxr.resample(sound, self._rate, self._rate * _TIMES, quality="VHQ")
        inside = dense[_EDGE * _TIMES : (_EDGE + end - first) * _TIMES]
        return float(max(np.abs(inside).max(), np.abs(self._waiting[first:end]).max()))

    def _give(self, count: int) -> Audio:
        given = self._waiting[:count] * self._gains[:count, np.newaxis]
        self._past = np.concatenate([self._past, self._waiting[:count]])[-_EDGE:]
        self._waiting, self._gains = self._waiting[count:], self._gains[count:]
        self._seen -= count
        return given.astype(np.float32)
