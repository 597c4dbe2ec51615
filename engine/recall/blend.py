"""What followed the present contexts before, mixed into what the network expects.

Written in the part of Python that numba compiles.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engine.recall.chains import FREE, Places
from engine.recall.contexts import COUNT, KIND_COUNT, Numbers, Tokens

Reals = NDArray[np.float64]

LATEST = 8
"""How many of the latest places of a context are looked at."""

FADING = 0.6
"""What an earlier place counts beside the one after it."""

CONTEXT_FEATURES = 5
"""Of a context that was met: one, log of one plus its weight, the largest share, their product, and
the surprise that anything else would be."""

BASE_FEATURES = KIND_COUNT + 2
"""The last token's kind, and the network's entropy and largest probability."""

SURE = 1.02
"""So that the surprise stays finite where nothing else ever followed."""

ABSENT = -1e30
"""The score of a context that was never met."""


def blend(
    chances: NDArray[np.float32],
    kind: int,
    entropy: float,
    peak: float,
    query: Numbers,
    tokens: Tokens,
    earlier: Places,
    keys: Numbers,
    latest: Places,
    own_tokens: Tokens,
    own_contexts: Numbers,
    own_first: int,
    own_last: int,
    base: Reals,
    experts: Reals,
    found: Places,
    shares: Reals,
    seen: Reals,
    parts: Reals,
    counts: Numbers,
) -> None:
    """Turn the network's ``chances`` ``[V]`` into the mixture's, in place.

    ``query`` ``[COUNT]`` are the present contexts. They are looked for in the take itself (``own_``
    from first to before last), then in the chains of what was heard. ``base`` ``[BASE_FEATURES,
    COUNT + 1]`` and ``experts`` ``[KIND_COUNT, COUNT, CONTEXT_FEATURES]`` are the gate;
    ``entropy`` (nats) and ``peak`` are those of ``chances``.

    What was found is left behind: the tokens ``found`` ``[COUNT, LATEST]`` (-1 where there are no
    more) and their ``shares``, of each context its weight and largest share ``seen`` ``[COUNT, 2]``
    and ``parts`` ``[COUNT + 1]`` of network and contexts in the mixture; ``counts`` ``[COUNT]`` are
    places in the take itself.
    """
    most = len(keys) - 1
    highest = base[kind, 0] + entropy / 4 * base[KIND_COUNT, 0] + peak * base[KIND_COUNT + 1, 0]
    parts[0] = highest
    counts[:] = 0
    for i in range(own_last - 1, own_first - 1, -1):
        # Hardly any place has any of them: what asks for all at once is one instruction.
        any_here = False
        for column in range(COUNT):
            any_here |= own_contexts[i, column] == query[column]
        if any_here:
            for column in range(COUNT):
                if own_contexts[i, column] == query[column] and counts[column] < LATEST:
                    found[column, counts[column]] = own_tokens[i]
                    counts[column] += 1
    for column in range(COUNT):
        count = int(counts[column])
        weight = 1.0
        total = 0.0
        for k in range(count):
            shares[column, k] = weight
            total += weight
            weight *= FADING
        key = int(query[column])
        slot = (key >> 24) & most
        while keys[slot] != FREE and keys[slot] != key:
            slot = (slot + 1) & most
        place = int(latest[slot]) if keys[slot] == key else -1
        while place >= 0 and count < LATEST:
            found[column, count] = tokens[place]
            shares[column, count] = weight
            total += weight
            weight *= FADING
            count += 1
            place = int(earlier[place, column])
        for k in range(count, LATEST):
            found[column, k] = -1
        seen[column, 0] = total
        seen[column, 1] = 0.0
        parts[column + 1] = ABSENT
        if count == 0:
            continue
        largest = 0.0
        for k in range(count):
            share = 0.0
            for j in range(count):
                if found[column, j] == found[column, k]:
                    share += shares[column, j]
            largest = max(largest, share)
        largest /= total
        seen[column, 1] = largest
        amount = math.log(1.0 + total)
        of = experts[kind, column]
        score = base[kind, column + 1] + entropy / 4 * base[KIND_COUNT, column + 1]
        score += peak * base[KIND_COUNT + 1, column + 1] + of[0] + of[1] * amount + of[2] * largest
        score += of[3] * largest * amount - of[4] * math.log(SURE - largest)
        parts[column + 1] = score
        highest = max(highest, score)
        for k in range(count):
            shares[column, k] /= total
    whole = 0.0
    for column in range(COUNT + 1):
        parts[column] = math.exp(parts[column] - highest)
        whole += parts[column]
    part = parts[0] / whole
    for v in range(len(chances)):
        chances[v] *= part
    for column in range(COUNT):
        part = parts[column + 1] / whole
        for k in range(LATEST):
            if found[column, k] < 0 or part == 0.0:
                break
            chances[found[column, k]] += part * shares[column, k]
