"""A step in the way that suits the device: on CUDA as graphs, captured once and then replayed.

**`Captured` has not been run: no CUDA device was at hand.**
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from engine.models.musicgen.step import Step

SPANS = {"cpu": 64, "cuda": 192, "mps": 64}
"""By how many places the past that a step looks at grows; on CUDA each span has its graph."""

WARM_UP_STEPS = 3
"""Steps before a capture, in which libraries allocate what they allocate once."""


def runner(step: Step) -> Callable[[int], None]:
    """What makes a step of the given span, in the way that suits the device."""
    match step.packed.device.type:
        case "cuda":
            return Captured(step)
        case "cpu":
            return WithoutOneDnn(step)
    return step


class WithoutOneDnn:
    """A step that torch computes with its own kernels.

    oneDNN takes 8 µs to begin a GELU, which is 1 µs of work for one row; that is a sixth of a step.
    Other threads' convolutions may meanwhile go without it, too: slower, and no less right.
    """

    def __init__(self, step: Step) -> None:
        self._step = step

    def __call__(self, span: int) -> None:
        """Make the step."""
        one_dnn: Any = torch.backends.mkldnn
        before, one_dnn.enabled = one_dnn.enabled, False
        try:
            self._step(span)
        finally:
            one_dnn.enabled = before


class Captured:
    """A step that is replayed; its buffers must not be replaced."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def __call__(self, span: int) -> None:
        """Make the step, which is captured where it was not made with this span before."""
        if span not in self._graphs:
            self._graphs[span] = self._capture(span)
        self._graphs[span].replay()

    def _capture(self, span: int) -> torch.cuda.CUDAGraph:
        """The graph of a step; what warming up wrote is as it was.

        Keys and values need no such care: the step that follows writes the same ones again.
        """
        b = self._step.buffers
        touched = (b.sequence, b.position, b.past_mask)
        before = [tensor.clone() for tensor in touched]

        def put_back() -> None:
            for tensor, kept in zip(touched, before, strict=True):
                tensor.copy_(kept)

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                self._step(span)
                put_back()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        pool = next(iter(self._graphs.values())).pool() if self._graphs else None
        with torch.cuda.graph(graph, pool=pool):
            self._step(span)
        return graph
