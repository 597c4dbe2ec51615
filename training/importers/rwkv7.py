"""RWKV-7 (x070) checkpoints of the community: every tensor in its place, shape and order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.models.folder import bad_file
from engine.models.rwkv.architecture import ARCHITECTURE, Sizes, tensors
from training.importers.checkpoint import Converted, layers_of, take

if TYPE_CHECKING:
    from torch import Tensor

EXTENSIONS = {
    "ffn.s_emb.weight": "deep embeddings (RWKV-7a)",
    "ffn.enn.weight": "deep embeddings (RWKV-7a)",
}
"""Tensors of RWKV-7's relatives that the live step does not play."""

UNREAD = re.compile(r"blocks\.0\.att\.v[012]")
"""What published files have for the first layer, and no implementation reads."""


def convert(path: Path, checkpoint: Mapping[str, Tensor]) -> Converted:
    """The model in a checkpoint. Raises ``bad-file`` where it does not fit the architecture."""
    for key, what in EXTENSIONS.items():
        if f"blocks.0.{key}" in checkpoint:
            raise bad_file(path, f"has {what}, which cannot be played")
    sizes = _sizes(path, checkpoint)
    read = {key: tensor for key, tensor in checkpoint.items() if not UNREAD.fullmatch(key)}
    weights = take(path, read, tensors(sizes), "RWKV-7")
    return Converted("rwkv", ARCHITECTURE, sizes.to_json(), weights)


def _sizes(path: Path, checkpoint: Mapping[str, Tensor]) -> Sizes:
    """Sizes by the shapes of some tensors; the others are compared with these afterwards."""

    def shape(key: str) -> tuple[int, int]:
        found = tuple(checkpoint[key].shape) if key in checkpoint else ()
        while len(found) > 2 and found[0] == 1:
            found = found[1:]
        if len(found) != 2:
            raise bad_file(path, f"{key} is {list(found) or 'missing'}: no RWKV-7 that can be read")
        return found

    layers = layers_of(checkpoint)
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
