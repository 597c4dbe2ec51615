"""The recurrence by flash-linear-attention's kernels, where they are installed and CUDA is used.

**Not run by us: no CUDA device was at hand.** The signature is that of flash-linear-attention
0.6.0 (``fla.ops.generalized_delta_rule.chunk_dplr_delta_rule``), whose state is key x value where
ours is value x key. ``tests/training/test_kernels.py`` compares it with `wkv` where there is CUDA.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from engine.models.rwkv.torch_model import Rwkv7


def available(device: torch.device) -> bool:
    """Whether :func:`use` may be called for a model on ``device``."""
    return device.type == "cuda" and find_spec("fla") is not None


def use(model: Rwkv7) -> None:
    """Let ``model`` compute its recurrence by flash-linear-attention. Imports it, and triton."""
    from fla.ops.generalized_delta_rule import (  # type: ignore[import-not-found,unused-ignore]
        chunk_dplr_delta_rule,
    )

    def recurrence(
        r: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast("cuda", enabled=False):
            y, last = chunk_dplr_delta_rule(
                **{
                    name: x.to(torch.bfloat16).contiguous()
                    for name, x in (("q", r), ("k", k), ("v", v), ("a", a), ("b", b))
                },
                gk=w.float().contiguous(),
                scale=1.0,
                initial_state=state.float().mT.contiguous(),
                output_final_state=True,
            )
        return y.float(), last.mT

    for block in model.blocks:
        mixer: Any = block
        mixer.att.recurrence = recurrence
