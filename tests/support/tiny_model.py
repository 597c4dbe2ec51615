"""A model folder with random weights: small, made in a moment, the same for the same seed."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from engine.models.rwkv.architecture import Sizes, tensors
from engine.models.store import shipped_folder
from engine.tokens.vocabulary import Vocabulary

TOKENIZER = next(shipped_folder().glob("*/tokenizer.json"))


GATE = next(shipped_folder().glob("*/recall.json"))


def make_tiny_model(
    folder: Path, seed: int = 1, *, layers: int = 2, embed: int = 64, recall: bool = False
) -> Path:
    """Write a playable model of random weights into ``folder`` and return it.

    With ``recall`` it has the shipped model's gate.
    """
    folder.mkdir(parents=True)
    shutil.copy(TOKENIZER, folder / "tokenizer.json")
    vocab = len(Vocabulary.load(TOKENIZER))
    sizes = Sizes(layers, embed, 32, 2 * embed, vocab, 8, 8, 8, 8)
    random = np.random.default_rng(seed)
    weights = {
        name: _weights(name, shape, random) for name, shape in tensors(sizes).items()
    }
    save_file(weights, folder / "weights.safetensors")
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    about = {
        "format": 1,
        "name": folder.name,
        "family": "rwkv",
        "kind": "midi",
        "architecture": "rwkv7",
        "sizes": {f: getattr(sizes, f) for f in sizes.__dataclass_fields__},
        "tokenizer": {"library": "miditok", "algo": "REMI", "file": "tokenizer.json"},
        "weights": {"file": "weights.safetensors", "sha256": digest, "dtype": "float32"},
        "licence": "Apache-2.0",
        "date": "2026-11-21",
    }
    if recall:
        shutil.copy(GATE, folder / GATE.name)
        about["recall"] = {
            "file": GATE.name, "sha256": hashlib.sha256(GATE.read_bytes()).hexdigest()
        }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(about))
    return folder


def _weights(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if name.endswith("weight") and (name.startswith("ln") or ".ln" in name):
        return np.ones(shape, dtype=np.float32)
    scale = 1.0 / np.sqrt(shape[-1]) if len(shape) > 1 else 0.1
    values = random.standard_normal(shape) * scale
    # A model with a memory and opinions: another past makes another take.
    if name.endswith("att.w0"):
        values -= 4.0
    if name == "head.weight":
        values *= 4.0
    return values.astype(np.float32)
