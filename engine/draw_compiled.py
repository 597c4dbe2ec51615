"""The draw of :mod:`engine.draw` in machine code: the same token in a tenth of the time.

Importing this module imports numba; `engine.code_cache` says where the compiled code is kept.
"""
# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import numpy as np
from numba import njit, types

from engine import code_cache
from engine.draw import WEIGHTS, Draw

DEEPEST = np.float32(len(WEIGHTS) - 1)
HALF = np.float32(0.5)

INDEX_BITS = 24
"""A key is a weight (33 bits at most) above what tells equal weights apart: the first is larger."""
LAST_INDEX = (1 << INDEX_BITS) - 1

HALF_WORD, LOW_HALF = np.uint64(32), np.uint64(2**32 - 1)


@njit
def _share(word, bound):
    """``word * bound >> 64``: of 64 random bits, a whole number from 0 to below ``bound``."""
    bound = np.uint64(bound)
    low, high = word & LOW_HALF, word >> HALF_WORD
    low_bound, high_bound = bound & LOW_HALF, bound >> HALF_WORD
    middle = high * low_bound + (low * low_bound >> HALF_WORD)
    cross = low * high_bound + (middle & LOW_HALF)
    return np.int64(high * high_bound + (middle >> HALF_WORD) + (cross >> HALF_WORD))


@njit
def _sink(heap, i, size):
    """Let the key at ``i`` sink in the heap until none below it is larger."""
    key = heap[i]
    below = 2 * i + 1
    while below < size:
        if below + 1 < size and heap[below + 1] > heap[below]:
            below += 1
        if heap[below] < key:
            break
        heap[i] = heap[below]
        i, below = below, 2 * below + 1
    heap[i] = key


def _draw(logits, ids, toll, first, scale, top_p, top_k, word):
    """The signature of `Draw`; sorts no more than is kept."""
    count = len(ids)
    scores = np.empty(count, np.float32)
    best = 0
    finite = True
    for i in range(count):
        token = ids[i]
        if not 0 <= token < len(logits):
            raise IndexError("a token that the model does not know")
        score = logits[token]
        if 0 <= token - first < len(toll):
            score -= toll[token - first]
        scores[i] = score
        finite &= score < np.inf
        if score > scores[best]:
            best = i
    top = scores[best]
    if not (finite and top > -np.inf):
        raise ValueError("the model's logits are not finite numbers")
    if scale == 0:
        return np.int64(ids[best])

    keys = np.empty(count, np.int64)
    total, step = 0, np.float32(scale)
    for i in range(count):
        depth = (top - scores[i]) * step
        weight = WEIGHTS[np.int64(min(depth, DEEPEST) + HALF)]
        keys[i] = weight << INDEX_BITS | (LAST_INDEX - i)
        total += weight
    if top_p >= 1.0 and not 0 < top_k < count:
        mark, i = _share(word, total), 0
        mark -= keys[0] >> INDEX_BITS
        while mark >= 0:
            i += 1
            mark -= keys[i] >> INDEX_BITS
        return np.int64(ids[i])

    for i in range(count // 2 - 1, -1, -1):
        _sink(keys, i, count)
    # The keys that are kept go to the end, the largest last.
    target, most = np.int64(top_p * total), min(top_k, count) if top_k else count
    kept, size = 0, count
    while True:
        size -= 1
        keys[0], keys[size] = keys[size], keys[0]
        kept += keys[size] >> INDEX_BITS
        if kept >= target or count - size == most:
            break
        _sink(keys, 0, size)
    mark, i = _share(word, kept), count - 1
    mark -= keys[i] >> INDEX_BITS
    while mark >= 0:
        i -= 1
        mark -= keys[i] >> INDEX_BITS
    return np.int64(ids[LAST_INDEX - (keys[i] & LAST_INDEX)])


@lru_cache
def compiled() -> Draw:
    """The draw, out of the cache on disk or compiled now."""

    def row(dtype: Any) -> Any:
        return types.Array(dtype, 1, "C", readonly=True)

    signature = types.int64(
        row(types.float32),
        row(types.int32),
        row(types.float32),
        types.int64,
        types.float64,
        types.float64,
        types.int64,
        types.uint64,
    )
    return cast(Draw, code_cache.compiled(_draw, signature, error_model="numpy"))
