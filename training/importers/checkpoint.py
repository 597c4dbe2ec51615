"""Checkpoints of RWKV models (``.pth``): read without running what is in them, and told apart."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.models.folder import bad_file

if TYPE_CHECKING:
    from torch import Tensor

VERSIONS = {
    "blocks.0.att.r_k": "RWKV-7",
    "blocks.0.att.time_maa_x": "RWKV-6",
    "blocks.0.att.gate.weight": "RWKV-5",
    "blocks.0.att.ln_x.weight": "RWKV-5",
    "blocks.0.att.time_decay": "RWKV-4",
    "blocks.0.att.key.lora_A": "RWKV-4",
}
"""The first of these tensors that a checkpoint has tells its version."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The named tensors of a file, on the CPU, by torch's weights-only loader."""
    import torch

    if not path.is_file():
        raise bad_file(path, "no such file")
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        text = "holds more than weights, or is no checkpoint, and is not opened"
        raise bad_file(path, text) from error
    except Exception as error:  # whatever a damaged file makes the loader stumble over
        line = str(error).strip().partition("\n")[0][:120]
        raise bad_file(path, f"not a checkpoint that torch can read: {line!r}") from error
    whole = isinstance(loaded, Mapping) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in loaded.items()
    )
    if not whole:
        raise bad_file(path, "not a table of named tensors")
    return dict(loaded)


def version(path: Path, checkpoint: Mapping[str, Tensor]) -> str:
    """Such as ``RWKV-7``. Raises ``bad-file`` for other tensors."""
    found = next((name for key, name in VERSIONS.items() if key in checkpoint), None)
    if found is None:
        raise bad_file(path, "not an RWKV checkpoint: it has none of their tensors")
    return found


class Converted(NamedTuple):
    """What goes into a model folder: family, architecture, sizes and weights."""

    family: str
    architecture: str
    sizes: dict[str, int]
    weights: dict[str, NDArray[np.float32]]


def layers_of(checkpoint: Mapping[str, Tensor]) -> int:
    """How many layers the tensors' names count."""
    blocks = (re.match(r"blocks\.(\d{1,4})\.", key) for key in checkpoint)
    return max(int(match[1]) for match in blocks if match) + 1


def take(
    path: Path, checkpoint: Mapping[str, Tensor], table: Mapping[str, tuple[int, ...]], name: str
) -> dict[str, NDArray[np.float32]]:
    """Every tensor of ``table``, in its order and shape, in float32.

    Raises ``bad-file`` for tensors that are missing, of another shape, not finite, or not in the
    table of the architecture ``name``.
    """
    if surplus := [key for key in checkpoint if key not in table]:
        raise bad_file(path, f"has tensors that {name} has not, the first is {surplus[0][:60]!r}")
    weights = {}
    for key, shape in table.items():
        if key not in checkpoint:
            raise bad_file(path, f"lacks the tensor {key}")
        tensor = checkpoint[key].float()
        if tuple(tensor.squeeze().shape) != tuple(n for n in shape if n != 1):
            raise bad_file(path, f"{key} is {list(tensor.shape)}, not {list(shape)}")
        weights[key] = tensor.reshape(shape).numpy()
        if not np.isfinite(weights[key]).all():
            raise bad_file(path, f"{key} has numbers that are not finite")
    return weights
