"""How well a model predicts music that it has not heard: whole pieces, from the first bar on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from engine.models.rwkv.torch_model import Rwkv7
from training.data import TokenSet
from training.tokenize import Piece

SEGMENT = 2048
"""Tokens that are read at once; the state goes on from one segment to the next."""


@dataclass(frozen=True, slots=True)
class Score:
    """Sums over pieces."""

    bits: float = 0.0
    tokens: int = 0
    notes: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.bits + other.bits, self.tokens + other.tokens, self.notes + other.notes)

    @property
    def bits_per_token(self) -> float:
        """Mean over all tokens."""
        return self.bits / self.tokens

    @property
    def bits_per_note(self) -> float:
        """All bits, those of bars and positions too, shared among the notes."""
        return self.bits / self.notes


@torch.no_grad()
def score_piece(model: Rwkv7, data: TokenSet, piece: Piece, limit: int | None = None) -> Score:
    """One piece, the state carried through it, or its first ``limit`` tokens."""
    vocabulary = data.vocabulary
    body = data.tokens(piece)[:limit].astype(np.int64)
    device = model.emb.weight.device
    tokens = torch.from_numpy(np.concatenate(([vocabulary.begin], body))).to(device)
    state = model.zero_state(1)
    nats = 0.0
    for start in range(0, len(body), SEGMENT):
        segment = tokens[start : start + SEGMENT + 1]
        logits, state = model(segment[None, :-1], state)
        nats += F.cross_entropy(logits[0].float(), segment[1:], reduction="sum").item()
    return Score(nats / math.log(2), len(body), int(vocabulary.is_note[body].sum()))


def score(model: Rwkv7, data: TokenSet, pieces: Iterable[Piece], limit: int | None = None) -> Score:
    """The sum over several pieces."""
    return sum((score_piece(model, data, piece, limit) for piece in pieces), Score())


def mean_bits(
    model: Rwkv7, data: TokenSet, pieces: Iterable[Piece], limit: int | None = None
) -> float:
    """Bits per token over several pieces."""
    return score(model, data, pieces, limit).bits_per_token


def report(
    model: Rwkv7,
    data: TokenSet,
    collections: Iterable[str] | None = None,
    limit: int | None = None,
) -> dict[str, dict[str, float]]:
    """Figures of the held-out pieces of each collection, in fp32.

    ``collections`` None is all that have any; ``limit`` is in tokens of a piece, None for all.
    """
    result = {}
    for name in data.weights if collections is None else collections:
        pieces = data.select("heldout", name)
        if not pieces:
            continue
        total = score(model, data, pieces, limit)
        result[name] = {
            "pieces": len(pieces),
            "notes": total.notes,
            "bits_per_token": round(total.bits_per_token, 4),
            "bits_per_note": round(total.bits_per_note, 3),
        }
    return result
