"""A checkpoint becomes a model folder: ``model.json``, weights, tokenizer and README."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import Code, SidemanError
from engine.models.rwkv.architecture import ARCHITECTURE, Sizes, tensors
from engine.models.rwkv.torch_model import Rwkv7
from training.data import TokenSet

WEIGHTS = "weights.safetensors"

RARE = 0.002
"""A meter that fewer of the training bars have is not one that the model claims to know."""


def load_checkpoint(path: Path, averaged: bool = False) -> Rwkv7:
    """The model of a ``checkpoint.pt``: its last weights, or their running average."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        model = Rwkv7(Sizes.from_json(saved["sizes"]))
        model.load_state_dict(saved["ema" if averaged else "model"])
    except (OSError, KeyError, RuntimeError) as error:
        raise SidemanError(Code.BAD_FILE, f"{path}: not a training checkpoint: {error}") from error
    return model.eval()


def export_model(model: Rwkv7, data: TokenSet, folder: Path, metrics: Mapping[str, Any]) -> Path:
    """Write the model folder of ``model``, trained on ``data``; returns ``folder``.

    What the folder says of sources and licences comes from the data set's recipe. Only
    collections that were trained on are named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / WEIGHTS
    state = model.state_dict()
    ordered: dict[str, Tensor] = {
        name: state[name].detach().to("cpu", torch.float32).contiguous()
        for name in tensors(model.sizes)
    }
    save_file(ordered, weights)
    weights.chmod(0o644)  # the library makes it readable by its owner alone
    shutil.copyfile(data.folder / "tokenizer.json", folder / "tokenizer.json")
    description = {
        "format": 1,
        "name": data.recipe["name"],
        "family": "rwkv",
        "kind": "midi",
        "architecture": ARCHITECTURE,
        "sizes": model.sizes.to_json(),
        "tokenizer": {"library": "miditok", "algo": "REMI", "file": "tokenizer.json"},
        "weights": {
            "file": WEIGHTS,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "dtype": "float32",
        },
        "meters": common_meters(data),
        "licence": data.recipe["licence"],
        "training_data": [
            {"name": entry["name"], "licence": entry["licence"], "notice": entry["notice"]}
            for entry in _sources(data)
        ],
        "date": datetime.date.today().isoformat(),
        "metrics": dict(metrics),
    }
    text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    (folder / "model.json").write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(readme(data, description), encoding="utf-8")
    return folder


def readme(data: TokenSet, description: Mapping[str, Any]) -> str:
    """The page beside the weights: what they are, and whose music they learned from."""
    sizes = description["sizes"]
    rows, texts = [], []
    for entry in _sources(data):
        pieces = data.select("train", entry["name"])
        notes = sum(piece.notes for piece in pieces)
        rows.append(
            f"| [{entry['name']}]({entry['source']}) | {len(pieces)} | {notes:,} "
            f"| {entry['weight']:.0%} | {entry['licence']} | {entry['notice']} |"
        )
        if entry["text"]:
            texts.append(f"## {entry['name']}\n{entry['notice']}\n\n{entry['text'].strip()}\n")
    lines = [
        f"# {description['name']}",
        "",
        f"RWKV-7, {sizes['layers']} layers of {sizes['embed']} channels, "
        f"{Sizes.from_json(sizes).parameters:,} parameters, made by `training/`. "
        f"Licence of these weights: {description['licence']}.",
        "",
        "| learned from | pieces | notes | share | licence | notice |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        *_heldout_table(description["metrics"]),
        *texts,
    ]
    return "\n".join(lines)


def _heldout_table(metrics: Mapping[str, Any]) -> list[str]:
    """Held-out figures and remarks, where the metrics have them."""
    lines = []
    if figures := metrics.get("heldout"):
        lines += ["| held out, whole pieces | pieces | notes | bits per token | bits per note |"]
        lines += ["|---|---|---|---|---|"]
        lines += [
            f"| {name} | {entry['pieces']} | {entry['notes']:,} "
            f"| {entry['bits_per_token']:.2f} | {entry['bits_per_note']:.2f} |"
            for name, entry in figures.items()
        ]
        lines += [""]
    if remarks := metrics.get("remarks"):
        lines += [*(f"* {remark}" for remark in remarks), ""]
    return lines


def common_meters(data: TokenSet) -> list[str]:
    """Meters of the training pieces, the most frequent first."""
    bars: Counter[int] = Counter()
    for piece in data.select("train"):
        tokens = data.tokens(piece)
        bars.update(tokens[data.vocabulary.kind[tokens] == "TimeSig"].tolist())
    total = sum(bars.values())
    names = data.vocabulary.names
    return [
        names[token].partition("_")[2]
        for token, count in bars.most_common()
        if count >= RARE * total
    ]


def _sources(data: TokenSet) -> list[dict[str, Any]]:
    return [entry for entry in data.recipe["collections"] if entry["weight"] > 0]


def int8_by_row(model: Rwkv7) -> Rwkv7:
    """A copy whose matrices went through int8, one scale a row, as the live step stores them.

    A row is what makes one output channel: of ``[out, in]`` matrices a row, of the low-rank pairs,
    which are ``[in, out]``, a column. The embedding stays: it is looked up, not multiplied.
    """
    copy = Rwkv7(model.sizes)
    state = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    for name, weight in state.items():
        if weight.ndim == 2 and name != "emb.weight" and not name.endswith("r_k"):
            axis = 1 if name.endswith(".weight") else 0
            scale = weight.abs().amax(axis, keepdim=True).clamp_min(np.finfo(np.float32).tiny) / 127
            state[name] = (weight / scale).round() * scale
    copy.load_state_dict(state)
    return copy.eval()
