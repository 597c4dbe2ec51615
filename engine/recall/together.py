"""Takes side by side: what `contexts` and `blend` do for one, in one call for all of them.

Written in the part of Python that numba compiles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.recall.blend import Reals, blend
from engine.recall.chains import Places
from engine.recall.contexts import AT_KIND, Numbers, Tokens, walk

Floats = NDArray[np.float32]

ONE, LEAST = np.float32(1), np.finfo(np.float32).tiny


def advance(
    fresh: Numbers,
    rows: Numbers,
    kinds: Numbers,
    states: Numbers,
    tokens: Tokens,
    contexts: Numbers,
    lengths: Numbers,
) -> None:
    """Append a token each to the takes ``rows``, and reckon the contexts of the one to come.

    ``fresh`` are the tokens; one below 0 is none. ``states`` ``[B, S]``, ``tokens`` ``[B, N]``,
    ``contexts`` ``[B, N + 1, COUNT]`` and ``lengths`` ``[B]`` are those of the takes; see `walk`.
    """
    for i in range(len(rows)):
        if fresh[i] >= 0:
            row = rows[i]
            last = lengths[row]
            tokens[row, last] = fresh[i]
            walk(tokens[row], last, last + 1, kinds, states[row], contexts[row])
            lengths[row] = last + 1


def mix(
    chances: Floats,
    entropy: Floats,
    peak: Floats,
    says: Floats,
    share: Floats,
    rows: Numbers,
    tokens: Tokens,
    earlier: Places,
    keys: Numbers,
    latest: Places,
    own_states: Numbers,
    own_tokens: Tokens,
    own_contexts: Numbers,
    own_first: int,
    own_lengths: Numbers,
    base: Reals,
    experts: Reals,
    found: Places,
    shares: Reals,
    seen: Reals,
    parts: Reals,
    counts: Numbers,
) -> None:
    """Mix the past into what the network expects of the takes ``rows`` ``[n]``, in place.

    ``chances`` ``[n, V]`` are the network's, of the given ``entropy`` and ``peak`` ``[n]``; they
    become the mixture's, none of them 0. The past has the share ``says`` after the last token's
    kind, times the take's ``share`` ``[n]``; the rest stays the network's. What takes have of their
    own is as in `advance`, the other arguments are as in `blend`.
    """
    for i in range(len(rows)):
        row, mixed = rows[i], chances[i]
        last, kind = own_lengths[row], own_states[row, AT_KIND]
        alone = mixed.copy()
        blend(
            mixed, kind, entropy[i], peak[i],
            own_contexts[row, last], tokens, earlier, keys, latest,
            own_tokens[row], own_contexts[row], own_first, last,
            base, experts, found, shares, seen, parts, counts,
        )  # fmt: skip
        alone -= mixed
        alone *= ONE - says[kind] * share[i]
        mixed += alone
        mixed[:] = np.maximum(mixed, LEAST)
