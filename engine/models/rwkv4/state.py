"""What a sequence of an RWKV-4 model remembers, and the stream that walks it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from engine.models.base import Snapshot, Tokens
from engine.models.rwkv.state import Float, checked_rows, checked_tokens
from engine.models.rwkv4.architecture import Sizes

NOTHING_YET = np.float32(-1e30)
"""The largest exponent of an empty sum."""


class State(NamedTuple):
    """The state of B sequences in float32."""

    shift: Float
    """The last token's normed inputs ``[L, 2, B, C]``: time mixing, then channel mixing."""
    wkv: Float
    """``[L, 3, B, C]``: the sums of values and of weights, and what their exponents count from."""
    logits: Float
    """``[B, V]`` after the last token."""

    @property
    def nbytes(self) -> int:
        """Bytes of all three."""
        return sum(array.nbytes for array in self[:])

    def rows(self, chosen: Sequence[int] | NDArray[np.intp]) -> State:
        """An independent copy of some of the sequences, in this order."""
        rows = list(chosen)
        return State(self.shift[:, :, rows], self.wkv[:, :, rows], self.logits[rows])


class Kernel(Protocol):
    """What computes steps, in place."""

    def step(self, state: State, tokens: NDArray[np.int32]) -> None:
        """Advance each sequence by its token ``[B]`` and write its logits."""
        ...

    def feed(self, state: State, tokens: NDArray[np.int32]) -> None:
        """Advance all sequences by ``tokens`` ``[T]``, T > 0; logits of the last one only."""
        ...


def zero_state(sizes: Sizes, batch: int) -> State:
    """What sequences start with."""
    wkv = np.zeros((sizes.layers, 3, batch, sizes.embed), np.float32)
    wkv[:, 2] = NOTHING_YET
    return State(
        np.zeros((sizes.layers, 2, batch, sizes.embed), np.float32),
        wkv,
        np.zeros((batch, sizes.vocab), np.float32),
    )


class Rwkv4Stream:
    """A `Stream` in main memory."""

    def __init__(self, sizes: Sizes, kernel: Kernel, state: State) -> None:
        self._sizes = sizes
        self._kernel = kernel
        self._use(state)

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
        checked = checked_tokens(tokens, self._sizes.vocab)
        if len(checked):
            self._kernel.feed(self._state, checked)

    def step(self, tokens: Tokens) -> Float:
        """Advance each sequence by its own token ``[B]``; the logits are those of `logits`."""
        checked = checked_tokens(tokens, self._sizes.vocab)
        if len(checked) != self.batch:
            raise ValueError(f"{len(checked)} tokens for {self.batch} sequences")
        self._kernel.step(self._state, checked)
        return self._logits

    def snapshot(self) -> State:
        """An independent copy of the state and its logits."""
        return self._state.rows(range(self.batch))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to ``snapshot``, bit by bit."""
        other = cast(State, snapshot)
        mine = self._state
        alike = (
            isinstance(other, State)
            and other.wkv.shape[::3] == mine.wkv.shape[::3]
            and other.logits.shape[1] == mine.logits.shape[1]
        )
        if not alike:
            raise ValueError("the snapshot is not of this model")
        if len(other.logits) not in (1, self.batch):
            raise ValueError(f"{len(other.logits)} sequences restored into {self.batch}")
        for here, there in zip(mine, other, strict=True):
            np.copyto(here, there)

    def fork(self, batch: int = 1) -> Rwkv4Stream:
        """A new stream of ``batch`` copies of this one's single sequence."""
        if self.batch != 1:
            raise ValueError(f"only a stream of one sequence can be forked, not of {self.batch}")
        if batch < 1:
            raise ValueError(f"a stream has at least one sequence, not {batch}")
        return Rwkv4Stream(self._sizes, self._kernel, self._state.rows([0] * batch))

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these of the sequences only, in this order."""
        self._use(self._state.rows(checked_rows(rows, self.batch)))
