"""A straight line through clock ticks, tick after tick."""

from __future__ import annotations

from math import inf, sqrt

MEMORY = 384.0
"""How many ticks count: four bars of 4/4. Older ones fade away."""


class Line:
    """Seconds over the index of a tick, fitted by recursive least squares.

    While it is young this is the straight line through all of its ticks, which is what a g-h filter
    with expanding memory computes (Brookner, *Tracking and Kalman Filtering Made Easy*, 1998); the
    sums below only make it exact where ticks are missing too. From :data:`MEMORY` on it is the
    filter with fading memory.
    """

    __slots__ = ("_at", "_n", "_x", "_xx", "period")

    def __init__(self, seconds: float, period: float, trust: float = 0.0) -> None:
        """Begin with one tick.

        ``trust`` says what ``period`` is worth, in ticks squared: the sum of squares that as many
        ticks would have; 0 where it is a mere guess.
        """
        self._at = seconds
        self.period = period
        """Seconds from one tick to the next."""
        # Over all ticks, the sums of 1, x and x², where x is 0 at the newest and -1 before it.
        self._n, self._x, self._xx = 1.0, 0.0, trust

    @property
    def trust(self) -> float:
        """What is known about the period: the jitter's variance through the period's."""
        return self._xx - self._x * self._x / self._n

    def phase(self, seconds: float) -> float:
        """Ticks since the newest one, on the line."""
        return (seconds - self._at) / self.period

    def add(self, steps: int, seconds: float, limit: float = inf) -> float:
        """Take a tick that comes ``steps`` after the newest one; what lies beyond ``limit`` of
        jitter is not believed.

        Returns the recursive residual in seconds: how far off it came, scaled by the line's own
        uncertainty, so that residuals of steady ticks are all independent and as wide as the
        jitter (Brown, Durbin and Evans 1975). 0 where two ticks define the line.
        """
        n = self._n
        x = self._x - steps * n
        xx = self._xx - 2 * steps * self._x + steps * steps * n
        known = n * xx - x * x
        scale = sqrt(1.0 + xx / known) if known > 1e-9 else inf
        expected = self._at + steps * self.period
        off = max(-limit * scale, min(limit * scale, seconds - expected))
        n += 1.0
        known = n * xx - x * x
        self._at = expected + off * xx / known
        self.period -= off * x / known
        fade = min(1.0, MEMORY / n)
        self._n, self._x, self._xx = n * fade, x * fade, xx * fade
        return (seconds - expected) / scale
