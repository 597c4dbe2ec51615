"""A finished run becomes a folder that the engine loads: a model, or an adapter of one."""

from __future__ import annotations

import datetime
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from engine.errors import Code, SidemanError
from engine.models.adapters import ADAPTER_JSON, AdapterInfo
from engine.models.folder import (
    FORMAT,
    MODEL_JSON,
    ModelInfo,
    Recall,
    Tokenizer,
    TrainingData,
    Weights,
    digest,
    read_info,
    write_description,
    write_model,
    write_weights,
)
from engine.models.rwkv.architecture import ARCHITECTURE, Sizes
from engine.models.rwkv.torch_model import Rwkv7
from engine.recall.gate import Gate
from training import checkpoint, recall, runs
from training.config import TrainConfig
from training.data import TokenSet
from training.evaluate.players import ALONE
from training.files import check_replaceable, made_whole
from training.lora import adapter_weights, plain_weights
from training.network import load_base, make_network, trained
from training.parallel import device_for

WEIGHTS = Weights("weights.safetensors", "")
RECALL = "recall.json"

RARE = 0.002
"""A meter that fewer of the training bars have is not one that the model claims to know."""

FIGURES = ("step", "tokens", "seconds", "loss_last", "heldout_before", "heldout_after", "trainable")
"""What a folder tells of the run that made it."""


def load_run(run: Path, weights: str = "best") -> Rwkv7:
    """The network of a run: its ``best`` averages, or its last ``ema`` or ``model`` weights.

    Raises ``bad-file`` where ``run`` holds no run, or its base is not there any more.
    """
    config = TrainConfig.from_json(runs.read(run).get("config", {}))
    saved = checkpoint.load(run)
    model = make_network(config, TokenSet(config.data))
    chosen = saved["best"]["weights"] if weights == "best" else saved[weights]
    with torch.no_grad():
        for name, weight in trained(model).items():
            weight.copy_(chosen[name])
    return model.eval()


def finish(
    run: Path,
    output: Path,
    with_recall: bool = True,
    tell: Callable[[str], None] = lambda words: None,
) -> Path:
    """Write the model or adapter folder of a run; returns ``output``.

    A model gets its base's gate, or one that is fitted to the music that it learned from, unless it
    is not to have one or its tokens are of a kind that has none; ``tell`` hears of that. An adapter
    leaves its base's.
    """
    table = runs.read(run)
    config = TrainConfig.from_json(table.get("config", {}))
    data = TokenSet(config.data)
    metrics = {name: table[name] for name in FIGURES}
    model = load_run(run)
    if config.adapts:
        return export_adapter(model, config, data, output, metrics)
    gate = None
    if with_recall:
        try:
            recall.check_fits(data)
            gate = base_gate(config)
            if gate is None:
                tell("fitting how much a song's own past counts (--no-recall leaves that out)")
                gate = fitted_gate(model, config, data, table["tokens"])
        except SidemanError as error:
            tell(f"the model will have no recall: {error.text}")
    return export_model(model, data, output, metrics, gate)


def base_gate(config: TrainConfig) -> Gate | None:
    """The gate of what a run went on from, where there is one.

    It stays: a network that has heard music again and again expects it so well that a gate fitted
    there counts on it too much elsewhere.
    """
    return None if config.base is None else Gate.of(config.base, read_info(config.base))


def fitted_gate(model: Rwkv7, config: TrainConfig, data: TokenSet, learned: int) -> Gate:
    """The gate of a run that learned from so many tokens; the network reads where it learned."""
    model.to(device_for(config.device))
    try:
        return recall.fit_to(model, data, config.seed, recall.tokens_for(learned))
    finally:
        model.cpu()


def check_output(output: Path, config: TrainConfig) -> None:
    """Refuse, before hours are spent, an output folder that :func:`finish` would not replace."""
    check_replaceable(output, (ADAPTER_JSON if config.adapts else MODEL_JSON,))


def export_model(
    model: Rwkv7,
    data: TokenSet,
    folder: Path,
    metrics: Mapping[str, Any],
    gate: Gate | None = None,
) -> Path:
    """Write the model folder of ``model``, trained on ``data``; returns ``folder``.

    Without a ``gate`` the model plays by its network alone.

    What the folder says of sources and licences comes from the data set's recipe. Only
    collections that were trained on are named. The folder is there whole or not at all.
    """
    info = ModelInfo(
        format=FORMAT,
        name=data.recipe["name"],
        family="rwkv",
        kind="midi",
        architecture=ARCHITECTURE,
        sizes=model.sizes.to_json(),
        tokenizer=Tokenizer("miditok", _algorithm(data), "tokenizer.json"),
        weights=WEIGHTS,
        meters=tuple(common_meters(data)),
        licence=data.recipe["licence"],
        training_data=_learned_from(data),
        date=datetime.date.today().isoformat(),
        metrics=dict(metrics),
    )
    weights = {name: tensor.numpy() for name, tensor in plain_weights(model).items()}
    with made_whole(folder, (MODEL_JSON,)) as part:
        shutil.copyfile(data.folder / "tokenizer.json", part / "tokenizer.json")
        if gate is not None:
            gate.save(part / RECALL)
            said = Recall(RECALL, digest(part / RECALL))
            info = msgspec.structs.replace(info, recall=said)
        sealed = write_model(part, info, weights)
        page = readme(data, msgspec.to_builtins(sealed))
        (part / "README.md").write_text(page, encoding="utf-8")
    return folder


def export_adapter(
    model: Rwkv7, config: TrainConfig, data: TokenSet, folder: Path, metrics: Mapping[str, Any]
) -> Path:
    """Write the adapter folder of ``model``, which was tuned on ``config.base``."""
    if config.base is None:
        raise SidemanError(Code.BAD_ARGUMENTS, "an adapter needs the model that it was trained on")
    base, about = load_base(config.base)
    info = AdapterInfo(
        format=FORMAT,
        name=folder.name,
        family="rwkv",
        base=about.name,
        base_sha256=about.weights.sha256,
        weights=WEIGHTS,
        rank=config.rank,
        alpha=config.alpha,
        state=config.state,
        licence=data.recipe["licence"],
        training_data=_learned_from(data),
        date=datetime.date.today().isoformat(),
        metrics=dict(metrics),
    )
    learned = adapter_weights(model, plain_weights(base))
    with made_whole(folder, (ADAPTER_JSON,)) as part:
        weights = write_weights(part, WEIGHTS, {name: x.numpy() for name, x in learned.items()})
        write_description(part / ADAPTER_JSON, msgspec.structs.replace(info, weights=weights))
    return folder


def _algorithm(data: TokenSet) -> str:
    """How miditok made the tokens: what is not REMI, the live engine refuses by this name."""
    text = (data.folder / "tokenizer.json").read_text(encoding="utf-8")
    return str(json.loads(text).get("tokenization", "REMI"))


def _learned_from(data: TokenSet) -> tuple[TrainingData, ...]:
    return tuple(
        TrainingData(entry["name"], entry["licence"], entry["notice"]) for entry in _sources(data)
    )


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
        recalls = any(ALONE in entry for entry in figures.values())
        heads = ["held out, whole pieces", "pieces", "notes", "bits per token", "bits per note"]
        heads += ["bits per note of the network alone"] if recalls else []
        lines += [_row(heads), "|" + "---|" * len(heads)]
        for name, entry in figures.items():
            cells = [name, str(entry["pieces"]), f"{entry['notes']:,}"]
            cells += [f"{entry[key]:.2f}" for key in ("bits_per_token", "bits_per_note")]
            cells += [f"{entry[ALONE]['bits_per_note']:.2f}"] if recalls else []
            lines += [_row(cells)]
        lines += [""]
    if remarks := metrics.get("remarks"):
        lines += [*(f"* {remark}" for remark in remarks), ""]
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


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
