"""All matrices of a model in one array, as the compiled step reads them.

A matrix ``[out, in]`` is cut into panels of `WIDTH` rows; a panel holds its columns one after the
other, so a vector is one column (float32) or two neighbouring columns (int8) of the panel. Rows are
padded with zeros to pairs of panels, columns to pairs. In int8 every row has its own scale:
``weight = integer * scale``, with integers in -127 … 127.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.memory import aligned_zeros
from engine.models.rwkv.packed import LOW_RANK, Float, Packed, ranks
from engine.models.rwkv.vectors import COLUMNS, WIDTH

INT8_MAX = 127
"""The largest integer weight; -128 is not used."""

Weights: TypeAlias = Float | NDArray[np.int8]


class Matrix(IntEnum):
    """The matrices of a layer, as the rows of `Panels.table` repeat; the head follows the last."""

    R = 0
    K = 1
    V = 2
    W_DOWN = 3
    A_DOWN = 4
    V_DOWN = 5
    G_DOWN = 6
    W_UP = 7
    A_UP = 8
    V_UP = 9
    G_UP = 10
    OUTPUT = 11
    FFN_KEY = 12
    FFN_VALUE = 13


class Panels(NamedTuple):
    """Matrices ready for `matmul.matmul`."""

    weights: Weights
    """All panels, flat; begins on a cache line."""
    scales: Float
    """One number a padded row; int8 only, else empty."""
    table: NDArray[np.int64]
    """``[matrices, 4]``: first vector, first row of scales, panels, vectors a panel."""

    @property
    def nbytes(self) -> int:
        """Bytes that a step reads at most."""
        return self.weights.nbytes + self.scales.nbytes


def pack_panels(weights: Packed, sizes: Sizes, precision: str) -> Panels:
    """Lay out every matrix of a model for ``precision`` ``int8`` or ``float32``."""
    return pack_matrices(_in_order(weights, sizes), precision)


def pack_matrices(matrices: Iterable[Float], precision: str) -> Panels:
    """Lay out ``matrices`` one after the other."""
    parts: list[Weights] = []
    scales: list[Float] = []
    table = []
    vector = row = 0
    for matrix in matrices:
        panels = _panels(matrix, COLUMNS[precision])
        if precision == "int8":
            scale = np.abs(panels).max((1, 3)) / np.float32(INT8_MAX)
            safe = np.where(scale > 0, scale, 1)
            parts.append(np.rint(panels / safe[:, None, :, None]).astype(np.int8))
            scales.append(scale.ravel())
        else:
            parts.append(panels)
        count, each = panels.shape[:2]
        table.append((vector, row, count, each))
        vector += count * each
        row += count * WIDTH
    flat = aligned_zeros((sum(part.size for part in parts),), parts[0].dtype.type)
    np.concatenate([part.ravel() for part in parts], out=flat)
    return Panels(
        cast(Weights, flat),
        np.concatenate(scales) if scales else np.zeros(0, np.float32),
        np.array(table, np.int64),
    )


def _in_order(weights: Packed, sizes: Sizes) -> list[Float]:
    """Every matrix, in the order of `Matrix` for each layer, and the head."""
    splits = np.cumsum(ranks(sizes))[: len(LOW_RANK) - 1]
    matrices: list[Float] = []
    for layer in range(sizes.layers):
        matrices += [
            *weights.rkv[layer],
            *np.split(weights.down[layer], splits),
            *np.split(weights.up[layer], splits, axis=1),
            weights.output[layer],
            weights.ffn_key[layer],
            weights.ffn_value[layer],
        ]
    return [*matrices, weights.head]


def _panels(matrix: Float, columns: int) -> Float:
    """``[out, in]`` to ``[panels, vectors, WIDTH, columns]``, padded with zeros."""
    rows, width = matrix.shape
    padded = np.zeros((padded_rows(rows), width + width % 2), np.float32)
    padded[:rows, :width] = matrix
    split = padded.reshape(-1, WIDTH, padded.shape[1] // columns, columns)
    return np.ascontiguousarray(split.transpose(0, 2, 1, 3))


def padded_rows(rows: int) -> int:
    """``rows`` rounded up to whole pairs of panels."""
    return -(-rows // (2 * WIDTH)) * 2 * WIDTH
