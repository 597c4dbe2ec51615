"""Steps as CUDA graphs: captured once for each span, then replayed without Python in between.

**What is done on a GPU here has not been run: no CUDA device was at hand.** On other devices a step
is called as it is.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable

import torch

from engine.models.musicgen.step import Step

SPANS = {"cpu": 64, "cuda": 192, "mps": 64}
"""By how many places the past that a step looks at grows; on CUDA each span has its graph."""

WARM_UP_STEPS = 3
"""Steps before a capture, in which libraries allocate what they allocate once."""


def runner(step: Step) -> Callable[[int], None]:
    """What makes a step of the given span, in the way that suits the device."""
    return Captured(step) if step.packed.device.type == "cuda" else step


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
