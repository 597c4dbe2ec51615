"""What a sequence of an RWKV-4 model starts with."""

from __future__ import annotations

import numpy as np

from engine.models.rwkv.state import State
from engine.models.rwkv4.architecture import Sizes

VALUES, WEIGHTS, LARGEST = range(3)
"""The sums that a layer keeps: of values, of weights, and what their exponents count from."""

NOTHING_YET = np.float32(-1e30)
"""The largest exponent of an empty sum."""


def zero_state(sizes: Sizes, batch: int) -> State:
    """What sequences start with; ``wkv`` is ``[L, B, 3, C]``."""
    wkv = np.zeros((sizes.layers, batch, 3, sizes.embed), np.float32)
    wkv[:, :, LARGEST] = NOTHING_YET
    return State(
        np.zeros((sizes.layers, 2, batch, sizes.embed), np.float32),
        wkv,
        np.zeros((batch, sizes.vocab), np.float32),
    )
