"""Arrays that begin on a cache line, so that no vector of theirs lies on two."""

from __future__ import annotations

from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

CACHE_LINE = 64
"""Bytes; right for x86-64 and most of ARM, and merely a little slow elsewhere."""

T = TypeVar("T", bound=np.generic)


def aligned_zeros(shape: tuple[int, ...], dtype: type[T]) -> NDArray[T]:
    """As ``np.zeros``, on a cache line."""
    size = prod(shape) * np.dtype(dtype).itemsize
    raw = np.zeros(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(dtype).reshape(shape)
