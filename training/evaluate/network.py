"""A network as a predictor, and the figures that training asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from engine.models.rwkv.torch_model import Rwkv7
from training.data import Tokens, TokenSet
from training.evaluate.scoring import Predictor, Score, score_with
from training.tokenize import Piece

SEGMENT = 2048
"""Tokens that are read at once; the state goes on from one segment to the next."""


class Network:
    """A network alone, its state carried through the piece."""

    def __init__(self, model: Rwkv7, begin: int) -> None:
        """``begin`` is the token that every piece follows."""
        self._model = model
        self._begin = begin

    @torch.no_grad()
    def log_probs(self, tokens: Tokens) -> NDArray[np.floating[Any]]:
        """Nats ``[T]``, as a `training.evaluate.scoring.Predictor` gives them."""
        device = self._model.emb.weight.device
        heard = np.concatenate(([self._begin], tokens)).astype(np.int64)
        sequence = torch.from_numpy(heard).to(device)
        state = self._model.zero_state(1)
        parts = [np.zeros(0, dtype=np.float32)]
        for start in range(0, len(tokens), SEGMENT):
            segment = sequence[start : start + SEGMENT + 1]
            logits, state = self._model(segment[None, :-1], state)
            loss = F.cross_entropy(logits[0].float(), segment[1:], reduction="none")
            parts.append(-loss.cpu().numpy())
        return np.concatenate(parts)


def score_piece(model: Rwkv7, data: TokenSet, piece: Piece, limit: int | None = None) -> Score:
    """One piece, or its first ``limit`` tokens."""
    return score(model, data, [piece], limit)


def score(model: Rwkv7, data: TokenSet, pieces: Iterable[Piece], limit: int | None = None) -> Score:
    """The sum over several pieces."""
    return score_with(Network(model, data.vocabulary.begin), data, pieces, limit)


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
    return report_with(Network(model, data.vocabulary.begin), data, collections, limit)


def report_with(
    predictor: Predictor,
    data: TokenSet,
    collections: Iterable[str] | None = None,
    limit: int | None = None,
) -> dict[str, dict[str, float]]:
    """The same of any predictor."""
    result = {}
    for name in data.weights if collections is None else collections:
        pieces = data.select("heldout", name)
        if not pieces:
            continue
        total = score_with(predictor, data, pieces, limit)
        result[name] = {
            "pieces": len(pieces),
            "notes": total.notes,
            "bits_per_token": round(total.bits_per_token, 4),
            "bits_per_note": round(total.bits_per_note, 3),
        }
    return result
