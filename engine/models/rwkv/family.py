"""Loads RWKV-7 model folders and picks what computes their steps."""

from __future__ import annotations

from pathlib import Path

from engine.errors import Code, SidemanError
from engine.models.folder import MODEL_JSON, ModelInfo, bad_file, read_info, read_weights
from engine.models.rwkv.architecture import ARCHITECTURE, Sizes, tensors
from engine.models.rwkv.numpy_step import NumpyKernel
from engine.models.rwkv.packed import Float, pack
from engine.models.rwkv.state import Kernel, RwkvStream

LIMITS = {
    "layers": 96,
    "embed": 8192,
    "head": 256,
    "ffn": 65536,
    "vocab": 131072,
    "decay_rank": 1024,
    "iclr_rank": 1024,
    "value_rank": 1024,
    "gate_rank": 1024,
}
"""Largest sizes that are believed; a description that asks for more is refused unread."""


class RwkvModel:
    """A `Model` in main memory."""

    def __init__(self, info: ModelInfo, sizes: Sizes, kernel: Kernel) -> None:
        self.info = info
        self.sizes = sizes
        self.precision = "float32"
        self.runtime = "numpy"
        self._kernel = kernel

    @property
    def vocab(self) -> int:
        """Numbers of tokens."""
        return self.sizes.vocab

    def warm_up(self) -> None:
        """Wait until the fastest runtime is in place and has made its first steps."""
        self.open().step([0])

    def open(self, batch: int = 1) -> RwkvStream:
        """A stream of ``batch`` sequences at their beginning."""
        return RwkvStream(self.sizes, lambda: self._kernel, batch)


class RwkvFamily:
    """The `Family` of RWKV-7 models."""

    name = "rwkv"

    def load(
        self, folder: Path, *, device: str = "cpu", precision: str = "auto", runtime: str = "auto"
    ) -> RwkvModel:
        """Load a model folder."""
        info, sizes, weights = read(folder)
        return RwkvModel(info, sizes, NumpyKernel(pack(weights, sizes), sizes))


def read(folder: Path) -> tuple[ModelInfo, Sizes, dict[str, Float]]:
    """The description, sizes and tensors of an RWKV-7 folder, checked against each other."""
    info = read_info(folder)
    path = folder / MODEL_JSON
    if info.family != RwkvFamily.name:
        raise SidemanError(
            Code.UNKNOWN_MODEL, f"{folder.name} is of the family '{info.family[:40]}', not rwkv"
        )
    if info.architecture != ARCHITECTURE:
        raise bad_file(path, f"architecture {info.architecture[:40]!r} is not {ARCHITECTURE}")
    for name, limit in LIMITS.items():
        if info.sizes.get(name, 0) > limit:
            raise bad_file(path, f"size '{name}' is {info.sizes[name]}; {limit} is the most")
    sizes = Sizes.from_json(info.sizes)
    return info, sizes, read_weights(folder, info, tensors(sizes))


FAMILY = RwkvFamily()
