"""The weights as the live step reads them: a few stacked arrays instead of many named tensors.

L layers, C channels, F feed-forward channels, V tokens, D the sum of the four low ranks. Every
matrix is ``[out, in]``, so that a row is one dot product with the input.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.models.rwkv.architecture import LAYER_NORM_EPS, Sizes

Float = NDArray[np.float32]


class Vector(IntEnum):
    """Rows of `Packed.vectors`; the order of the table is the order in memory."""

    LN1_WEIGHT = 0
    LN1_BIAS = 1
    LN2_WEIGHT = 2
    LN2_BIAS = 3
    MIX_R = 4
    MIX_K = 5
    MIX_V = 6
    MIX_W = 7
    MIX_A = 8
    MIX_G = 9
    DECAY = 10
    RATE = 11
    VALUE = 12
    KEY_UNIT = 13
    KEY_RATE = 14
    BONUS = 15
    HEAD_WEIGHT = 16
    HEAD_BIAS = 17
    MIX_FFN = 18


_NAMES = {
    Vector.LN1_WEIGHT: "ln1.weight",
    Vector.LN1_BIAS: "ln1.bias",
    Vector.LN2_WEIGHT: "ln2.weight",
    Vector.LN2_BIAS: "ln2.bias",
    Vector.MIX_R: "att.x_r",
    Vector.MIX_K: "att.x_k",
    Vector.MIX_V: "att.x_v",
    Vector.MIX_W: "att.x_w",
    Vector.MIX_A: "att.x_a",
    Vector.MIX_G: "att.x_g",
    Vector.DECAY: "att.w0",
    Vector.RATE: "att.a0",
    Vector.VALUE: "att.v0",
    Vector.KEY_UNIT: "att.k_k",
    Vector.KEY_RATE: "att.k_a",
    Vector.BONUS: "att.r_k",
    Vector.HEAD_WEIGHT: "att.ln_x.weight",
    Vector.HEAD_BIAS: "att.ln_x.bias",
    Vector.MIX_FFN: "ffn.x_k",
}

LOW_RANK = "wavg"
"""Order of the low-rank pairs in `Packed.down` and `Packed.up`: decay, rate, value, gate."""


class Packed(NamedTuple):
    """All weights in float32."""

    embed: Float
    """``[V, C]``, already normed by ``ln0``."""
    vectors: Float
    """``[L, len(Vector), C]``"""
    rkv: Float
    """``[L, 3, C, C]``: receptance, key, value."""
    down: Float
    """``[L, D, C]``: inputs to low ranks."""
    up: Float
    """``[L, C, D]``: low ranks to channels. The first layer's value part is zero."""
    output: Float
    """``[L, C, C]``"""
    ffn_key: Float
    """``[L, F, C]``"""
    ffn_value: Float
    """``[L, C, F]``"""
    norm_out: Float
    """``[2, C]``: weight and bias of the last norm."""
    head: Float
    """``[V, C]``"""

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self)


def ranks(sizes: Sizes) -> tuple[int, int, int, int]:
    """Widths of the low-rank parts in the order of `LOW_RANK`; they add up to D."""
    return sizes.decay_rank, sizes.iclr_rank, sizes.value_rank, sizes.gate_rank


def layer_norm(x: Float, weight: Float, bias: Float, eps: float = LAYER_NORM_EPS) -> Float:
    """Layer norm over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    scale = 1 / np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(eps))
    normed: Float = centred * scale * weight + bias
    return normed


def pack(tensors: Mapping[str, Float], sizes: Sizes) -> Packed:
    """Stack the tensors of `architecture.tensors`."""
    layers, c, f = sizes.layers, sizes.embed, sizes.ffn
    depth = sum(ranks(sizes))
    vectors = np.zeros((layers, len(Vector), c), np.float32)
    rkv = np.empty((layers, 3, c, c), np.float32)
    down = np.zeros((layers, depth, c), np.float32)
    up = np.zeros((layers, c, depth), np.float32)
    output = np.empty((layers, c, c), np.float32)
    ffn_key = np.empty((layers, f, c), np.float32)
    ffn_value = np.empty((layers, c, f), np.float32)
    for layer in range(layers):
        block = f"blocks.{layer}."
        for row, name in _NAMES.items():
            if block + name in tensors:
                vectors[layer, row] = tensors[block + name].ravel()
        for i, name in enumerate(("receptance", "key", "value")):
            rkv[layer, i] = tensors[f"{block}att.{name}.weight"]
        start = 0
        for letter, rank in zip(LOW_RANK, ranks(sizes), strict=True):
            if f"{block}att.{letter}1" in tensors:
                down[layer, start : start + rank] = tensors[f"{block}att.{letter}1"].T
                up[layer, :, start : start + rank] = tensors[f"{block}att.{letter}2"].T
            start += rank
        output[layer] = tensors[f"{block}att.output.weight"]
        ffn_key[layer] = tensors[f"{block}ffn.key.weight"]
        ffn_value[layer] = tensors[f"{block}ffn.value.weight"]
    norm = tensors["blocks.0.ln0.weight"], tensors["blocks.0.ln0.bias"]
    return Packed(
        embed=layer_norm(tensors["emb.weight"], *norm),
        vectors=vectors,
        rkv=rkv,
        down=down,
        up=up,
        output=output,
        ffn_key=ffn_key,
        ffn_value=ffn_value,
        norm_out=np.stack((tensors["ln_out.weight"], tensors["ln_out.bias"])),
        head=np.ascontiguousarray(tensors["head.weight"]),
    )
