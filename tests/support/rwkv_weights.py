"""RWKV-7 weights at random, of the scale that training gives them: every path carries signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.models.folder import ModelInfo, Weights, write_model
from engine.models.rwkv.architecture import ARCHITECTURE, Sizes, tensors

SMALL = Sizes(
    layers=3,
    embed=128,
    head=64,
    ffn=256,
    vocab=101,
    decay_rank=16,
    iclr_rank=24,
    value_rank=8,
    gate_rank=33,
)
"""Not a multiple of anything where the architecture does not ask for it."""

SHIPPED = Sizes(
    layers=4,
    embed=256,
    head=64,
    ffn=1024,
    vocab=560,
    decay_rank=32,
    iclr_rank=32,
    value_rank=32,
    gate_rank=64,
)
"""The sizes of the model that ships, nearly."""


def random_weights(sizes: Sizes, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Every tensor of `architecture.tensors`."""
    rng = np.random.default_rng(seed)
    return {
        name: _random(name, shape, rng).astype(np.float32) for name, shape in tensors(sizes).items()
    }


def random_info(sizes: Sizes, **changes: object) -> ModelInfo:
    """A description of such a model."""
    fields = {
        "format": 1,
        "name": "random",
        "family": "rwkv",
        "kind": "midi",
        "architecture": ARCHITECTURE,
        "sizes": sizes.to_json(),
        "weights": Weights("weights.safetensors", ""),
    }
    return ModelInfo(**fields | changes)  # type: ignore[arg-type]


def random_model(folder: Path, sizes: Sizes, seed: int = 0, **changes: object) -> Path:
    """A model folder of such weights, without a tokenizer."""
    write_model(folder, random_info(sizes, **changes), random_weights(sizes, seed))
    return folder


def _random(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    kind = name.split(".", 2)[-1] if name.startswith("blocks.") else name
    if kind.endswith("bias"):
        return rng.normal(0, 0.05, shape)
    if kind.startswith("ln") or "ln_x" in kind:
        return rng.normal(1, 0.1, shape)
    if ".x_" in kind:
        return rng.uniform(0, 1, shape)
    match kind.rpartition(".")[2]:
        case "w0":
            return rng.uniform(-7, 1, shape)
        case "k_k" | "k_a":
            return rng.normal(0.9, 0.1, shape)
        case "r_k":
            return rng.normal(0, 0.1, shape)
        case "a0" | "v0":
            return rng.normal(0, 0.5, shape)
        case "w1" | "a1" | "v1" | "g1" | "w2" | "a2" | "v2" | "g2":
            return rng.normal(0, 0.7 * shape[0] ** -0.5, shape)
    if name == "emb.weight":
        return rng.normal(0, 0.5, shape)
    gain = 1.5 if name == "head.weight" else 0.8
    return rng.normal(0, gain * shape[1] ** -0.5, shape)
