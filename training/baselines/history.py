"""An n-gram model that also remembers the piece: the baseline that counts.

Bands repeat themselves, so the best guess at what comes is often what came the last time. Two
predictors are mixed, token by token:

    P(w) = (1 - g_m) P_static(w | last 4 tokens) + g_m P_piece(w | all that was heard of the piece)

* P_static is the 5-gram of the training pieces (:mod:`training.baselines.ngrams`).
* P_piece counts the piece alone, up to the token before. Orders 0 to 16 are chained by
  Witten-Bell smoothing: P_k = (c(h w) + T(h) P_{k-1}) / (c(h) + T(h)), P_{-1} uniform, where h are
  the last k tokens, c counts what followed h so far and T how many different tokens that were.
* m is the longest k whose h was heard before in the piece. Each m has a gate g_m of its own: 1/2 at
  the beginning of the piece, and after each token moved by a 50th of the way towards the share
  that P_piece had in what was predicted. Nothing is fitted to any held-out piece.

Source: Witten and Bell 1991, The zero-frequency problem; the gates are one step of EM a token.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.baselines.ngrams import Floats, Longs, NGrams, Tokens

LONGEST = 16
"""Tokens of the longest context that is looked for in the piece: three to four notes."""

RATE = 0.02
"""How fast a gate moves."""


class WithHistory:
    """An n-gram model mixed with what the piece has said so far."""

    def __init__(self, static: NGrams, vocabulary: int, longest: int = LONGEST) -> None:
        """``static`` knows the training pieces; contexts of up to ``longest`` tokens are tried."""
        self._static = static
        self._vocabulary = vocabulary
        self._longest = longest

    def log_probs(self, tokens: Tokens) -> Floats:
        """Nats ``[T]``, as a `training.evaluate.scoring.Predictor` gives them."""
        own, match = piece_probabilities(tokens, self._vocabulary, self._longest)
        return np.log(_mix(self._static.probabilities(tokens), own, match))


def piece_probabilities(tokens: Tokens, vocabulary: int, longest: int) -> tuple[Floats, Longs]:
    """P_piece ``[T]``, and the longest context ``[T]`` that was heard before."""
    now = tokens.astype(np.int64)
    result = np.full(len(now), 1 / vocabulary)
    match = np.zeros(len(now), dtype=np.int64)
    context = np.zeros(len(now), dtype=np.int64)
    for length in range(longest + 1):
        _, event = np.unique(context * vocabulary + now, return_inverse=True)
        count = _sum_before(event, np.ones_like(now))
        total = _sum_before(context, np.ones_like(now))
        followers = _sum_before(context, (count == 0).astype(np.int64))
        chained = (count + followers * result) / np.maximum(total + followers, 1)
        result = np.where(total > 0, chained, result)
        match[total > 0] = length
        # The gram that ended one token ago is the next longer context; the first has none.
        context = np.append(0, event + 1)[: len(now)]
    return result, match


def _sum_before(group: Longs, values: Longs) -> Longs:
    """For each place, the sum of ``values`` at earlier places of the same group."""
    order = np.argsort(group, kind="stable")
    running = np.cumsum(values[order]) - values[order]
    opens = np.append(True, group[order][1:] != group[order][:-1])
    first = np.maximum.accumulate(np.where(opens, np.arange(len(order)), 0))
    result: Longs = np.empty_like(running)
    result[order] = running - running[first]
    return result


def _mix(static: Floats, own: Floats, match: Longs) -> Floats:
    """The mixture ``[T]``, its gates learning as it goes."""
    gates = [0.5] * (int(match.max(initial=0)) + 1)
    mixed: NDArray[np.float64] = np.empty(len(static))
    for i, (general, particular, m) in enumerate(
        zip(static.tolist(), own.tolist(), match.tolist(), strict=True)
    ):
        gate = gates[m]
        total = (1 - gate) * general + gate * particular
        mixed[i] = total
        gates[m] += RATE * (gate * particular / total - gate)
    return mixed
