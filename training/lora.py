"""What is trained of a model: all of it, low-rank corrections, or the state that it starts with.

Corrections are parametrizations of the weights, so that the network itself stays as it is: each
use of ``key.weight`` sees the corrected matrix, and merging is reading it. The names and meaning of
what comes out are those of `engine.models.rwkv.adapter`.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from engine.models.rwkv.adapter import STATE, is_matrix, is_vector
from engine.models.rwkv.architecture import tensors
from engine.models.rwkv.torch_model import Rwkv7


class LowRank(nn.Module):
    """A matrix [out, in] plus ``alpha / rank * B @ A``; nothing at first, since B is zero."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.down = nn.Parameter(weight.new_empty(rank, weight.shape[1]))
        self.up = nn.Parameter(weight.new_zeros(weight.shape[0], rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The corrected matrix."""
        return weight + self.scale * (self.up @ self.down)


def add_corrections(model: Rwkv7, rank: int, alpha: float) -> None:
    """Train corrections of the layers' matrices, and their vectors, and nothing else.

    Draws from torch's default generator.
    """
    model.requires_grad_(False)
    for name, shape in tensors(model.sizes).items():
        path, _, last = name.rpartition(".")
        owner = model.get_submodule(path)
        if is_matrix(name):
            low_rank = LowRank(cast(Tensor, getattr(owner, last)), rank, alpha)
            parametrize.register_parametrization(owner, last, low_rank)
        elif is_vector(name, shape):
            owner.get_parameter(last).requires_grad_(True)


def plain_weights(model: Rwkv7) -> dict[str, Tensor]:
    """Every tensor by its x070 name, corrections merged; copies."""
    result = {}
    for name in tensors(model.sizes):
        path, _, last = name.rpartition(".")
        weight = cast(Tensor, getattr(model.get_submodule(path), last))
        result[name] = weight.detach().to("cpu", torch.float32).clone()
    return result


def adapter_weights(model: Rwkv7, base: dict[str, Tensor]) -> dict[str, Tensor]:
    """What was learned on top of ``base``, as an adapter folder holds it."""
    result: dict[str, Tensor] = {}
    corrected = any(isinstance(module, LowRank) for module in model.modules())
    for name, shape in tensors(model.sizes).items():
        path, _, last = name.rpartition(".")
        owner: Any = model.get_submodule(path)
        if corrected and is_matrix(name):
            low_rank = owner.parametrizations[last][0]
            result[f"{name}.lora_A"] = low_rank.down
            result[f"{name}.lora_B"] = low_rank.up
        elif corrected and is_vector(name, shape):
            result[f"{name}.delta"] = getattr(owner, last) - base[name].to(getattr(owner, last))
    if model.start is not None:
        result[STATE] = model.start
    return {name: x.detach().to("cpu", torch.float32).contiguous() for name, x in result.items()}
