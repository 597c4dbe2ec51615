"""The loops of the recall in machine code.

Importing this module imports numba; `engine.code_cache` says where the compiled code is kept.
"""
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from functools import lru_cache

from numba import types
from numba.extending import register_jitable

from engine import code_cache
from engine.recall.blend import blend
from engine.recall.chains import link, unlink
from engine.recall.contexts import walk
from engine.recall.loops import Loops
from engine.recall.together import advance, mix

LONG, REAL = types.int64, types.float64


def _array(kind: types.Type, dimensions: int) -> types.Type:
    return types.Array(kind, dimensions, "C")


TOKENS, NUMBERS, REALS = _array(types.int32, 1), _array(LONG, 1), _array(REAL, 1)
PLACES, CONTEXTS, TABLE = _array(types.int32, 2), _array(LONG, 2), _array(REAL, 2)
WALK = types.void(TOKENS, LONG, LONG, NUMBERS, NUMBERS, CONTEXTS)
CHAIN = CONTEXTS, LONG, LONG, PLACES, NUMBERS, TOKENS
BLEND = types.void(
    _array(types.float32, 1), LONG, REAL, REAL, NUMBERS,
    TOKENS, PLACES, NUMBERS, TOKENS,
    TOKENS, CONTEXTS, LONG, LONG,
    TABLE, _array(REAL, 3),
    PLACES, TABLE, TABLE, REALS, NUMBERS,
)  # fmt: skip
ROW, ROWS, STATES = _array(types.float32, 1), _array(types.float32, 2), _array(LONG, 2)
OWN_CONTEXTS = _array(LONG, 3)
ADVANCE = types.void(NUMBERS, NUMBERS, NUMBERS, STATES, PLACES, OWN_CONTEXTS, NUMBERS)
MIX = types.void(
    ROWS, ROW, ROW, ROW, ROW, NUMBERS,
    TOKENS, PLACES, NUMBERS, TOKENS,
    STATES, PLACES, OWN_CONTEXTS, LONG, NUMBERS,
    TABLE, _array(REAL, 3),
    PLACES, TABLE, TABLE, REALS, NUMBERS,
)  # fmt: skip


@lru_cache
def loops() -> Loops:
    """All of them, out of the cache or compiled now."""
    for part in (walk, blend):
        register_jitable(part)
    return Loops(
        walk=code_cache.compiled(walk, WALK, nogil=True),
        link=code_cache.compiled(link, LONG(*CHAIN), nogil=True),
        unlink=code_cache.compiled(unlink, types.void(*CHAIN), nogil=True),
        blend=code_cache.compiled(blend, BLEND, nogil=True),
        advance=code_cache.compiled(advance, ADVANCE, nogil=True),
        mix=code_cache.compiled(mix, MIX, nogil=True),
    )
