"""An adapter of random numbers for a model folder: small, made in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msgspec.structs import replace

from engine.models.adapters import ADAPTER_JSON, AdapterInfo
from engine.models.folder import FORMAT, Weights, read_info, write_description, write_weights
from engine.models.rwkv.adapter import adapter_tensors
from engine.models.rwkv.architecture import Sizes


def make_tiny_adapter(folder: Path, base: Path, seed: int = 1, *, state: bool = False) -> Path:
    """Write an adapter of ``base`` that is heard into ``folder``, and return it."""
    about = read_info(base)
    info = AdapterInfo(
        format=FORMAT,
        name=folder.name,
        family="rwkv",
        base=about.name,
        base_sha256=about.weights.sha256,
        weights=Weights("weights.safetensors", ""),
        rank=2,
        alpha=2.0,
        state=state,
        licence="Apache-2.0",
    )
    random = np.random.default_rng(seed)
    tensors = {
        name: (random.standard_normal(shape) * 0.3).astype(np.float32)
        for name, shape in adapter_tensors(Sizes.from_json(about.sizes), info).items()
    }
    weights = write_weights(folder, info.weights, tensors)
    write_description(folder / ADAPTER_JSON, replace(info, weights=weights))
    return folder
