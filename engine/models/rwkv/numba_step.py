"""The fused RWKV-7 step, compiled by numba: one call makes all layers of a token.

Formulas as in `torch_model` (Peng et al., arXiv 2503.14456). A sequence gets the same bits alone
and in any batch. Nothing here starts a thread, and the interpreter lock is free for the whole call.

Importing this module imports numba; `engine.code_cache` says where the compiled code is kept.
"""
# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from engine import code_cache
from engine.models.rwkv.architecture import HEAD_NORM_EPS, LAYER_NORM_EPS, Sizes
from engine.models.rwkv.mathematics import ONE, OPTIONS, ZERO, decay, fast, norm, sigmoid, tanh
from engine.models.rwkv.matmul import activate, activations, matmul
from engine.models.rwkv.packed import Packed, Vector, ranks
from engine.models.rwkv.panels import Matrix, pack_panels, padded_rows
from engine.models.rwkv.state import State
from engine.models.rwkv.vectors import (
    WIDTH,
    floats,
    no_floats,
    prefetch,
    scaled,
    scaled_add,
    store_floats,
)

MATRICES, VECTORS = len(Matrix), len(Vector)
LAYER_EPS, HEAD_EPS = np.float32(LAYER_NORM_EPS), np.float32(HEAD_NORM_EPS)
SHORTEST = np.float32(1e-12)

# numba takes an IntEnum's member for the enum, not for a number that it can add to.
R, K, V = int(Matrix.R), int(Matrix.K), int(Matrix.V)
W_DOWN, A_DOWN = int(Matrix.W_DOWN), int(Matrix.A_DOWN)
V_DOWN, G_DOWN = int(Matrix.V_DOWN), int(Matrix.G_DOWN)
W_UP, A_UP, V_UP, G_UP = int(Matrix.W_UP), int(Matrix.A_UP), int(Matrix.V_UP), int(Matrix.G_UP)
OUTPUT, FFN_KEY = int(Matrix.OUTPUT), int(Matrix.FFN_KEY)
FFN_VALUE = int(Matrix.FFN_VALUE)
LN1, LN2, HEAD_NORM = int(Vector.LN1_WEIGHT), int(Vector.LN2_WEIGHT), int(Vector.HEAD_WEIGHT)
MIX_R, MIX_K, MIX_V = int(Vector.MIX_R), int(Vector.MIX_K), int(Vector.MIX_V)
MIX_W, MIX_A, MIX_G = int(Vector.MIX_W), int(Vector.MIX_A), int(Vector.MIX_G)
MIX_FFN, BONUS = int(Vector.MIX_FFN), int(Vector.BONUS)
DECAY_ROW, RATE_ROW, VALUE_ROW = int(Vector.DECAY), int(Vector.RATE), int(Vector.VALUE)
KEY_UNIT, KEY_RATE = int(Vector.KEY_UNIT), int(Vector.KEY_RATE)

# What `sizes` holds.
LAYERS, HEADS, HEAD, FFN, W_RANK, A_RANK, V_RANK, G_RANK = range(8)
WIDEST, PADDED_CHANNELS, PADDED_FFN, PADDED_RANK, PADDED_VOCAB, NUMBERS = range(8, 14)


class Activations(NamedTuple):
    """What a matrix product reads, for each sequence."""

    values: Any
    """``[B, widest]``, float32 or int16."""
    scales: Any
    """``[B]``"""
    row: Any
    """``[C]`` for one sequence, before it is scaled."""


class Scratch(NamedTuple):
    """Buffers of one call, ``[B, padded width]`` but for the last three."""

    to: Activations
    x: Any
    normed: Any
    r: Any
    k: Any
    v: Any
    w: Any
    a: Any
    g: Any
    first: Any
    low: Any
    hidden: Any
    y: Any
    unit: Any
    step: Any


@fast
def _mix(x, last, amounts, batch, to):
    """Activations of ``x + (last - x) * amounts`` for each sequence."""
    for b in range(batch):
        to.scales[b] = _mix_one(x[b], last[b], amounts, to.row, to.values[b])


@fast
def _mix_one(now, before, amounts, row, out):
    for i in range(row.shape[0]):
        row[i] = now[i] + (before[i] - now[i]) * amounts[i]
    return activate(row, out)


@fast
def _up(weights, scales, place, low, rank, batch, to, out):
    """From a low rank ``[B, rank]`` back to the channels."""
    for b in range(batch):
        to.scales[b] = activate(low[b, :rank], to.values[b])
    matmul(weights, scales, place, to.values, to.scales, batch, out)


@fast
def _remember(matrix, r, w, k, v, unit, step, y):
    """Move the matrix S ``[N, N]`` (key x value) of one head by a token; y = r S.

    S becomes diag(w) S - step (unit S) + k v, where r, w, k, unit, step are columns over the keys.
    """
    width = r.shape[0]
    # Two vectors of values at a time: one would wait for its own sums.
    for i in range(0, width, 2 * WIDTH):
        seen, also_seen = no_floats(), no_floats()
        for j in range(width):
            p = j * width + i
            seen = scaled_add(floats(matrix, p), unit[j], seen)
            also_seen = scaled_add(floats(matrix, p + WIDTH), unit[j], also_seen)
        value, out = floats(v, i), no_floats()
        also_value, also_out = floats(v, i + WIDTH), no_floats()
        for j in range(width):
            p, keep, key, back, read = j * width + i, w[j], k[j], -step[j], r[j]
            now = scaled_add(seen, back, scaled(floats(matrix, p), keep))
            now = scaled_add(value, key, now)
            also_now = scaled_add(also_seen, back, scaled(floats(matrix, p + WIDTH), keep))
            also_now = scaled_add(also_value, key, also_now)
            prefetch(matrix, p + width * width)
            prefetch(matrix, p + WIDTH + width * width)
            store_floats(now, matrix, p)
            store_floats(also_now, matrix, p + WIDTH)
            out = scaled_add(now, read, out)
            also_out = scaled_add(also_now, read, also_out)
        store_floats(out, y, i)
        store_floats(also_out, y, i + WIDTH)


@fast
def _keys(k, rate, unit_amount, rate_amount, unit, step):
    """The unit key, what it steps by and the key itself (in place), each of one head."""
    length = ZERO
    for i in range(k.shape[0]):
        unit[i] = k[i] * unit_amount[i]
        length += unit[i] * unit[i]
    factor = ONE / max(np.sqrt(length), SHORTEST)
    for i in range(k.shape[0]):
        unit[i] *= factor
        step[i] = unit[i] * rate[i]
        k[i] *= ONE + (rate[i] - ONE) * rate_amount[i]


@fast
def _bonus(y, r, k, amount, v, gate):
    """Add what the token says by itself, and gate; ``y`` is changed in place, for one head."""
    share = ZERO
    for i in range(y.shape[0]):
        share += r[i] * k[i] * amount[i]
    for i in range(y.shape[0]):
        y[i] = (y[i] + share * v[i]) * gate[i]


@fast
def _time_mix(layer, weights, scales, places, vectors, sizes, last, wkv, s):
    """Add the recurrent half of a layer to ``s.x``; moves ``last`` and ``wkv``."""
    batch, heads, width, to = wkv.shape[0], sizes[HEADS], sizes[HEAD], s.to
    channels = heads * width
    w_rank, a_rank, v_rank, g_rank = sizes[W_RANK], sizes[A_RANK], sizes[V_RANK], sizes[G_RANK]
    x = s.normed
    for b in range(batch):
        norm(s.x[b], vectors[LN1], vectors[LN1 + 1], LAYER_EPS, x[b])

    _mix(x, last, vectors[MIX_R], batch, to)
    matmul(weights, scales, places[R], to.values, to.scales, batch, s.r)
    _mix(x, last, vectors[MIX_K], batch, to)
    matmul(weights, scales, places[K], to.values, to.scales, batch, s.k)
    _mix(x, last, vectors[MIX_V], batch, to)
    matmul(weights, scales, places[V], to.values, to.scales, batch, s.v)
    if layer == 0:
        _copy(s.v, s.first, batch)
    else:
        matmul(weights, scales, places[V_DOWN], to.values, to.scales, batch, s.low)
        _up(weights, scales, places[V_UP], s.low, v_rank, batch, to, s.w)
        for b in range(batch):
            v, first, blend, base = s.v[b], s.first[b], s.w[b], vectors[VALUE_ROW]
            for i in range(channels):
                v[i] += (first[i] - v[i]) * sigmoid(base[i] + blend[i])

    _mix(x, last, vectors[MIX_W], batch, to)
    matmul(weights, scales, places[W_DOWN], to.values, to.scales, batch, s.low)
    for b in range(batch):
        low = s.low[b]
        for i in range(w_rank):
            low[i] = tanh(low[i])
    _up(weights, scales, places[W_UP], s.low, w_rank, batch, to, s.w)
    for b in range(batch):
        w, base = s.w[b], vectors[DECAY_ROW]
        for i in range(channels):
            w[i] = decay(base[i] + w[i])

    _mix(x, last, vectors[MIX_A], batch, to)
    matmul(weights, scales, places[A_DOWN], to.values, to.scales, batch, s.low)
    _up(weights, scales, places[A_UP], s.low, a_rank, batch, to, s.a)
    for b in range(batch):
        a, base = s.a[b], vectors[RATE_ROW]
        for i in range(channels):
            a[i] = sigmoid(base[i] + a[i])

    _mix(x, last, vectors[MIX_G], batch, to)
    matmul(weights, scales, places[G_DOWN], to.values, to.scales, batch, s.low)
    for b in range(batch):
        low = s.low[b]
        for i in range(g_rank):
            low[i] = sigmoid(low[i])
    _up(weights, scales, places[G_UP], s.low, g_rank, batch, to, s.g)

    _copy(x, last, batch)
    for b in range(batch):
        for h in range(heads):
            i, j = h * width, (h + 1) * width
            r, k, v, y = s.r[b, i:j], s.k[b, i:j], s.v[b, i:j], s.y[i:j]
            unit, step = s.unit, s.step
            _keys(k, s.a[b, i:j], vectors[KEY_UNIT, i:j], vectors[KEY_RATE, i:j], unit, step)
            _remember(wkv[b, h], r, s.w[b, i:j], k, v, unit, step, y)
            norm(y, vectors[HEAD_NORM, i:j], vectors[HEAD_NORM + 1, i:j], HEAD_EPS, y)
            _bonus(y, r, k, vectors[BONUS, i:j], v, s.g[b, i:j])
        to.scales[b] = activate(s.y, to.values[b])
    matmul(weights, scales, places[OUTPUT], to.values, to.scales, batch, s.w)
    _add(s.x, s.w, batch)


@fast
def _channel_mix(weights, scales, places, vectors, sizes, last, s):
    """Add the feed-forward half of a layer to ``s.x``; moves ``last``."""
    batch, to, x = last.shape[0], s.to, s.normed
    for b in range(batch):
        norm(s.x[b], vectors[LN2], vectors[LN2 + 1], LAYER_EPS, x[b])
    _mix(x, last, vectors[MIX_FFN], batch, to)
    matmul(weights, scales, places[FFN_KEY], to.values, to.scales, batch, s.hidden)
    _copy(x, last, batch)
    for b in range(batch):
        hidden = s.hidden[b, : sizes[FFN]]
        for i in range(hidden.shape[0]):
            positive = max(hidden[i], ZERO)
            hidden[i] = positive * positive
        to.scales[b] = activate(hidden, to.values[b])
    matmul(weights, scales, places[FFN_VALUE], to.values, to.scales, batch, s.w)
    _add(s.x, s.w, batch)


@fast
def _copy(x, out, batch):
    """``out = x`` for each sequence."""
    for b in range(batch):
        what, into = x[b], out[b]
        for i in range(into.shape[0]):
            into[i] = what[i]


@fast
def _add(x, more, batch):
    """``x += more`` for each sequence."""
    for b in range(batch):
        into, what = x[b], more[b]
        for i in range(into.shape[0]):
            into[i] += what[i]


def _advance(weights, scales, table, vectors, embed, sizes, shift, wkv, logits, tokens):
    """Advance the state by ``tokens`` ``[T, B]`` and write the logits of the last ones."""
    layers, channels = sizes[LAYERS], sizes[HEADS] * sizes[HEAD]
    length, batch = tokens.shape
    to = Activations(
        activations(weights, batch, sizes[WIDEST]),
        np.zeros(batch, np.float32),
        np.empty(channels, np.float32),
    )
    wide, head = sizes[PADDED_CHANNELS], sizes[HEAD]
    s = Scratch(
        to=to,
        x=np.zeros((batch, channels), np.float32),
        normed=np.zeros((batch, channels), np.float32),
        r=np.zeros((batch, wide), np.float32),
        k=np.zeros((batch, wide), np.float32),
        v=np.zeros((batch, wide), np.float32),
        w=np.zeros((batch, wide), np.float32),
        a=np.zeros((batch, wide), np.float32),
        g=np.zeros((batch, wide), np.float32),
        first=np.zeros((batch, wide), np.float32),
        low=np.zeros((batch, sizes[PADDED_RANK]), np.float32),
        hidden=np.zeros((batch, sizes[PADDED_FFN]), np.float32),
        y=np.empty(channels, np.float32),
        unit=np.empty(head, np.float32),
        step=np.empty(head, np.float32),
    )
    for t in range(length):
        for b in range(batch):
            s.x[b] = embed[tokens[t, b]]
        for layer in range(layers):
            places = table[layer * MATRICES : (layer + 1) * MATRICES]
            layer_vectors = vectors[layer * VECTORS : (layer + 1) * VECTORS]
            last = shift[layer]
            _time_mix(layer, weights, scales, places, layer_vectors, sizes, last[0], wkv[layer], s)
            _channel_mix(weights, scales, places, layer_vectors, sizes, last[1], s)

    norm_out = vectors[layers * VECTORS :]
    for b in range(batch):
        norm(s.x[b], norm_out[0], norm_out[1], LAYER_EPS, s.normed[b])
        to.scales[b] = activate(s.normed[b], to.values[b])
    out = np.empty((batch, sizes[PADDED_VOCAB]), np.float32)
    matmul(weights, scales, table[layers * MATRICES], to.values, to.scales, batch, out)
    for b in range(batch):
        logits[b] = out[b, : logits.shape[1]]


@lru_cache
def compiled(precision: str) -> Any:
    """The step for ``int8`` or ``float32``, out of the cache on disk or compiled now."""
    real, whole, kind = types.float32, types.int64, getattr(types, precision)
    arrays = ((kind, 1), (real, 1), (whole, 2), (real, 2), (real, 2), (whole, 1))
    state = ((real, 4), (real, 5), (real, 2))
    signature = types.void(
        *(types.Array(dtype, ndim, "C") for dtype, ndim in (*arrays, *state, (types.int32, 2)))
    )
    return code_cache.compiled(_advance, signature, **OPTIONS | {"_nrt": True})


class NumbaKernel:
    """A `Kernel` over ``int8`` or ``float32`` weights."""

    runtime = "numba"

    def __init__(self, weights: Packed, sizes: Sizes, precision: str) -> None:
        if sizes.head % (2 * WIDTH):
            raise ValueError(f"heads of {sizes.head} do not fill pairs of vectors of {WIDTH}")
        self.precision = precision
        panels = pack_panels(weights, sizes, precision)
        self.nbytes = panels.nbytes
        """Bytes of weights that a step reads."""
        self._advance = compiled(precision)
        self._arrays = (
            *panels,
            np.concatenate((weights.vectors.reshape(-1, sizes.embed), weights.norm_out)),
            weights.embed,
            _numbers(sizes),
        )

    def step(self, state: State, tokens: NDArray[np.int32]) -> None:
        """Advance each sequence by its token ``[B]`` and write its logits."""
        self._advance(*self._arrays, *state, tokens[None])

    def feed(self, state: State, tokens: NDArray[np.int32]) -> None:
        """Advance all sequences by ``tokens`` ``[T]``; logits of the last one only."""
        self._advance(*self._arrays, *state, np.repeat(tokens[:, None], len(state.logits), 1))


def _numbers(sizes: Sizes) -> NDArray[np.int64]:
    """``sizes`` as `_advance` wants them."""
    numbers = np.zeros(NUMBERS, np.int64)
    numbers[LAYERS], numbers[HEADS], numbers[HEAD] = sizes.layers, sizes.heads, sizes.head
    numbers[FFN] = sizes.ffn
    numbers[W_RANK], numbers[A_RANK], numbers[V_RANK], numbers[G_RANK] = ranks(sizes)
    widest = max(sizes.embed, sizes.ffn, *ranks(sizes))
    numbers[WIDEST] = widest + widest % 2
    numbers[PADDED_CHANNELS] = padded_rows(sizes.embed)
    numbers[PADDED_FFN] = padded_rows(sizes.ffn)
    numbers[PADDED_RANK] = padded_rows(max(ranks(sizes)))
    numbers[PADDED_VOCAB] = padded_rows(sizes.vocab)
    return numbers
