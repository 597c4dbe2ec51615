"""The network of a run: made of noise or of a base, with what is trained marked as such."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import Code, SidemanError
from engine.models.folder import ModelInfo
from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.family import read
from engine.models.rwkv.torch_model import Rwkv7
from training.config import TrainConfig
from training.data import TokenSet
from training.lora import add_corrections


def make_network(config: TrainConfig, data: TokenSet) -> Rwkv7:
    """The network at the beginning of a run; the seed decides what is random in it."""
    torch.manual_seed(config.seed)
    if config.base is None:
        model = Rwkv7(Sizes(vocab=data.vocabulary.size, **asdict(config.shape)))
        model.initialise()
    else:
        _check_tokens(data, config.base)
        model, _ = load_base(config.base)
        if model.sizes.vocab < data.vocabulary.size and not config.adapts:
            model = _with_conditions(model, data.vocabulary.size)
    if config.rank:
        add_corrections(model, config.rank, config.alpha)
    elif config.state:
        model.requires_grad_(False)
    if config.state:
        model.learn_start()
    model.recompute = config.recompute
    return model


def load_base(folder: Path) -> tuple[Rwkv7, ModelInfo]:
    """The network of a model folder and what that says of it."""
    info, sizes, weights = read(folder)
    model = Rwkv7(sizes)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return model, info


def trained(model: Rwkv7) -> dict[str, Tensor]:
    """The parameters that learn, by their names."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _check_tokens(data: TokenSet, base: Path) -> None:
    """Raise ``bad-arguments`` where the data's tokens are not those that the base reads.

    The data may have conditions that the base was never told of.
    """
    try:
        text = (base / "tokenizer.json").read_text(encoding="utf-8")
        names = json.loads(text)["tokens"]
    except (OSError, ValueError, KeyError) as error:
        raise SidemanError(Code.BAD_FILE, f"{base}: no tokenizer.json that can be read") from error
    vocabulary, known = data.vocabulary, len(names)
    if names != vocabulary.names[:known] or not vocabulary.is_condition[known:].all():
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"{data.folder.name} has {vocabulary.size} tokens, not the {known} that the "
            f"model {base.name} reads: tokenize the songs with that model's options",
        )


@torch.no_grad()
def _with_conditions(base: Rwkv7, vocabulary: int) -> Rwkv7:
    """The same network with room for more tokens, of which it knows nothing yet."""
    model = Rwkv7(replace(base.sizes, vocab=vocabulary))
    model.initialise()
    weights = base.state_dict()
    for name in ("emb.weight", "head.weight"):
        rows = weights[name]
        weights[name] = model.state_dict()[name].clone()
        weights[name][: len(rows)] = rows
    model.load_state_dict(weights)
    return model
