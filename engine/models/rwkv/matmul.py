"""Panels of weights times activations, compiled: for one sequence, or for several at once.

Importing this module imports numba.
"""
# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numba import types
from numba.extending import overload

from engine.models.rwkv.mathematics import EXACT, ONE, exact
from engine.models.rwkv.panels import INT8_MAX
from engine.models.rwkv.vectors import WIDTH, add_products, no_sums, store_sums

MOST = 4 if WIDTH == 8 else 8
"""Sequences that one pass takes at most: as many as the registers hold sums of (AVX2 has 16)."""

FEW = MOST // 2
"""Up to so many sequences take four panels at a time: with few sums, each waits for itself."""

INT16_MAX, INT32_MAX = 32767, 2147483647

LEAST_BITS = np.float32(1e-30).view(np.int32)
"""A largest activation below 1e-30 counts as that, so that its inverse is finite."""


def activations(weights, rows, width):
    """Zeros ``[rows, width]`` of the dtype that ``weights`` meet."""
    raise NotImplementedError("compiled code only")


@overload(activations)
def _activations(weights, rows, width):
    dtype = np.float32 if weights.dtype == types.float32 else np.int16

    def make(weights, rows, width):
        return np.zeros((rows, width), dtype)

    return make


def activate(x, out):
    """Write the row ``x`` to ``out`` as the matrices want it; the scale that undoes it.

    float32 is copied; int16 is scaled so that a row of the largest int8 weights stays in int32.
    """
    raise NotImplementedError("compiled code only")


@overload(activate, jit_options=cast(Any, EXACT))
def _activate(x, out):
    def copy(x, out):
        for j in range(x.shape[0]):
            out[j] = x[j]
        return ONE

    def quantise(x, out):
        top = np.float32(min(INT16_MAX, INT32_MAX // (INT8_MAX * x.shape[0])))
        # Floats above 0 are ordered as their bits are, and a largest integer vectorises.
        bits, most_bits = x.view(np.int32), LEAST_BITS
        for j in range(x.shape[0]):
            most_bits = max(most_bits, np.int32(bits[j] & INT32_MAX))
        most = np.int32(most_bits).view(np.float32)
        factor = top / most
        # Conversion cuts towards 0: made positive first, it rounds to the nearest.
        lift = np.float32(INT16_MAX + 1.5)
        for j in range(x.shape[0]):
            out[j] = np.int16(np.int32(x[j] * factor + lift) - np.int32(INT16_MAX + 1))
        return most / top

    return copy if out.dtype == types.float32 else quantise


def _blocking(panels, sequences):
    """The product of neighbouring ``panels`` with neighbouring ``sequences``, all in registers."""
    count = panels * sequences

    @exact
    def block(weights, at, units, scales, row, x, x_scales, b, out, first):
        sums = no_sums(weights, count)
        for unit in range(units):
            sums = add_products(sums, panels, weights, at + unit, units, x, b, unit)
        store_sums(sums, panels, scales, row + first, x_scales, out, b, first)

    return block


def _pass(panels, most):
    """The product of neighbouring ``panels`` with ``count`` sequences, 1 to ``most``."""
    block = _blocking(panels, most)
    fewer = _pass(panels, most - 1) if most > 1 else None

    @exact
    def choose(count, weights, at, units, scales, row, x, x_scales, b, out, first):
        if fewer is None or count == most:
            block(weights, at, units, scales, row, x, x_scales, b, out, first)
        else:
            fewer(count, weights, at, units, scales, row, x, x_scales, b, out, first)

    return choose


_four_panels = _pass(4, FEW)
_two_panels = _pass(2, MOST)


@exact
def matmul(weights, scales, place, x, x_scales, batch, out):
    """``out[b] = W x[b]``, where ``place`` is the row of `Panels.table` that W has.

    ``x`` and ``out`` are ``[batch, at least the padded width]``. Rows sum their columns in order in
    every blocking, so that results do not depend on the batch.
    """
    at, row, panels, units = place[0], place[1], place[2], place[3]
    paired = 0
    if batch <= FEW:
        paired = panels - panels % 4
        for i in range(0, paired, 4):
            p = at + i * units
            _four_panels(batch, weights, p, units, scales, row, x, x_scales, 0, out, i * WIDTH)
    for i in range(paired, panels, 2):
        p = at + i * units
        for b in range(0, batch, MOST):
            count = min(batch - b, MOST)
            _two_panels(count, weights, p, units, scales, row, x, x_scales, b, out, i * WIDTH)
