"""One RWKV-4 step in plain numpy, one token for B sequences at a time.

Formulas of Peng et al., arXiv 2305.13048, appendix on the recurrent form: the sums of keys and
values are kept relative to their largest exponent, so that nothing overflows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.models.rwkv.numpy_step import sigmoid
from engine.models.rwkv.packed import Float, layer_norm
from engine.models.rwkv.state import State
from engine.models.rwkv4.architecture import Sizes
from engine.models.rwkv4.state import LARGEST, VALUES, WEIGHTS


class NumpyKernel:
    """Steps over float32 weights."""

    runtime = "numpy"
    precision = "float32"

    def __init__(self, weights: Mapping[str, Float], sizes: Sizes) -> None:
        self._weights = weights
        self._layers = range(sizes.layers)
        # What every token begins with: its embedding, normed once for all.
        self._embed = self._norm(weights["emb.weight"], "blocks.0.ln0")
        self._decay = [-np.exp(weights[f"blocks.{i}.att.time_decay"]) for i in self._layers]
        self.nbytes = sum(array.nbytes for array in weights.values()) - self._embed.nbytes

    def step(self, state: State, tokens: NDArray[np.int32]) -> None:
        """Advance each sequence by its token ``[B]`` and write its logits."""
        self._head(self._blocks(state, tokens), state)

    def feed(self, state: State, tokens: NDArray[np.int32]) -> None:
        """Advance all sequences by ``tokens`` ``[T]``, T > 0; logits of the last one only."""
        for token in tokens:
            x = self._blocks(state, np.full(len(state.logits), token))
        self._head(x, state)

    def _norm(self, x: Float, name: str) -> Float:
        return layer_norm(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _head(self, x: Float, state: State) -> None:
        state.logits[:] = self._norm(x, "ln_out") @ self._weights["head.weight"].T

    def _blocks(self, state: State, tokens: NDArray[np.int32]) -> Float:
        """Tokens ``[B]`` to what comes out of the last layer ``[B, C]``."""
        x: Float = self._embed[tokens]
        for layer in self._layers:
            x += self._time_mix(layer, self._norm(x, f"blocks.{layer}.ln1"), state)
            x += self._channel_mix(layer, self._norm(x, f"blocks.{layer}.ln2"), state)
        return x

    def _project(self, name: str, which: str, x: Float, before: Float, mix: str) -> Float:
        """A matrix times the mix of a token's input and that of the token before."""
        share = self._weights[f"{name}.time_mix_{mix}"]
        y: Float = (before + (x - before) * share) @ self._weights[f"{name}.{which}.weight"].T
        return y

    def _time_mix(self, layer: int, x: Float, state: State) -> Float:
        name = f"blocks.{layer}.att"
        before = state.shift[layer, 0].copy()
        state.shift[layer, 0] = x
        key = self._project(name, "key", x, before, "k")
        value = self._project(name, "value", x, before, "v")
        gate = sigmoid(self._project(name, "receptance", x, before, "r"))

        sums = state.wkv[layer]
        values, weights, largest = sums[:, VALUES], sums[:, WEIGHTS], sums[:, LARGEST]
        now = key + self._weights[f"{name}.time_first"]
        top = np.maximum(largest, now)
        past, here = np.exp(largest - top), np.exp(now - top)
        mean = (past * values + here * value) / (past * weights + here)

        faded = largest + self._decay[layer]
        top = np.maximum(faded, key)
        past, here = np.exp(faded - top), np.exp(key - top)
        sums[:, VALUES] = past * values + here * value
        sums[:, WEIGHTS] = past * weights + here
        sums[:, LARGEST] = top
        out: Float = (gate * mean) @ self._weights[f"{name}.output.weight"].T
        return out

    def _channel_mix(self, layer: int, x: Float, state: State) -> Float:
        name = f"blocks.{layer}.ffn"
        before = state.shift[layer, 1].copy()
        state.shift[layer, 1] = x
        hidden = np.maximum(self._project(name, "key", x, before, "k"), 0)
        gate = sigmoid(self._project(name, "receptance", x, before, "r"))
        out: Float = np.square(hidden) @ self._weights[f"{name}.value.weight"].T
        out *= gate
        return out
