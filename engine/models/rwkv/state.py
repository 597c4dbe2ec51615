"""What a sequence remembers, and the stream that walks it with whatever runtime is in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from engine.models.base import Snapshot, Tokens
from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.memory import aligned_zeros

Float = NDArray[np.float32]


class State(NamedTuple):
    """The state of B sequences, float32 in every runtime in main memory."""

    shift: Float
    """The last token's normed inputs ``[L, 2, B, C]``: time mixing, then channel mixing."""
    wkv: Float
    """The matrices S ``[L, B, H, N, N]``, key x value: the torch model's, transposed. Of RWKV-4,
    sums ``[L, B, 3, C]``; see there."""
    logits: Float
    """``[B, V]`` after the last token."""

    @property
    def nbytes(self) -> int:
        """Bytes of all three."""
        return self.shift.nbytes + self.wkv.nbytes + self.logits.nbytes

    def copy(self) -> State:
        """An independent copy."""
        return State(self.shift.copy(), self.wkv.copy(), self.logits.copy())

    def assign(self, other: State) -> None:
        """Take over the values of ``other``, which has the same batch or one sequence."""
        np.copyto(self.shift, other.shift)
        np.copyto(self.wkv, other.wkv)
        np.copyto(self.logits, other.logits)


SEQUENCES = (2, 1, 0)
"""The axis of B in each part of a `State`."""


def zero_state(sizes: Sizes, batch: int) -> State:
    """What sequences start with."""
    s = sizes
    return State(
        aligned_zeros((s.layers, 2, batch, s.embed), np.float32),
        aligned_zeros((s.layers, batch, s.heads, s.head, s.head), np.float32),
        aligned_zeros((batch, s.vocab), np.float32),
    )


def _of_one(state: State) -> list[tuple[int, ...]]:
    """The shape of each part of a state without its batch."""
    return [
        array.shape[:axis] + array.shape[axis + 1 :]
        for array, axis in zip(state, SEQUENCES, strict=True)
    ]


def checked_tokens(tokens: Tokens, vocab: int) -> NDArray[np.int32]:
    """A fresh row of ``tokens``. Raises ``ValueError`` for what no vocabulary of ``vocab`` has."""
    array = np.asarray(tokens)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError("tokens must be a row of whole numbers")
    if array.size and not 0 <= array.min() <= array.max() < vocab:
        raise ValueError(f"a token lies outside the vocabulary of {vocab}")
    return array.astype(np.int32)


def checked_rows(rows: Sequence[int], batch: int) -> list[int]:
    """The same ``rows``. Raises ``ValueError`` for none, and for what ``batch`` does not have."""
    if not rows or not 0 <= min(rows) <= max(rows) < batch:
        raise ValueError(f"{list(rows)} are not rows of {batch} sequences")
    return list(rows)


class Kernel(Protocol):
    """One way to compute steps, in place. Holds weights only, so threads may share it."""

    runtime: str
    """What computes, as `Model.runtime` says it."""
    precision: str
    """How the weights are held, as `Model.precision` says it."""
    nbytes: int
    """Bytes of weights that a step reads."""

    def step(self, state: State, tokens: NDArray[np.int32]) -> None:
        """Advance each sequence by its token ``[B]`` and write its logits."""
        ...

    def feed(self, state: State, tokens: NDArray[np.int32]) -> None:
        """Advance all sequences by ``tokens`` ``[T]``, T > 0; logits of the last one only."""
        ...


class RwkvStream:
    """A `Stream` in main memory, of any RWKV.

    Belongs to one thread at a time. ``zero`` makes the state that so many sequences start with.
    ``kernel`` names the best runtime that is ready; the stream changes over to it when it is fed,
    restored or forked, and never between two steps, so that one take is made by one runtime from
    its first token to its last.
    """

    def __init__(
        self, zero: Callable[[int], State], kernel: Callable[[], Kernel], batch: int
    ) -> None:
        if batch < 1:
            raise ValueError(f"a stream has at least one sequence, not {batch}")
        self._zero = zero
        self._best = kernel
        self._kernel = kernel()
        self._use(zero(batch))

    def _use(self, state: State) -> None:
        self._state = state
        self._logits = state.logits.view()
        self._logits.flags.writeable = False

    @property
    def batch(self) -> int:
        """Sequences side by side."""
        return len(self._state.logits)

    @property
    def logits(self) -> Float:
        """Logits ``[B, V]`` after the last token, read-only; valid until the stream moves."""
        return self._logits

    def feed(self, tokens: Tokens) -> None:
        """Advance every sequence by the same ``tokens`` ``[T]``."""
        checked = checked_tokens(tokens, self._logits.shape[1])
        self._kernel = self._best()
        if len(checked):
            self._kernel.feed(self._state, checked)

    def step(self, tokens: Tokens) -> Float:
        """Advance each sequence by its own token ``[B]``; the logits are those of `logits`."""
        checked = checked_tokens(tokens, self._logits.shape[1])
        if len(checked) != self.batch:
            raise ValueError(f"{len(checked)} tokens for {self.batch} sequences")
        self._kernel.step(self._state, checked)
        return self._logits

    def snapshot(self) -> State:
        """An independent copy of the state and its logits."""
        return self._state.copy()

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to ``snapshot``, bit by bit."""
        other = cast(State, snapshot)
        mine = self._state
        if not isinstance(other, State) or _of_one(other) != _of_one(mine):
            raise ValueError("the snapshot is not of this model")
        if len(other.logits) not in (1, self.batch):
            raise ValueError(f"{len(other.logits)} sequences restored into {self.batch}")
        mine.assign(other)
        self._kernel = self._best()

    def fork(self, batch: int = 1) -> RwkvStream:
        """A new stream of ``batch`` copies of this one's single sequence."""
        if self.batch != 1:
            raise ValueError(f"only a stream of one sequence can be forked, not of {self.batch}")
        other = RwkvStream(self._zero, self._best, batch)
        other._state.assign(self._state)
        return other

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these of the sequences only, in this order."""
        kept = checked_rows(rows, self.batch)
        state = self._zero(len(kept))
        for mine, its, axis in zip(self._state, state, SEQUENCES, strict=True):
            # The rows are checked; to raise for them, numpy would copy through a buffer.
            mine.take(kept, axis, its, mode="clip")
        self._use(state)
