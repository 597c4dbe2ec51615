"""The loss that a run watches: on pieces that it does not learn from."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from engine.models.rwkv.torch_model import Rwkv7
from training.config import TrainConfig
from training.data import TokenSet
from training.evaluate import Score, score


@dataclass(frozen=True, slots=True)
class Heldout:
    """One look at the held-out pieces."""

    loss: float | None
    """Nats per token over all collections that are trained on; None where nothing is held out."""

    bits: dict[str, float]
    """Bits per token of each collection, those that are only listened to, too."""


@torch.no_grad()
def look(
    model: Rwkv7, data: TokenSet, config: TrainConfig, precision: AbstractContextManager[None]
) -> Heldout:
    """Score the beginnings of some held-out pieces of each collection."""
    heard, bits = Score(), {}
    with precision:
        for name, weight in data.weights.items():
            pieces = data.select("heldout", name)
            pieces = pieces[:: math.ceil(len(pieces) / config.heldout_pieces) or 1]  # from all over
            if pieces:
                found = score(model, data, pieces, config.heldout_tokens)
                bits[name] = found.bits_per_token
                heard += found if weight > 0 else Score()
    return Heldout(heard.bits / heard.tokens * math.log(2) if heard.tokens else None, bits)
