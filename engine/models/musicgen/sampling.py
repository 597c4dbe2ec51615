"""Drawing codes: temperature, top-k, top-p, and chance that belongs to a sequence alone.

Chance is made beforehand, one number for each code that may be drawn, from the sequence's own seed:
a table, so that a row of a batch gets what it would get alone, and a captured graph draws anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

MAX_SEED = 2**63


def chances(seeds: Sequence[int], turn: int, places: int, codebooks: int) -> Tensor:
    """Numbers in [0, 1), float32 ``[places, B, codebooks]``: for each seed its own.

    ``turn`` counts how often these sequences began anew. 23 bits each, so that a number times a sum
    is always less than the sum in float32, however it is rounded.
    """
    tables = [
        np.random.Generator(np.random.Philox(key=[seed % MAX_SEED, turn])).integers(
            0, 1 << 23, (places, codebooks), dtype=np.int32
        )
        for seed in seeds
    ]
    return torch.from_numpy(np.stack(tables, axis=1).astype(np.float32) / (1 << 23))


def likely(
    logits: Tensor, temperature: Tensor, top_k: int, top_p: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The codes to choose among and their chances, both ``[..., k]``.

    ``logits`` are ``[..., V]``; the chances of codes that are out of the question are 0, and the
    others add up to what they have of the whole.
    """
    codes = min(top_k or logits.shape[-1], logits.shape[-1])
    values, indices = logits.topk(codes, sorted=top_p is not None)
    shares = torch.softmax(values / temperature, dim=-1)
    if top_p is None:
        return indices, shares
    before = shares.cumsum(-1) - shares
    return indices, shares * (before < top_p)


def draw(
    logits: Tensor, chance: Tensor, temperature: Tensor, top_k: int, top_p: Tensor | None
) -> Tensor:
    """One code for each of ``logits`` ``[..., V]`` by ``chance`` ``[...]``: int64 ``[...]``."""
    indices, shares = likely(logits, temperature, top_k, top_p)
    sums = shares.cumsum(-1)
    place = (sums <= chance.unsqueeze(-1) * sums[..., -1:]).sum(-1, keepdim=True)
    return indices.gather(-1, place).squeeze(-1)
