"""Loads RWKV-4 model folders."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from engine.errors import Code, SidemanError
from engine.models.adapters import Attached
from engine.models.folder import ModelInfo, read_family_info, read_info, read_weights
from engine.models.rwkv.state import RwkvStream
from engine.models.rwkv4.architecture import ARCHITECTURE, Sizes, tensors
from engine.models.rwkv4.numpy_step import NumpyKernel
from engine.models.rwkv4.state import zero_state

LIMITS = {"layers": 96, "embed": 8192, "ffn": 65536, "vocab": 131072}
"""Largest sizes that are believed; a description that asks for more is refused unread."""


class Rwkv4Model:
    """A `Model` in main memory. Threads may share it."""

    def __init__(self, info: ModelInfo, sizes: Sizes, kernel: NumpyKernel) -> None:
        self.info = info
        self.sizes = sizes
        self._kernel = kernel

    @property
    def vocab(self) -> int:
        """Numbers of tokens."""
        return self.sizes.vocab

    @property
    def precision(self) -> str:
        """``float32``."""
        return self._kernel.precision

    @property
    def runtime(self) -> str:
        """``numpy``."""
        return self._kernel.runtime

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that a step reads."""
        return self._kernel.nbytes

    def open(self, batch: int = 1) -> RwkvStream:
        """A stream of ``batch`` sequences at their beginning."""
        return RwkvStream(partial(zero_state, self.sizes), lambda: self._kernel, batch)

    def warm_up(self) -> None:
        """Make a step, so that its code and its weights are in memory."""
        self.open().step([0])


class Rwkv4Family:
    """The `Family` of RWKV-4 models."""

    name = "rwkv4"

    def load(
        self,
        folder: Path,
        *,
        device: str = "cpu",
        precision: str = "auto",
        adapter: Attached | None = None,
    ) -> Rwkv4Model:
        """Load a model folder; there is one runtime, numpy in ``float32`` on the ``cpu``.

        Raises ``bad-file`` and ``unknown-model`` for the folder, ``bad-arguments`` for the rest,
        an adapter among it: those of RWKV-4 are merged when they are imported.
        """
        if adapter is not None:
            self.check_adapter(read_info(folder), adapter)
        if device != "cpu" or precision not in ("auto", "float32"):
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"RWKV-4 plays on the cpu in float32, not on {device[:20]!r} in {precision[:20]!r}",
            )
        info = read_family_info(folder, self.name, ARCHITECTURE, LIMITS)
        sizes = Sizes.from_json(info.sizes)
        weights = read_weights(folder, info, tensors(sizes))
        return Rwkv4Model(info, sizes, NumpyKernel(weights, sizes))

    def check_adapter(self, info: ModelInfo, adapter: Attached) -> None:
        """Refuse it: ``bad-arguments``."""
        raise SidemanError(
            Code.BAD_ARGUMENTS, "RWKV-4 takes no adapter: merge it with 'train import --base'"
        )


FAMILY = Rwkv4Family()
