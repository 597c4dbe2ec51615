"""RWKV-7 steps in torch: on CUDA as replayed graphs, on the CPU step by step.

A captured graph belongs to its buffers, and capturing takes as long as hundreds of steps; so graph
and buffers are lent to one stream after another. The eager half is tested against the other
runtimes on the CPU. **`_Slot._capture` has not been run: no CUDA device was at hand.**

Importing this module imports torch.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import threading
import weakref
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import Code, SidemanError
from engine.models.base import Snapshot, Tokens
from engine.models.folder import ModelInfo
from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.state import checked_rows, checked_tokens
from engine.models.rwkv.torch_model import Rwkv7, State

WARM_UP_STEPS = 3
"""Steps before a capture, in which libraries allocate what they allocate once."""

FEED = 512
"""Tokens fed at once; bounds the memory that their activations take."""


class TorchSnapshot(NamedTuple):
    """A copy of a stream's state, on the device."""

    shift: Tensor
    wkv: Tensor
    logits: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self)


class _Slot:
    """Buffers that a step reads and writes in place, and on CUDA the graph that does it."""

    def __init__(self, net: Rwkv7, batch: int) -> None:
        self.net = net
        weight = net.emb.weight
        self.tokens = torch.zeros(batch, dtype=torch.int64, device=weight.device)
        self.state = net.zero_state(batch)
        self.logits = weight.new_zeros(batch, net.sizes.vocab, dtype=torch.float32)
        self.graph = self._capture() if weight.is_cuda else None

    def clear(self) -> None:
        """Back to the beginning of a sequence."""
        for tensor, first in zip(self.state, self.net.zero_state(len(self.tokens)), strict=True):
            tensor.copy_(first)
        self.logits.zero_()

    def write(self, logits: Tensor, state: State) -> None:
        """Take over the outcome of a step."""
        self.logits.copy_(logits)
        self.state.shift.copy_(state.shift)
        self.state.wkv.copy_(state.wkv)

    def step(self) -> None:
        """Advance by ``tokens``."""
        if self.graph is None:
            self.write(*self.net.step(self.tokens, self.state))
        else:
            self.graph.replay()

    def _capture(self) -> torch.cuda.CUDAGraph:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                self.write(*self.net.step(self.tokens, self.state))
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.write(*self.net.step(self.tokens, self.state))
        return graph


class TorchModel:
    """A `Model` on a torch device. Threads may share it."""

    precision = "float32"

    def __init__(self, info: ModelInfo, net: Rwkv7) -> None:
        self.info = info
        self.net = net
        self.runtime = "torch-graph" if net.emb.weight.is_cuda else "torch"
        self._idle: defaultdict[int, list[_Slot]] = defaultdict(list)
        self._lock = threading.Lock()

    @property
    def vocab(self) -> int:
        """Numbers of tokens."""
        return self.net.sizes.vocab

    def open(self, batch: int = 1) -> TorchStream:
        """A stream of ``batch`` sequences at their beginning."""
        if batch < 1:
            raise ValueError(f"a stream has at least one sequence, not {batch}")
        with self._lock, torch.no_grad():
            slot = self._idle[batch].pop() if self._idle[batch] else _Slot(self.net, batch)
            slot.clear()
        stream = TorchStream(self, slot)
        weakref.finalize(stream, self._idle[batch].append, slot)
        return stream

    def warm_up(self) -> None:
        """Make some steps, and on CUDA the graph of a single sequence."""
        stream = self.open()
        for _ in range(WARM_UP_STEPS):
            stream.step([0])


class TorchStream:
    """A `Stream` on a torch device. Belongs to one thread at a time.

    Sequences that are not kept leave their rows to the buffers, and are stepped on unread: another
    batch would need another graph, and a graph's step hardly costs more for more rows.
    """

    def __init__(self, model: TorchModel, slot: _Slot) -> None:
        self._model = model
        self._slot = slot
        self._batch = len(slot.tokens)
        self._read()

    @property
    def batch(self) -> int:
        """Sequences side by side."""
        return self._batch

    @property
    def logits(self) -> NDArray[np.float32]:
        """Logits ``[B, V]`` after the last token, read-only."""
        return self._logits

    @torch.no_grad()
    def feed(self, tokens: Tokens) -> None:
        """Advance every sequence by the same ``tokens`` ``[T]``."""
        slot = self._slot
        row = torch.from_numpy(checked_tokens(tokens, self._model.vocab)).to(slot.tokens)
        for part in row.split(FEED) if len(row) else ():
            logits, state = slot.net.forward(part.expand(len(slot.tokens), -1), slot.state)
            slot.write(logits[:, -1], state)
        self._read()

    @torch.no_grad()
    def step(self, tokens: Tokens) -> NDArray[np.float32]:
        """Advance each sequence by its own token ``[B]``; the logits are those of `logits`."""
        row = checked_tokens(tokens, self._model.vocab)
        if len(row) != self.batch:
            raise ValueError(f"{len(row)} tokens for {self.batch} sequences")
        self._slot.tokens[: self.batch].copy_(torch.from_numpy(row))
        self._slot.step()
        self._read()
        return self._logits

    def snapshot(self) -> TorchSnapshot:
        """An independent copy of the state and its logits."""
        return TorchSnapshot(*(tensor.clone() for tensor in self._mine()))

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        """Go back to ``snapshot``, bit by bit."""
        mine = self._mine()
        alike = (
            isinstance(snapshot, TorchSnapshot)
            and snapshot.shift.shape[::3] == mine.shift.shape[::3]
            and snapshot.wkv.shape[2:] == mine.wkv.shape[2:]
            and snapshot.logits.shape[1] == mine.logits.shape[1]
        )
        if not (isinstance(snapshot, TorchSnapshot) and alike):
            raise ValueError("the snapshot is not of this model")
        if len(snapshot.logits) not in (1, self.batch):
            raise ValueError(f"{len(snapshot.logits)} sequences restored into {self.batch}")
        for tensor, other in zip(mine, snapshot, strict=True):
            tensor.copy_(other)
        self._read()

    def fork(self, batch: int = 1) -> TorchStream:
        """A new stream of ``batch`` copies of this one's single sequence."""
        if self.batch != 1:
            raise ValueError(f"only a stream of one sequence can be forked, not of {self.batch}")
        other = self._model.open(batch)
        other.restore(self.snapshot())
        return other

    @torch.no_grad()
    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these of the sequences only, in this order."""
        kept = checked_rows(rows, self.batch)
        mine = self._mine()
        chosen = mine.shift[:, :, kept], mine.wkv[:, kept], mine.logits[kept]
        self._batch = len(kept)
        for tensor, other in zip(self._mine(), chosen, strict=True):
            tensor.copy_(other)
        self._read()

    def _mine(self) -> TorchSnapshot:
        """Views of the buffers' rows that hold this stream's sequences."""
        state, rows = self._slot.state, slice(self._batch)
        return TorchSnapshot(state.shift[:, :, rows], state.wkv[:, rows], self._slot.logits[rows])

    def _read(self) -> None:
        self._logits = self._slot.logits[: self._batch].cpu().numpy().copy()
        self._logits.flags.writeable = False


def load_torch(
    info: ModelInfo,
    sizes: Sizes,
    weights: Mapping[str, NDArray[np.float32]],
    device: str,
    precision: str,
    start: NDArray[np.float32] | None = None,
) -> TorchModel:
    """The torch model of checked ``weights``. Raises ``bad-arguments`` for what torch lacks.

    ``start`` ``[L, H, N, N]`` is what sequences begin with, where that was learned.
    """
    if precision == "int8":
        raise SidemanError(Code.BAD_ARGUMENTS, "torch plays in float32; int8 is for the cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise SidemanError(Code.BAD_ARGUMENTS, "no CUDA device was found; use the device 'cpu'")
    net = Rwkv7(sizes)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    if start is not None:
        net.start = torch.nn.Parameter(torch.from_numpy(start))
    return TorchModel(info, net.to(device).eval().requires_grad_(False))
