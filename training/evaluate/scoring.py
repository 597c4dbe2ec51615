"""Bits: what a predictor needs to tell whole pieces, from the first bar on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.data import Tokens, TokenSet
from training.tokenize import Piece

EDGES = (0, 256, 512, 1024, 2048, 4096, 8192, 16384)
"""Where the spans of the curve begin, in tokens of a piece; the last has no end."""

BAR_EDGES = (0, 4, 8, 16, 32, 64, 128)
"""The same in bars."""


class Predictor(Protocol):
    """Whatever can say how likely music is: a network, with or without recall, or n-grams."""

    def log_probs(self, tokens: Tokens) -> NDArray[np.floating[Any]]:
        """Nats ``[T]``: the logarithm of the probability of each token, given all before it.

        ``tokens`` are a piece from its first bar on, without BOS, which is understood.
        """
        ...


def _empty(edges: tuple[int, ...]) -> NDArray[np.float64]:
    return np.zeros((2, len(edges)))


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """Sums over pieces."""

    bits: float = 0.0
    tokens: int = 0
    notes: int = 0
    bars: int = 0
    by_token: NDArray[np.float64] = field(default_factory=lambda: _empty(EDGES))
    """Bits, and tokens, in each span of `EDGES`: ``[2, spans]``."""
    by_bar: NDArray[np.float64] = field(default_factory=lambda: _empty(BAR_EDGES))
    """Bits, and tokens, in each span of `BAR_EDGES`: ``[2, spans]``."""

    def __add__(self, other: Score) -> Score:
        return Score(
            self.bits + other.bits,
            self.tokens + other.tokens,
            self.notes + other.notes,
            self.bars + other.bars,
            self.by_token + other.by_token,
            self.by_bar + other.by_bar,
        )

    @property
    def bits_per_token(self) -> float:
        """Mean over all tokens."""
        return self.bits / self.tokens

    @property
    def bits_per_note(self) -> float:
        """All bits, those of bars and positions too, shared among the notes."""
        return self.bits / self.notes

    @property
    def bits_per_bar(self) -> float:
        """All bits, shared among the bars."""
        return self.bits / self.bars

    def figures(self) -> dict[str, Any]:
        """What there is to be said in numbers, rounded."""
        return {
            "bits_per_token": round(self.bits_per_token, 4),
            "bits_per_note": round(self.bits_per_note, 3),
            "bits_per_bar": round(self.bits_per_bar, 2),
            "bits_per_token_by_token": curve(self.by_token, EDGES),
            "bits_per_token_by_bar": curve(self.by_bar, BAR_EDGES),
        }


def curve(sums: NDArray[np.float64], edges: tuple[int, ...]) -> dict[str, float]:
    """Mean bits per token in each span that has any, by where the span begins."""
    bits, tokens = sums
    return {
        str(edge): round(float(bits[i] / tokens[i]), 4)
        for i, edge in enumerate(edges)
        if tokens[i] > 0
    }


def score_with(
    predictor: Predictor, data: TokenSet, pieces: Iterable[Piece], limit: int | None = None
) -> Score:
    """The sum over pieces, each whole, or its first ``limit`` tokens."""
    return sum((_score(predictor, data, data.tokens(p)[:limit]) for p in pieces), Score())


def _score(predictor: Predictor, data: TokenSet, tokens: Tokens) -> Score:
    bits = -predictor.log_probs(tokens).astype(np.float64) / math.log(2)
    opens_bar = data.vocabulary.is_bar[tokens]
    return Score(
        float(bits.sum()),
        len(tokens),
        int(data.vocabulary.is_note[tokens].sum()),
        int(opens_bar.sum()),
        _by_span(bits, np.arange(len(tokens)), EDGES),
        _by_span(bits, np.maximum(np.cumsum(opens_bar) - 1, 0), BAR_EDGES),
    )


def _by_span(
    bits: NDArray[np.float64], place: NDArray[np.int64], edges: tuple[int, ...]
) -> NDArray[np.float64]:
    span = np.searchsorted(edges, place, side="right") - 1
    count = len(edges)
    return np.stack((np.bincount(span, bits, count), np.bincount(span, minlength=count)))
