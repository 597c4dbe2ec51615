"""Sets of tokens that may come next, each made once.

A set of tokens is a number first: bit ``t`` is set where token ``t`` is in it, and sets are put
together by shifting and by ``|``. So is a set of pitches. Equal numbers get the same :class:`Menu`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np

from engine.tokens.vocabulary import Ids

Tokens: TypeAlias = int
Pitches: TypeAlias = int


class Menu:
    """Some tokens to choose from."""

    __slots__ = ("ids", "only", "tokens")

    def __init__(self, tokens: Tokens) -> None:
        bits = np.frombuffer(tokens.to_bytes(tokens.bit_length() // 8 + 1, "little"), np.uint8)
        self.tokens = tokens
        self.ids: Ids = np.unpackbits(bits, bitorder="little").nonzero()[0].astype(np.int32)
        """Ascending, ``int32 [n]``, read-only."""
        self.ids.flags.writeable = False
        self.only = int(self.ids[0]) if len(self.ids) == 1 else None
        """The token, where it is the only one."""


@lru_cache(maxsize=8192)
def menu(tokens: Tokens) -> Menu:
    """The menu of a set."""
    return Menu(tokens)


def span(first: int, stop: int) -> int:
    """The set of what lies from ``first`` to before ``stop``."""
    return (1 << stop) - (1 << first)
