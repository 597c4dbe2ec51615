"""How long a run goes on, and how fast it learns on the way."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

DEFAULT_EPOCHS = 10.0
"""How often a run hears its data where nothing else is said."""

DECAYS: dict[str, Callable[[float, float], float]] = {
    "cosine": lambda progress, end: end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress)),
    "exp": lambda progress, end: end**progress,
    "constant": lambda progress, end: 1.0,
}
"""The way from 1 down to ``end`` as a run goes from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The length of a run and its learning rate.

    Whichever of ``minutes`` and ``epochs`` is reached first ends the run, annealed. ``steps`` is
    a hard limit beside them, which leaves the rate as it is; alone, it is the length itself.
    """

    rate: float
    """The highest learning rate."""

    rate_end: float
    """The last one, as a part of ``rate``."""

    warmup: int
    """Steps in which the rate rises, or a tenth of the run where that is shorter."""

    decay: str = "cosine"
    minutes: float | None = None
    epochs: float | None = None
    steps: int | None = None
    steps_of_epoch: int = 1

    def __post_init__(self) -> None:
        if self.minutes is None and self.epochs is None and self.steps is None:
            object.__setattr__(self, "epochs", DEFAULT_EPOCHS)

    def progress(self, step: int, seconds: float) -> float:
        """How much of the schedule lies behind after so many steps and seconds, 0 to 1."""
        parts = [0.0]
        if self.minutes is not None:
            parts.append(seconds / (60 * self.minutes) if self.minutes else 1.0)
        if self.epochs is not None:
            parts.append(step / max(1, round(self.epochs * self.steps_of_epoch)))
        if self.steps is not None and (len(parts) == 1 or step >= self.steps):
            parts.append(step / self.steps)
        return min(1.0, max(parts))

    def rate_at(self, step: int, progress: float) -> float:
        """A straight rise, times the way down."""
        warm = min(1.0, max((step + 1) / max(1, self.warmup), 10 * progress))
        return self.rate * warm * DECAYS[self.decay](progress, self.rate_end)
