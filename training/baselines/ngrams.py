"""N-grams of the training pieces, by interpolated Kneser-Ney smoothing.

    P_n(w | h) = (max(c(h w) - D_n, 0) + D_n T(h) P_{n-1}(w | h')) / c(h)

c counts occurrences at the highest order and, below it, the different tokens that precede a gram;
T(h) is how many different tokens follow h, h' is h without its oldest token, and P_0 is uniform.
The discount is D_n = n1 / (n1 + 2 n2), from how many grams were counted once and twice.

Source: Chen and Goodman 1999, An Empirical Study of Smoothing Techniques for Language Modeling.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.uint16]
Longs = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Order:
    """The counts of one order. A gram is a number in base V, its oldest token first."""

    grams: Longs
    """Ascending."""
    counts: Longs
    contexts: Longs
    """The grams' beginnings, one token shorter, ascending."""
    totals: Longs
    """c(h) of each context."""
    followers: Longs
    """T(h) of each context."""
    discount: float


class NGrams:
    """An n-gram model, made once and never changed. Predicts whole pieces at a time."""

    def __init__(self, pieces: Iterable[Tokens], order: int, vocabulary: int, begin: int) -> None:
        """Count ``pieces``. Each is thought to follow ``order - 1`` tokens ``begin``.

        Raises ``ValueError`` where a gram would not fit a 63-bit number, or there is no piece.
        """
        if vocabulary**order >= 2**63:
            raise ValueError(f"{order}-grams of {vocabulary} tokens are too many to number")
        self._vocabulary = vocabulary
        self._lead = np.full(order - 1, begin, dtype=np.int64)
        grams, counts = np.unique(
            np.concatenate([self._grams(piece, order) for piece in pieces]), return_counts=True
        )
        self._orders: list[_Order] = []
        for length in range(order, 0, -1):
            self._orders.insert(0, _order(grams, counts, vocabulary))
            grams, counts = np.unique(grams % vocabulary ** (length - 1), return_counts=True)

    def probabilities(self, tokens: Tokens) -> Floats:
        """The probability ``[T]`` of each token of a piece, given those before it."""
        result = np.full(len(tokens), 1 / self._vocabulary)
        for length, order in enumerate(self._orders, 1):
            grams = self._grams(tokens, length)
            counts = _look_up(order.grams, order.counts, grams)
            context = grams // self._vocabulary
            totals = _look_up(order.contexts, order.totals, context)
            followers = _look_up(order.contexts, order.followers, context)
            kept = np.maximum(counts - order.discount, 0) + order.discount * followers * result
            result = np.where(totals > 0, kept / np.maximum(totals, 1), result)
        return result

    def log_probs(self, tokens: Tokens) -> Floats:
        """Nats ``[T]``, as a `training.evaluate.scoring.Predictor` gives them."""
        return np.log(self.probabilities(tokens))

    def _grams(self, tokens: Tokens, length: int) -> Longs:
        """The gram of ``length`` tokens that ends at each token of a piece."""
        padded = np.concatenate((self._lead, tokens.astype(np.int64)))
        grams = np.zeros(len(tokens), dtype=np.int64)
        for back in range(length - 1, -1, -1):
            start = len(self._lead) - back
            grams = grams * self._vocabulary + padded[start : start + len(tokens)]
        return grams


def _order(grams: Longs, counts: Longs, vocabulary: int) -> _Order:
    context = grams // vocabulary
    starts = np.flatnonzero(np.append(True, context[1:] != context[:-1]))
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return _Order(
        grams,
        counts,
        context[starts],
        np.add.reduceat(counts, starts),
        np.diff(np.append(starts, len(grams))),
        # Where no gram was counted twice the formula has no say: half is as good as any.
        once / (once + 2 * twice) if once and twice else 0.5,
    )


def _look_up(keys: Longs, values: Longs, wanted: Longs) -> Longs:
    """The value of each wanted key; 0 where it is not among the ascending ``keys``."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)


def train(
    pieces: Sequence[Tokens], orders: Sequence[int], vocabulary: int, begin: int
) -> dict[int, NGrams]:
    """A model of each order."""
    return {order: NGrams(pieces, order, vocabulary, begin) for order in orders}
