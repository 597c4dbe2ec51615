"""Several processes that train one model, as ``torchrun`` starts them.

Every process draws the same segments and takes its own lanes of them, so that P processes of B
lanes do just what one process of P x B does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor, distributed


def device_for(name: str) -> torch.device:
    """What ``name`` means; ``auto`` is cuda where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def bf16(precision: str, device: torch.device) -> bool:
    """Whether layers are computed in bfloat16: where it is asked for, or the device is made for."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


class Group:
    """This process among the others; alone it does nothing."""

    def __init__(self, device: str) -> None:
        """Join the processes that ``torchrun`` has started, if it has."""
        self.rank = int(os.environ.get("RANK", "0"))
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.device = device_for(device)
        if self.size > 1:
            cuda = self.device.type == "cuda"
            if cuda:
                self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
                torch.cuda.set_device(self.device)
            if not distributed.is_initialized():
                distributed.init_process_group("nccl" if cuda else "gloo")

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in one message."""
        parts = list(tensors)
        if self.size == 1 or not parts:
            return
        flat = torch.cat([part.flatten() for part in parts])
        distributed.all_reduce(flat)
        totals = torch.split(flat, [part.numel() for part in parts])
        for part, total in zip(parts, totals, strict=True):
            part.copy_(total.view_as(part))

    def agree(self, *values: float) -> tuple[float, ...]:
        """The first process's values, in every process."""
        if self.size == 1:
            return values
        told = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.broadcast(told, 0)
        return tuple(told.tolist())

    def close(self) -> None:
        """Leave."""
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
