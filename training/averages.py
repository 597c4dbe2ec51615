"""A running average of the weights: what a run ends with, smoother than its last step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class Averages:
    """The averages of some parameters, which are taken over as they are at the beginning."""

    def __init__(self, weights: Mapping[str, Tensor], keep: float) -> None:
        """``keep`` is how much of the average a late step leaves; early ones leave less."""
        self._live = dict(weights)
        self._keep = keep
        self.values = {name: weight.detach().clone() for name, weight in weights.items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        keep = min(self._keep, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.values.values()), list(self._live.values()), 1 - keep)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside this block the network computes with the averages."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for name, weight in self._live.items():
            weight.data, self.values[name] = self.values[name], weight.data
