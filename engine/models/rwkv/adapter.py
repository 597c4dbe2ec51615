"""Adapters of RWKV-7: which tensors they hold, and how these become part of the weights.

A low-rank correction (Hu et al., arXiv 2106.09685) adds ``alpha / rank * B @ A`` to each square and
feed-forward matrix; the vectors beside them (mixing coefficients, decays, norms) have a difference
of their own, ``.delta``. A learned state is the matrices S that every sequence starts with. All are
merged when a model is loaded, so that a step costs what it costs without.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.models.adapters import ADAPTER_JSON, AdapterInfo, Attached
from engine.models.folder import bad_file, read_weights
from engine.models.rwkv.architecture import Shape, Sizes, tensors

Float = NDArray[np.float32]

MATRICES = ("receptance.weight", "key.weight", "value.weight", "output.weight")
"""Last parts of the names of the layers' matrices that low-rank corrections go to."""

STATE = "state"
"""Name of the learned matrices S ``[layers, heads, value, key]``."""

MAX_RANK = 1024


def is_matrix(name: str) -> bool:
    """Whether the tensor gets a low-rank correction."""
    return name.startswith("blocks.") and name.endswith(MATRICES)


def is_vector(name: str, shape: Shape) -> bool:
    """Whether the tensor gets a difference of its own shape."""
    return name.startswith("blocks.") and (len(shape) == 1 or name.endswith("r_k"))


def adapter_tensors(sizes: Sizes, info: AdapterInfo) -> dict[str, Shape]:
    """Every tensor of an adapter with its shape, in file order."""
    table: dict[str, Shape] = {}
    if info.rank:
        for name, shape in tensors(sizes).items():
            if is_matrix(name):
                table[f"{name}.lora_A"] = (info.rank, shape[1])
                table[f"{name}.lora_B"] = (shape[0], info.rank)
            elif is_vector(name, shape):
                table[f"{name}.delta"] = shape
    if info.state:
        table[STATE] = (sizes.layers, sizes.heads, sizes.head, sizes.head)
    return table


def read_adapter(attached: Attached, sizes: Sizes) -> dict[str, Float]:
    """The tensors of an adapter, checked as strictly as a model's. Raises ``bad-file``."""
    info = attached.info
    if not 0 <= info.rank <= MAX_RANK or not np.isfinite(info.alpha):
        path = attached.folder / ADAPTER_JSON
        raise bad_file(path, f"rank is 0 to {MAX_RANK} and alpha a number")
    return read_weights(attached.folder, info, adapter_tensors(sizes, info), ADAPTER_JSON)


def merged(
    weights: Mapping[str, Float], attached: Attached, sizes: Sizes
) -> tuple[dict[str, Float], Float | None]:
    """The weights with the adapter in them, and the learned start ``[L, H, N, N]`` if any."""
    adapter, info, strength = read_adapter(attached, sizes), attached.info, attached.strength
    result = dict(weights)
    for name, tensor in weights.items():
        if (down := adapter.get(f"{name}.lora_A")) is not None:
            up = adapter[f"{name}.lora_B"]
            result[name] = tensor + np.float32(strength * info.alpha / info.rank) * (up @ down)
        elif (delta := adapter.get(f"{name}.delta")) is not None:
            result[name] = tensor + np.float32(strength) * delta
    start = adapter.get(STATE)
    return result, None if start is None else np.float32(strength) * start
