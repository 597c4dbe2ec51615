"""Blocked products against numpy, for matrices and batches of any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.models.rwkv.mathematics import fast
from engine.models.rwkv.matmul import activate, matmul
from engine.models.rwkv.panels import INT8_MAX, pack_matrices, padded_rows

settings.register_profile("compiled", deadline=None, max_examples=40)
settings.load_profile("compiled")


@fast
def activate_row(x, out):  # type: ignore[no-untyped-def]
    return activate(x, out)


def multiply(matrix: np.ndarray, x: np.ndarray, precision: str) -> np.ndarray:
    """``x @ matrix.T`` by panels."""
    panels = pack_matrices([matrix], precision)
    batch, width = x.shape
    acts = np.zeros(
        (batch, width + width % 2), {"int8": np.int16, "float32": np.float32}[precision]
    )
    scales = np.zeros(batch, np.float32)
    for b in range(batch):
        scales[b] = activate_row(x[b], acts[b])
    out = np.full((batch, padded_rows(len(matrix))), np.nan, np.float32)
    matmul(panels.weights, panels.scales, panels.table[0], acts, scales, batch, out)
    return out[:, : len(matrix)]


shapes = st.tuples(st.integers(1, 13), st.integers(1, 150), st.integers(1, 90))


@given(shapes, st.integers(0, 99))
def test_float32(shape: tuple[int, int, int], seed: int) -> None:
    batch, rows, columns = shape
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, columns)).astype(np.float32)
    x = rng.normal(size=(batch, columns)).astype(np.float32)
    np.testing.assert_allclose(multiply(matrix, x, "float32"), x @ matrix.T, atol=1e-4)


@given(shapes, st.integers(0, 99))
def test_int8(shape: tuple[int, int, int], seed: int) -> None:
    batch, rows, columns = shape
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, columns)).astype(np.float32)
    x = rng.normal(size=(batch, columns)).astype(np.float32)
    # Half a step of each weight, and next to that nothing of the activations.
    steps = np.abs(matrix).max(1) / INT8_MAX
    bound = 0.51 * np.abs(x).sum(1)[:, None] * steps + 1e-5
    assert (np.abs(multiply(matrix, x, "int8") - x @ matrix.T) <= bound).all()


@pytest.mark.parametrize("columns", [64, 1024, 6144])
def test_the_largest_int8_sums_do_not_overflow(columns: int) -> None:
    matrix = np.ones((32, columns), np.float32)
    matrix[1] = -1
    x = np.full((1, columns), 1000, np.float32)
    out = multiply(matrix, x, "int8")[0]
    np.testing.assert_allclose(out, 1000 * columns * matrix[:, 0], rtol=1e-4)


@given(st.integers(2, 13), st.sampled_from(["int8", "float32"]))
def test_bits_do_not_depend_on_the_batch(batch: int, precision: str) -> None:
    rng = np.random.default_rng(batch)
    matrix = rng.normal(size=(100, 60)).astype(np.float32)
    x = rng.normal(size=(batch, 60)).astype(np.float32)
    together = multiply(matrix, x, precision)
    for b in range(batch):
        np.testing.assert_array_equal(together[b], multiply(matrix, x[b : b + 1], precision)[0])


@given(st.floats(0, 2.0**100, width=32), st.integers(1, 300))
def test_activations_keep_at_least_twelve_bits(size: float, count: int) -> None:
    x = np.linspace(-size, size, count).astype(np.float32)
    out = np.zeros(count, np.int16)
    scale = activate_row(x, out)
    np.testing.assert_allclose(out * scale, x, atol=max(size, 1e-30) / 2**12)


def test_silence_is_silence() -> None:
    out = multiply(np.ones((5, 6), np.float32), np.zeros((1, 6), np.float32), "int8")
    assert not out.any()
    out = multiply(np.zeros((5, 6), np.float32), np.ones((1, 6), np.float32), "int8")
    assert not out.any()
