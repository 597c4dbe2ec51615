"""A decoder's layers on several devices, one part after another, where one is too small for all.

It saves memory and no time: while one stage computes, the others wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from engine.errors import Code, SidemanError

Moved = Callable[[Any, tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]


def spread(decoder: Any, stages: int, first: torch.device) -> torch.device:
    """Put a ``MusicgenForCausalLM``'s layers on ``stages`` devices, an equal part on each.

    Embeddings stay on the first, the heads go to the last, which is returned. On the processor all
    stages share it. Raises ``bad-arguments`` where there are fewer layers or GPUs than stages.
    """
    if stages == 1:
        return first
    inner = decoder.model.decoder
    layers = inner.layers
    devices = _devices(stages, len(layers), first)
    for number, layer in enumerate(layers):
        device = devices[number * stages // len(layers)]
        layer.to(device)
        layer.register_forward_pre_hook(_mover(device), with_kwargs=True)
    last = devices[-1]
    inner.layer_norm.to(last)
    decoder.lm_heads.to(last)
    return last


def _devices(stages: int, layers: int, first: torch.device) -> list[torch.device]:
    if stages > layers:
        raise SidemanError(
            Code.BAD_ARGUMENTS, f"--split-layers {stages}: the model has {layers} layers"
        )
    if first.type != "cuda":
        return [first] * stages
    here = torch.cuda.device_count()
    if stages > here:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"--split-layers {stages} needs as many GPUs, and {here} are here",
        )
    return [torch.device("cuda", number) for number in range(stages)]


def _mover(device: torch.device) -> Moved:
    """A hook that brings a layer what it is called with."""

    def there(value: Any) -> Any:
        return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value

    def move(
        layer: Any, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return tuple(map(there, given)), {name: there(value) for name, value in named.items()}

    return move
