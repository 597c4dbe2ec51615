"""Where each context was met: a hash table of the last places, and chains to those before them.

Written in the part of Python that numba compiles. Places are taken back in the opposite order in
which they were added, so that a correction costs what it corrects.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.recall.contexts import COUNT, Numbers

Places = NDArray[np.int32]

FREE = -1
"""A key that no context has."""


def link(
    contexts: Numbers, first: int, last: int, earlier: Places, keys: Numbers, latest: Places
) -> int:
    """Add the places from ``first`` to before ``last``; returns how many keys are new.

    ``earlier`` ``[N, COUNT]`` gets the place before each with the same context, or -1. ``keys`` and
    ``latest`` ``[C]`` are the table, open-addressed; C is a power of two and more than all
    contexts that were ever added.
    """
    most = len(keys) - 1
    fresh = 0
    for i in range(first, last):
        for column in range(COUNT):
            key = int(contexts[i, column])
            slot = (key >> 24) & most
            while keys[slot] != FREE and keys[slot] != key:
                slot = (slot + 1) & most
            if keys[slot] == key:
                earlier[i, column] = latest[slot]
            else:
                earlier[i, column] = -1
                fresh += 1
            keys[slot] = key
            latest[slot] = i
    return fresh


def unlink(
    contexts: Numbers, first: int, last: int, earlier: Places, keys: Numbers, latest: Places
) -> None:
    """Take the places from ``first`` to before ``last`` back; they must be the last ones added.

    Their keys stay in the table, with the place before or none.
    """
    most = len(keys) - 1
    for i in range(last - 1, first - 1, -1):
        for column in range(COUNT):
            key = int(contexts[i, column])
            slot = (key >> 24) & most
            while keys[slot] != key:
                slot = (slot + 1) & most
            latest[slot] = earlier[i, column]
