"""Buffers and the step over them, lent to one stream after another.

On CUDA a graph belongs to its buffers, and capturing it takes as long as many steps; so what one
stream gives back, with all its graphs, is what the next one of the same size gets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch

from engine.models.audio import Sampling
from engine.models.musicgen.capture import runner
from engine.models.musicgen.packed import Packed
from engine.models.musicgen.step import Buffers, Step

KEPT = 4
"""Slots of a model that wait for the next stream; more are let go of, the oldest first."""


@dataclass(frozen=True, slots=True)
class Size:
    """All that a graph is fixed to."""

    batch: int
    guided: tuple[int, ...]
    """The sequences with a second row."""

    places: int
    text: int
    greedy: bool
    top_k: int
    cut: bool
    """Whether ``top_p`` leaves out anything."""

    @staticmethod
    def of(batch: int, guided: tuple[int, ...], places: int, text: int, sampling: Sampling) -> Size:
        """The size of a stream that draws like this."""
        top_k = 0 if sampling.greedy else sampling.top_k
        cut = not sampling.greedy and sampling.top_p < 1
        return Size(batch, guided, places, text, sampling.greedy, top_k, cut)


class Slot:
    """Buffers, and their step as it is made on the device."""

    def __init__(self, packed: Packed, size: Size, sampling: Sampling) -> None:
        self.size = size
        self.buffers = Buffers(packed, size.batch, size.guided, size.places, size.text)
        self.step = Step(packed, self.buffers, sampling)
        self.run: Callable[[int], None] = runner(self.step)


class Slots:
    """The slots of one model that no stream has, the last one given back at the end.

    Any thread may call anything here, and garbage collection may end a stream, which gives back,
    in the middle of it. So nothing waits for a lock: each line that moves a slot is one step of the
    interpreter.
    """

    def __init__(self, packed: Packed) -> None:
        self._packed = packed
        self._free: deque[Slot] = deque(maxlen=KEPT)

    def take(self, size: Size, sampling: Sampling) -> Slot:
        """A slot of that size, with nothing in its past, to draw as ``sampling`` says."""
        slot = self._waiting(size)
        if slot is None:
            # Tensors made in inference mode could not be written to outside it.
            with torch.inference_mode(False):
                slot = Slot(self._packed, size, sampling)
        else:
            # Masked or not, a number that is not finite would spread from an old past.
            slot.buffers.past.zero_()
        slot.buffers.temperature.fill_(sampling.temperature or 1.0)
        slot.buffers.top_p.fill_(sampling.top_p)
        return slot

    def give_back(self, slot: Slot) -> None:
        """Have the next stream of this size get it; the oldest goes where there are too many."""
        self._free.append(slot)

    def clear(self) -> None:
        """Let go of all that wait, to have their memory back."""
        self._free.clear()

    @property
    def nbytes(self) -> int:
        """Memory of those that wait, in bytes."""
        return sum(slot.buffers.nbytes for slot in self._free.copy())

    def _waiting(self, size: Size) -> Slot | None:
        """One that fits, out of those that wait; the others stay in their order."""
        found = None
        for _ in range(len(self._free)):
            try:
                slot = self._free.popleft()
            except IndexError:  # another thread was quicker
                break
            if found is None and slot.size == size:
                found = slot
            else:
                self._free.append(slot)
        return found
