"""Loads RWKV-7 model folders and picks what computes their steps."""

from __future__ import annotations

import logging
import threading
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from engine.code_cache import ready
from engine.errors import Code, SidemanError
from engine.models.adapters import Attached
from engine.models.base import Model
from engine.models.folder import ModelInfo, read_family_info, read_weights
from engine.models.rwkv.adapter import merged, read_adapter
from engine.models.rwkv.architecture import ARCHITECTURE, Sizes, tensors
from engine.models.rwkv.compile import background, compile_step
from engine.models.rwkv.numpy_step import NumpyKernel
from engine.models.rwkv.packed import Float, Packed, pack
from engine.models.rwkv.precision import PRECISIONS, default_precision
from engine.models.rwkv.state import Kernel, RwkvStream, zero_state

log = logging.getLogger(__name__)

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

RUNTIMES = ("auto", "numpy", "numba", "torch")


class RwkvModel:
    """A `Model` in main memory. Threads may share it; `runtime` may change once, to numba."""

    def __init__(
        self, info: ModelInfo, sizes: Sizes, kernel: Kernel, start: Float | None = None
    ) -> None:
        """``start`` ``[L, H, N, N]``, value x key, is what sequences begin with instead of 0."""
        self.info = info
        self.sizes = sizes
        self._kernel = kernel
        self._start = zero_state(sizes, 1) if start is not None else None
        if self._start is not None and start is not None:
            self._start.wkv[:, 0] = start.swapaxes(-1, -2)
        self._preparing: threading.Thread | None = None

    @property
    def vocab(self) -> int:
        """Numbers of tokens."""
        return self.sizes.vocab

    @property
    def precision(self) -> str:
        """``int8`` or ``float32``, of the runtime that is in place."""
        return self._kernel.precision

    @property
    def runtime(self) -> str:
        """``numpy`` or ``numba``."""
        return self._kernel.runtime

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that a step reads."""
        return self._kernel.nbytes

    def open(self, batch: int = 1) -> RwkvStream:
        """A stream of ``batch`` sequences at their beginning."""
        stream = RwkvStream(partial(zero_state, self.sizes), lambda: self._kernel, batch)
        if self._start is not None:
            stream.restore(self._start)
        return stream

    def warm_up(self) -> None:
        """Wait until the compiled runtime is in place (or has failed), and make some steps."""
        if self._preparing is not None:
            self._preparing.join()
        stream = self.open()
        for _ in range(3):
            stream.step([0])

    def prepare(self, weights: Packed, precision: str) -> None:
        """Have the compiled runtime take over when it is ready, and play in numpy until then."""
        self._preparing = threading.Thread(
            target=self._prepare, args=(weights, precision), name="compile", daemon=True
        )
        self._preparing.start()

    def _prepare(self, weights: Packed, precision: str) -> None:
        try:
            if trouble := background(precision):
                log.warning("the model plays on slowly, in numpy: %s", trouble)
            else:
                self._kernel = numba_kernel(weights, self.sizes, precision)
        except Exception:
            log.exception("the model plays on slowly, in numpy: its step could not be compiled")


class RwkvFamily:
    """The `Family` of RWKV-7 models."""

    name = "rwkv"

    def load(
        self,
        folder: Path,
        *,
        device: str = "cpu",
        precision: str = "auto",
        adapter: Attached | None = None,
        runtime: str = "auto",
    ) -> Model:
        """Load a model folder, and merge ``adapter`` into its weights.

        ``precision`` is ``int8``, ``float32`` or ``auto`` (`default_precision`). ``runtime`` is
        ``numpy`` (float32 only), ``numba``, ``torch`` (float32 only, and what ``cuda`` uses), or
        ``auto``: numba, at once if its code is in the cache, otherwise after a time in numpy.
        Raises ``bad-file`` and ``unknown-model`` for the folder, ``bad-arguments`` for the rest.
        """
        _one_of("device", device, ("cpu", "cuda"))
        _one_of("precision", precision, ("auto", *PRECISIONS))
        _one_of("runtime", runtime, RUNTIMES)
        info, sizes, named = read(folder)
        start = None
        if adapter is not None:
            named, start = merged(named, adapter, sizes)
        if device == "cuda" or runtime == "torch":
            from engine.models.rwkv.torch_step import load_torch

            return load_torch(info, sizes, named, device, precision, start)
        weights = pack(named, sizes)
        if precision == "auto":
            precision = default_precision(info)
        if runtime == "auto" and not find_spec("numba"):
            runtime = "numpy"
        if runtime == "numba" or (runtime == "auto" and ready(precision)):
            return RwkvModel(info, sizes, numba_kernel(weights, sizes, precision), start)
        model = RwkvModel(info, sizes, NumpyKernel(weights, sizes), start)
        if runtime == "auto":
            model.prepare(weights, precision)
        return model

    def check_adapter(self, info: ModelInfo, adapter: Attached) -> None:
        """Read all of an adapter, and raise ``bad-file`` where it does not fit."""
        read_adapter(adapter, Sizes.from_json(info.sizes))


def numba_kernel(weights: Packed, sizes: Sizes, precision: str) -> Kernel:
    """The compiled runtime; compiles in this process where the cache has nothing."""
    from engine.models.rwkv.numba_step import NumbaKernel

    compile_step(precision)
    return NumbaKernel(weights, sizes, precision)


def read(folder: Path) -> tuple[ModelInfo, Sizes, dict[str, Float]]:
    """The description, sizes and tensors of an RWKV-7 folder, checked against each other."""
    info = read_family_info(folder, RwkvFamily.name, ARCHITECTURE, LIMITS)
    sizes = Sizes.from_json(info.sizes)
    return info, sizes, read_weights(folder, info, tensors(sizes))


def _one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SidemanError(
            Code.BAD_ARGUMENTS, f"{what} is one of {', '.join(choices)}, not '{value[:40]}'"
        )


FAMILY = RwkvFamily()
