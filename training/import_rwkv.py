"""Community RWKV-7 checkpoints (``.pth``) to model folders.

The file is read with torch's weights-only loader: nothing in it is executed. Sizes follow from the
shapes of its tensors (x070, see `engine.models.rwkv.architecture`); RWKV-4, 5 and 6 are recognised
by tensors that only they have, and refused by name.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError
from engine.models.folder import DTYPES, ModelInfo, Weights, bad_file, write_model
from engine.models.rwkv.architecture import ARCHITECTURE, Sizes, tensors

if TYPE_CHECKING:
    from torch import Tensor

VERSIONS = {
    "blocks.0.att.r_k": "RWKV-7",
    "blocks.0.att.time_maa_x": "RWKV-6",
    "blocks.0.att.gate.weight": "RWKV-5",
    "blocks.0.att.ln_x.weight": "RWKV-5",
    "blocks.0.att.time_decay": "RWKV-4",
}
"""The first of these tensors that a checkpoint has tells its version."""

EXTENSIONS = {
    "ffn.s_emb.weight": "deep embeddings (RWKV-7a)",
    "ffn.enn.weight": "deep embeddings (RWKV-7a)",
}
"""Tensors of RWKV-7's relatives that the live step does not play."""

UNREAD = re.compile(r"blocks\.0\.att\.v[012]")
"""What published files have for the first layer, and no implementation reads."""


def import_pth(
    path: Path,
    out: Path,
    *,
    name: str | None = None,
    licence: str = "",
    dtype: str = "float32",
) -> ModelInfo:
    """Write the checkpoint ``path`` as the model folder ``out`` and return its description.

    The folder lacks a tokenizer, which a checkpoint does not have: put ``tokenizer.json`` beside
    the weights and name it in ``model.json`` before music is played. ``dtype`` is how the weights
    are stored. Raises ``bad-file`` for what is no RWKV-7 checkpoint.
    """
    if dtype not in DTYPES:
        known = ", ".join(DTYPES)
        raise SidemanError(Code.BAD_ARGUMENTS, f"weights are stored as {known}, not {dtype[:20]!r}")
    checkpoint = _load(path)
    _check_version(path, checkpoint)
    sizes = _sizes(path, checkpoint)
    weights = _weights(path, checkpoint, sizes)
    info = ModelInfo(
        format=1,
        name=name or path.stem,
        family="rwkv",
        kind="midi",
        architecture=ARCHITECTURE,
        sizes=sizes.to_json(),
        weights=Weights("weights.safetensors", "", dtype),
        licence=licence,
        date=date.today().isoformat(),
    )
    return write_model(out, info, weights)


def _load(path: Path) -> dict[str, Tensor]:
    """The state dict, on the CPU."""
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


def _check_version(path: Path, checkpoint: Mapping[str, Tensor]) -> None:
    version = next((v for key, v in VERSIONS.items() if key in checkpoint), None)
    if version is None:
        raise bad_file(path, "not an RWKV checkpoint: it has none of their tensors")
    if version != "RWKV-7":
        raise bad_file(path, f"is {version}; only RWKV-7 (x070) can be played, so train it anew")
    for key, what in EXTENSIONS.items():
        if f"blocks.0.{key}" in checkpoint:
            raise bad_file(path, f"has {what}, which cannot be played")


def _sizes(path: Path, checkpoint: Mapping[str, Tensor]) -> Sizes:
    """Sizes by the shapes of some tensors; the others are compared with these afterwards."""

    def shape(key: str) -> tuple[int, int]:
        found = tuple(checkpoint[key].shape) if key in checkpoint else ()
        while len(found) > 2 and found[0] == 1:
            found = found[1:]
        if len(found) != 2:
            raise bad_file(path, f"{key} is {list(found) or 'missing'}: no RWKV-7 that can be read")
        return found

    blocks = [int(m[1]) for key in checkpoint if (m := re.match(r"blocks\.(\d{1,4})\.", key))]
    layers = max(blocks) + 1
    vocab, embed = shape("emb.weight")
    return Sizes(
        layers=layers,
        embed=embed,
        head=shape("blocks.0.att.r_k")[1],
        ffn=shape("blocks.0.ffn.key.weight")[0],
        vocab=vocab,
        decay_rank=shape("blocks.0.att.w1")[1],
        iclr_rank=shape("blocks.0.att.a1")[1],
        value_rank=shape("blocks.1.att.v1")[1] if layers > 1 else 1,
        gate_rank=shape("blocks.0.att.g1")[1],
    )


def _weights(
    path: Path, checkpoint: Mapping[str, Tensor], sizes: Sizes
) -> dict[str, NDArray[np.float32]]:
    """Every tensor of the architecture, in its order and shape, in float32."""
    table = tensors(sizes)
    surplus = [key for key in checkpoint if key not in table and not UNREAD.fullmatch(key)]
    if surplus:
        raise bad_file(path, f"has tensors that RWKV-7 has not, the first is {surplus[0][:60]!r}")
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
