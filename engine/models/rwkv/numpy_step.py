"""One RWKV-7 step in plain numpy: plays until a compiled runtime is ready, and says what is meant.

Formulas as in `torch_model` (Peng et al., arXiv 2503.14456), one token for B sequences at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.models.rwkv.architecture import DECAY_SCALE, HEAD_NORM_EPS, Sizes
from engine.models.rwkv.packed import Float, Packed, Vector, layer_norm, ranks
from engine.models.rwkv.state import State


def sigmoid(x: Float) -> Float:
    """The logistic function, without overflow on either side."""
    y: Float = np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * x))
    return y


class NumpyKernel:
    """A `Kernel` over float32 weights."""

    runtime = "numpy"
    precision = "float32"

    def __init__(self, weights: Packed, sizes: Sizes) -> None:
        self.nbytes = weights.nbytes - weights.embed.nbytes
        self._weights = weights
        self._sizes = sizes
        self._splits = np.cumsum(ranks(sizes))[:-1]

    def step(self, state: State, tokens: NDArray[np.int32]) -> None:
        """Advance each sequence by its token ``[B]`` and write its logits."""
        self._head(self._layers(state, tokens), state)

    def feed(self, state: State, tokens: NDArray[np.int32]) -> None:
        """Advance all sequences by ``tokens`` ``[T]``; logits of the last one only."""
        batch = len(state.logits)
        for token in tokens:
            x = self._layers(state, np.full(batch, token))
        self._head(x, state)

    def _head(self, x: Float, state: State) -> None:
        weights = self._weights
        state.logits[:] = layer_norm(x, *weights.norm_out) @ weights.head.T

    def _layers(self, state: State, tokens: NDArray[np.int32]) -> Float:
        """Tokens ``[B]`` to what comes out of the last layer ``[B, C]``."""
        x: Float = self._weights.embed[tokens]
        first_value = None
        for layer in range(self._sizes.layers):
            v = self._weights.vectors[layer]
            time_in = layer_norm(x, v[Vector.LN1_WEIGHT], v[Vector.LN1_BIAS])
            mixed, first_value = self._time_mix(layer, time_in, state, first_value)
            x += mixed
            channel_in = layer_norm(x, v[Vector.LN2_WEIGHT], v[Vector.LN2_BIAS])
            x += self._channel_mix(layer, channel_in, state)
        return x

    def _time_mix(
        self, layer: int, x: Float, state: State, first_value: Float | None
    ) -> tuple[Float, Float]:
        """``[B, C]`` in; out: the same, and the first layer's value. Moves S and the shift."""
        vector = self._weights.vectors[layer]
        shift = state.shift[layer, 0] - x
        state.shift[layer, 0] = x

        def mix(row: Vector) -> Float:
            mixed: Float = x + shift * vector[row]
            return mixed

        r, k, v = (
            mix(row) @ matrix.T
            for row, matrix in zip(
                (Vector.MIX_R, Vector.MIX_K, Vector.MIX_V), self._weights.rkv[layer], strict=True
            )
        )
        w_down, a_down, v_down, g_down = np.split(self._weights.down[layer], self._splits)
        w_up, a_up, v_up, g_up = np.split(self._weights.up[layer], self._splits, axis=1)
        w = vector[Vector.DECAY] + np.tanh(mix(Vector.MIX_W) @ w_down.T) @ w_up.T
        decay = np.exp(np.float32(-DECAY_SCALE) * sigmoid(w))
        rate = sigmoid(vector[Vector.RATE] + (mix(Vector.MIX_A) @ a_down.T) @ a_up.T)
        gate = sigmoid(mix(Vector.MIX_G) @ g_down.T) @ g_up.T
        if first_value is None:
            first_value = v
        else:
            blend = vector[Vector.VALUE] + (mix(Vector.MIX_V) @ v_down.T) @ v_up.T
            v = v + (first_value - v) * sigmoid(blend)

        def heads(y: Float) -> Float:
            return y.reshape(len(y), self._sizes.heads, self._sizes.head)

        unit = heads(k * vector[Vector.KEY_UNIT])
        length = np.sqrt((unit * unit).sum(-1, keepdims=True))
        unit = unit / np.maximum(length, np.float32(1e-12))
        k = heads(k * (1 + (rate - 1) * vector[Vector.KEY_RATE]))
        r, v_heads = heads(r), heads(v)

        matrices = state.wkv[layer]
        seen = unit[..., None, :] @ matrices
        matrices *= heads(decay)[..., None]
        matrices -= (unit * heads(rate))[..., None] * seen
        matrices += k[..., None] * v_heads[..., None, :]
        y = (r[..., None, :] @ matrices)[..., 0, :]

        y = layer_norm(
            y,
            heads(vector[None, Vector.HEAD_WEIGHT]),
            heads(vector[None, Vector.HEAD_BIAS]),
            HEAD_NORM_EPS,
        )
        y += (r * k * heads(vector[None, Vector.BONUS])).sum(-1, keepdims=True) * v_heads
        return (y.reshape(x.shape) * gate) @ self._weights.output[layer].T, first_value

    def _channel_mix(self, layer: int, x: Float, state: State) -> Float:
        mixed = x + (state.shift[layer, 1] - x) * self._weights.vectors[layer, Vector.MIX_FFN]
        state.shift[layer, 1] = x
        hidden = np.maximum(mixed @ self._weights.ffn_key[layer].T, 0)
        out: Float = hidden * hidden @ self._weights.ffn_value[layer].T
        return out
