"""Choosing the next token: temperature, top-k, top-p, repetition penalty, and curves over bars.

The same seed makes the same choices from the same logits on any machine: random numbers are raw
PCG64 words, and :mod:`engine.draw` reckons with whole numbers.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.draw import STEPS_PER_NAT, Ids, fastest
from engine.errors import Code, SidemanError

Bias = tuple[Ids, NDArray[np.float32]]

COLDEST = 1e-6
"""At this temperature and below, the likeliest token is taken."""

_SEED_BITS = (1 << 64) - 1

SHAPES: dict[str, Callable[[float], float]] = {
    "constant": lambda phase: 0.0,
    "ramp": lambda phase: 2.0 * min(phase, 1.0) - 1.0,
    "sine": lambda phase: math.sin(2.0 * math.pi * phase),
}
"""How a curve moves: from the phase (bars over period) to a swing of -1 to 1."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A slow movement of temperature and top-p over the bars of a take, around their settings."""

    shape: str = "constant"
    """One of :data:`SHAPES`."""
    temperature: float = 0.0
    """How far the temperature swings to either side."""
    top_p: float = 0.0
    """How far top-p swings to either side."""
    period: float = 8.0
    """Bars of one turn of the sine, or of the whole ramp."""
    noise: float = 0.0
    """Swing of a random part, another in each bar, drawn from the take's seed; 0 to 1."""

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise _bad(f"a curve is one of {', '.join(SHAPES)}, not {self.shape}")
        if not self.period > 0:
            raise _bad(f"a curve's period is a number of bars above 0, not {self.period}")


class Sampler:
    """Chooses tokens for one sequence. Not for use by two threads."""

    def __init__(
        self,
        seed: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        repetition_penalty: float = 1.0,
        decay: float = 0.97,
        window: int = 128,
        curve: Curve | None = None,
        *,
        variation: int = 0,
        penalised: range = range(0),
    ) -> None:
        """Start at the first bar.

        ``temperature`` 0 always takes the likeliest token. ``top_k`` 0 and ``top_p`` 1 keep all.
        The penalty holds for the ids ``penalised`` (a vocabulary's ``pitch``; structure and drums
        repeat by nature): each of the last ``window`` such choices divides the odds of its token
        by ``repetition_penalty``, less by the factor ``decay`` for each choice since.
        ``variation`` numbers the sequences that share a seed.
        """
        if not (math.isfinite(temperature) and temperature >= 0):
            raise _bad(f"temperature is 0 or more, not {temperature}")
        if not 0 < top_p <= 1:
            raise _bad(f"top_p is above 0 and at most 1, not {top_p}")
        if top_k < 0 or window < 1:
            raise _bad("top_k is 0 or more, and the window of the penalty 1 or more")
        if not (math.isfinite(repetition_penalty) and repetition_penalty > 0 and 0 <= decay <= 1):
            raise _bad("the repetition penalty is above 0, and its decay 0 to 1")
        self._base = (temperature, top_p)
        self._top_k = top_k
        self._curve = curve
        self._random = np.random.PCG64([seed & _SEED_BITS, variation])
        self._drift = np.random.PCG64([seed & _SEED_BITS, variation, 1])
        self._noise: list[float] = []
        self._words: list[int] = []
        self._draw = fastest()
        self._first = penalised.start
        self._toll = np.zeros(0 if repetition_penalty == 1 else len(penalised), dtype=np.float32)
        self._fee = np.float32(math.log(repetition_penalty))
        self._decay = np.float32(decay)
        self._aged = np.float32(self._fee * decay**window)
        self._past: deque[int] = deque(maxlen=window)
        self.enter_bar(0)

    def enter_bar(self, bar: int) -> None:
        """Set temperature and top-p to where the curve stands in a bar, counted from the take's."""
        self.temperature, self.top_p = self._base
        if self._curve is not None:
            swing = SHAPES[self._curve.shape](bar / self._curve.period) + self._swing(bar)
            # Rounded, so that a last digit of another machine's sine cannot change a take.
            self.temperature += round(self._curve.temperature * swing, 6)
            self.top_p += round(self._curve.top_p * swing, 6)
            self.temperature = max(self.temperature, 0.0)
            self.top_p = min(max(self.top_p, 0.01), 1.0)
        self._scale = STEPS_PER_NAT / self.temperature if self.temperature > COLDEST else 0.0

    def choose(self, logits: NDArray[np.float32], ids: Ids, bias: Bias | None = None) -> int:
        """One of ``ids``, by ``logits`` [V] plus ``bias`` (ids and what to add to each).

        Either all of the ids are penalised ones, or none is.
        Raises ``ValueError`` where the logits are not numbers.
        """
        if bias is not None:
            logits = logits.copy()
            logits[bias[0]] += bias[1]
        word = self._word() if self._scale else 0
        settings = self._scale, self.top_p, self._top_k
        token = self._draw(logits, ids, self._toll, self._first, *settings, word)
        if 0 <= token - self._first < len(self._toll):
            self._remember(token - self._first)
        return token

    def _word(self) -> int:
        """64 random bits."""
        if not self._words:
            self._words = self._random.random_raw(64).tolist()
        return self._words.pop()

    def _remember(self, i: int) -> None:
        toll, past = self._toll, self._past
        toll *= self._decay
        if len(past) == past.maxlen:
            toll[past[0]] -= self._aged
        toll[i] += self._fee
        past.append(i)

    def _swing(self, bar: int) -> float:
        """The random part of the curve in a bar, -1 to 1 times its noise."""
        if self._curve is None or not self._curve.noise:
            return 0.0
        while len(self._noise) <= bar:
            self._noise.append(int(self._drift.random_raw()) / 2**63 - 1.0)
        return self._curve.noise * self._noise[bar]


def _bad(text: str) -> SidemanError:
    return SidemanError(Code.BAD_ARGUMENTS, text)
