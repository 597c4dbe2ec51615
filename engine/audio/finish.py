"""What a take gets on its way out: the prompt's level, a seam without a click, a ceiling, and its
exact length.
"""

from __future__ import annotations

import numpy as np

from engine.audio import Audio
from engine.audio.grid import exactly
from engine.audio.level import decibels
from engine.audio.leveller import Leveller
from engine.audio.meter import Meter
from engine.audio.seam import FADES, NEIGHBOURHOOD, Seam, join

HIGHEST, LOWEST = 18.0, -40.0
"""dB that a live take is made louder or softer at most: a soft beginning is no reason for more."""
NEAR = 1.0
"""LU within which a live take's gain stays as it is."""

_SEAM = max(FADES) + NEIGHBOURHOOD


class Finish:
    """Takes a take's sound as it was made, and gives it back as it is to be heard."""

    def __init__(
        self,
        prompt: Audio,
        beyond: Audio | None,
        rate: int,
        samples: int,
        gain: float | None = None,
    ) -> None:
        """``prompt`` has the take's channels; it may be empty, and then the level is as it came.

        Without a ``gain`` the take is held to be as loud as the prompt was after as long a time.
        """
        channels = prompt.shape[1]
        self.seam: Seam | None = None
        """The seam, once it is past."""
        self.heard = Meter(rate, channels)
        """What was given out."""
        self._prompt, self._beyond = prompt, beyond
        self._rate, self._left = rate, samples
        self._fixed = gain
        self._own, self._model = Meter(rate, channels), Meter(rate, channels)
        self._model.push(prompt)
        self._early: list[Audio] = []
        self._leveller: Leveller | None = None
        self._channels = channels

    @property
    def gain_db(self) -> float | None:
        """The gain of what came last, None before there was a sound."""
        return None if self._leveller is None else decibels(self._leveller.gain)

    @property
    def prompt_loudness(self) -> float:
        """LUFS of the prompt."""
        return self._model.loudness()

    def push(self, sound: Audio) -> Audio:
        """The sound that is certain now; there may be none."""
        self._own.push(sound)
        if self._leveller is not None:
            self._leveller.aim(self._gain(self._leveller.gain))
            return self._given(self._leveller.push(sound))
        self._early.append(sound)
        if sum(map(len, self._early)) < round(_SEAM * self._rate):
            return sound[:0]
        return self._begin()

    def flush(self) -> Audio:
        """The rest, to the take's exact end; silence stands for what was never made."""
        begun = self._begin() if self._leveller is None else self._prompt[:0]
        assert self._leveller is not None
        rest = self._given(self._leveller.flush())
        missing = exactly(rest[:0], self._left)
        self._left = 0
        return np.concatenate([begun, rest, missing])

    def _begin(self) -> Audio:
        """Level and seam of the beginning."""
        sound = np.concatenate([self._prompt[:0], *self._early])
        self._early = []
        gain = self._gain(1.0)
        # The seam is looked at as loud as it will be heard, and mended before the ceiling.
        self.seam = join(self._prompt, sound * np.float32(gain), self._rate, self._beyond)
        if self.seam.fade:
            sound = self.seam.audio / np.float32(gain)
        self._leveller = Leveller(self._rate, self._channels, gain)
        return self._given(self._leveller.push(sound))

    def _gain(self, present: float) -> float:
        """The gain at which the take so far is as loud as it should be."""
        if self._fixed is not None:
            return self._fixed
        own = self._own.loudness()
        wanted = self._model.loudness(self._own.samples / self._rate)
        if not (np.isfinite(own) and np.isfinite(wanted)):
            return present
        apart = min(max(wanted - own, LOWEST), HIGHEST)
        if self._leveller is not None and abs(apart - decibels(present)) < NEAR:
            return present
        return float(10 ** (apart / 20))

    def _given(self, sound: Audio) -> Audio:
        sound = sound[: self._left]
        self._left -= len(sound)
        self.heard.push(sound)
        return sound
