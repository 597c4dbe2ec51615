"""The network of a run: made of noise or of a base, with what is trained marked as such."""

from __future__ import annotations

import json
from dataclasses import asdict
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
    """Raise ``bad-arguments`` where the data's tokens are not those that the base reads."""
    try:
        text = (base / "tokenizer.json").read_text(encoding="utf-8")
        names = json.loads(text)["tokens"]
    except (OSError, ValueError, KeyError) as error:
        raise SidemanError(Code.BAD_FILE, f"{base}: no tokenizer.json that can be read") from error
    if names != data.vocabulary.names:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"{data.folder.name} has {data.vocabulary.size} tokens, not the {len(names)} that the "
            f"model {base.name} reads: tokenize the songs with that model's options",
        )
