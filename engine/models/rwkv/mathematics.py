"""Compiled functions of one number or one row, written so that their loops vectorise.

Importing this module imports numba.
"""
# mypy: disable-error-code="no-untyped-def,untyped-decorator"

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from engine.models.rwkv.architecture import DECAY_SCALE

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    # Arrays are views of what the caller owns: without counting references to them (a locked
    # instruction each) a step for 8 sequences takes four fifths of the time.
    "_nrt": False,
}

fast: Any = njit(fastmath=True, **OPTIONS)
"""Decorator of what the step calls, where the order of a sum does not matter."""

close: Any = njit(fastmath={"contract"}, **OPTIONS)
"""The same where only a product may be fused with a sum."""

EXACT = {"fastmath": {"nnan", "ninf", "nsz"}} | OPTIONS
exact: Any = njit(**EXACT)
"""The same where every operation must be rounded as it is written."""


ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
LOG2_E, LN_2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
TAYLOR = tuple(np.float32(1 / x) for x in (5040, 720, 120, 24, 6, 2, 1, 1))
LOW, HIGH = np.float32(-87), np.float32(88)
HALF_DECAY = np.float32(DECAY_SCALE / 2)
MIDDLE = np.float32(math.exp(-DECAY_SCALE / 2))
BIAS, MANTISSA_BITS = np.int32(127), np.int32(23)


@close
def _taylor(x):
    """e^x for x within 0.36 of 0, by eight terms."""
    series = TAYLOR[0]
    series = series * x + TAYLOR[1]
    series = series * x + TAYLOR[2]
    series = series * x + TAYLOR[3]
    series = series * x + TAYLOR[4]
    series = series * x + TAYLOR[5]
    series = series * x + TAYLOR[6]
    return series * x + TAYLOR[7]


@close
def exp(x):
    """e^x of a float32 within 3e-7 relative; outside -87 … 88 as at these ends.

    2^n times the series of the rest, which lies within ln(2)/2 of 0. libm's is a call for each
    number; this is straight code.
    """
    x = min(max(x, LOW), HIGH)
    n = np.floor(x * LOG2_E + HALF)
    power = np.int32((np.int32(n) + BIAS) << MANTISSA_BITS)
    return _taylor(x - n * LN_2) * power.view(np.float32)


@close
def decay(x):
    """exp(-DECAY_SCALE * sigmoid(x)): the factor by which a channel forgets."""
    return MIDDLE * _taylor(HALF_DECAY - (HALF_DECAY + HALF_DECAY) * sigmoid(x))


@fast
def sigmoid(x):
    """The logistic function of a float32."""
    return ONE / (ONE + exp(-x))


@fast
def tanh(x):
    """The hyperbolic tangent of a float32, within 3e-7 absolute."""
    return ONE - np.float32(2) / (ONE + exp(x + x))


@fast
def norm(x, weight, bias, eps, out):
    """Layer norm of the row ``x`` into ``out``; all four have its length."""
    n = x.shape[0]
    mean = ZERO
    for i in range(n):
        mean += x[i]
    mean /= np.float32(n)
    variance = ZERO
    for i in range(n):
        variance += (x[i] - mean) * (x[i] - mean)
    scale = ONE / np.sqrt(variance / np.float32(n) + eps)
    for i in range(n):
        out[i] = (x[i] - mean) * scale * weight[i] + bias[i]
