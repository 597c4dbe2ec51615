"""RWKV-4 checkpoints, such as MusAI's, with its LoRA merged into the weights.

A LoRA file of MusAI holds the pairs ``*.lora_A`` ``[r, in]`` and ``*.lora_B`` ``[out, r]`` beside
the norms and ``time_`` vectors that were trained with them; the rest comes from the checkpoint that
it was trained on. What MusAI can train and the live step does not play is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.models.folder import bad_file
from engine.models.rwkv4.architecture import ARCHITECTURE, Sizes, tensors
from training.importers.checkpoint import Converted, layers_of, take

if TYPE_CHECKING:
    from torch import Tensor

LORA_ALPHA = 32
"""MusAI's, for every rank; the pairs are scaled by alpha / r."""

OPTIONS = {
    r"head_[qk]\.weight": "head QK (-q)",
    r"blocks\.[0-9]+\.tiny_.*": "tiny attention (-a)",
    r"emb\.(encoder|decoder|z_emb)\..*|emb_norm\..*": "embeddings of a VAE (-v)",
    r"blocks\.0\.ffnPre\..*": "a channel mix in place of the first time mix",
    r"blocks\.0\.pos_emb_[xy]": "position embeddings",
}
"""Tensors by the option of training that makes them, of which the live step knows nothing."""

RENAMED = {"emb.emb.weight": "emb.weight"}


def convert(path: Path, checkpoint: Mapping[str, Tensor]) -> Converted:
    """The model in a checkpoint. Raises ``bad-file`` where it does not fit the architecture."""
    for pattern, what in OPTIONS.items():
        if any(re.fullmatch(pattern, key) for key in checkpoint):
            raise bad_file(path, f"was trained with {what}, which cannot be played: train without")
    named = {RENAMED.get(key, key): tensor for key, tensor in checkpoint.items()}
    if any(".lora_" in key for key in named):
        named = merge_lora(path, named)
    missing = [key for key in ("emb.weight", "blocks.0.ffn.key.weight") if key not in named]
    if missing or any(named[key].ndim != 2 for key in ("emb.weight", "blocks.0.ffn.key.weight")):
        raise bad_file(path, "lacks the matrices emb.weight or blocks.0.ffn.key.weight")
    vocab, embed = named["emb.weight"].shape
    ffn = named["blocks.0.ffn.key.weight"].shape[0]
    sizes = Sizes(layers=layers_of(named), embed=embed, ffn=ffn, vocab=vocab)
    weights = take(path, named, tensors(sizes), "RWKV-4")
    return Converted("rwkv4", ARCHITECTURE, sizes.to_json(), weights)


def merge_lora(path: Path, checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors with every pair added to its weight, W + B A alpha / r.

    Raises ``bad-file`` for half a pair, and for a pair whose weight is not there or does not fit.
    """
    merged = {key: tensor for key, tensor in checkpoint.items() if ".lora_" not in key}
    layers = {key.rpartition(".")[0] for key in checkpoint if ".lora_" in key}
    for layer in sorted(layers):
        down = checkpoint.get(f"{layer}.lora_A")
        up = checkpoint.get(f"{layer}.lora_B")
        weight = merged.get(f"{layer}.weight")
        if weight is None:
            text = f"is a LoRA, and needs the model that it was trained on: lacks {layer}.weight"
            raise bad_file(path, f"{text} (--base FILE)")
        fits = (
            down is not None
            and up is not None
            and down.ndim == up.ndim == 2
            and up.shape[1] == down.shape[0] > 0
            and (up.shape[0], down.shape[1]) == tuple(weight.shape)
        )
        if not fits:
            raise bad_file(path, f"the LoRA of {layer} does not fit its weight")
        scale = LORA_ALPHA / down.shape[0]  # type: ignore[union-attr]
        merged[f"{layer}.weight"] = weight.float() + up.float() @ down.float() * scale  # type: ignore[union-attr]
    return merged
