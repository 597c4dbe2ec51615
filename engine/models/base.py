"""The doors of a model family: load a folder, open a stream, feed, step, snapshot, restore, fork.

Threads: a `Model` may be shared by threads once `load` has returned. A `Stream` belongs to one
thread at a time; it holds no lock, and compiled families let go of the interpreter lock while they
compute. A `Snapshot` never changes and may be passed anywhere inside its process.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.models.adapters import Attached
from engine.models.folder import ModelInfo

Tokens: TypeAlias = Sequence[int] | NDArray[np.int32]
"""Token numbers, each at least 0 and below the model's `vocab`."""


class Snapshot(Protocol):
    """The state of a stream at one moment: opaque, and independent of what the stream does next."""

    @property
    def nbytes(self) -> int:
        """Memory that it holds, in bytes."""
        ...


class Stream(Protocol):
    """One or more sequences that a model walks side by side."""

    @property
    def batch(self) -> int:
        """Sequences side by side, B."""
        ...

    @property
    def logits(self) -> NDArray[np.float32]:
        """Logits ``[B, V]`` after the last token; zeros before the first.

        Read-only, and valid until the next call that moves the stream.
        """
        ...

    def feed(self, tokens: Tokens) -> None:
        """Advance every sequence by the same ``tokens`` ``[T]``; logits of the last one only.

        Raises ``ValueError`` for a token outside the vocabulary, and then nothing has moved.
        """
        ...

    def step(self, tokens: Tokens) -> NDArray[np.float32]:
        """Advance each sequence by its own token ``[B]`` and return `logits` ``[B, V]``.

        Raises ``ValueError`` as `feed` does, and where there is not one token per sequence.
        """
        ...

    def snapshot(self) -> Snapshot:
        """An independent copy of the state and its logits."""
        ...

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to ``snapshot``, bit by bit.

        A snapshot of one sequence is copied to every sequence of this stream; otherwise the batches
        must be equal. Raises ``ValueError`` where they are not, or the snapshot is another model's.
        """
        ...

    def fork(self, batch: int = 1) -> Stream:
        """A new stream of ``batch`` copies of this one's state, which must be one sequence."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these of the sequences only, in this order; `logits` are theirs.

        Raises ``ValueError`` where there are none, or not so many.
        """
        ...


class Model(Protocol):
    """A loaded model: weights that never change."""

    @property
    def info(self) -> ModelInfo:
        """What its ``model.json`` says."""
        ...

    @property
    def vocab(self) -> int:
        """Numbers of tokens that it knows, V."""
        ...

    @property
    def precision(self) -> str:
        """How the weights are held now, such as ``int8`` or ``float32``."""
        ...

    @property
    def runtime(self) -> str:
        """What computes the steps now, such as ``numpy`` or ``numba``."""
        ...

    def warm_up(self) -> None:
        """Wait until the fastest runtime is in place and has made its first steps."""
        ...

    def open(self, batch: int = 1) -> Stream:
        """A stream of ``batch`` sequences at their beginning."""
        ...


class Family(Protocol):
    """What a folder under ``engine/models`` gives to the registry."""

    @property
    def name(self) -> str:
        """The family's name, as ``model.json`` has it."""
        ...

    def load(
        self,
        folder: Path,
        *,
        device: str = "cpu",
        precision: str = "auto",
        adapter: Attached | None = None,
    ) -> Model:
        """Load a model folder, with an adapter in it.

        Raises `SidemanError` ``bad-file`` or ``unknown-model``.
        """
        ...

    def check_adapter(self, info: ModelInfo, adapter: Attached) -> None:
        """Raise ``bad-file`` where ``adapter`` can't be merged into the model ``info``."""
        ...
