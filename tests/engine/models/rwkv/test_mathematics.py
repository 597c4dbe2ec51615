"""The compiled functions of one number against numpy in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numba import njit

from engine.models.rwkv import mathematics
from engine.models.rwkv.architecture import DECAY_SCALE

LINE = np.concatenate((np.linspace(-90, 90, 200_001), [0.0, -1e-30, 1e-30])).astype(np.float32)


def over(function: Callable[[float], float], x: np.ndarray) -> np.ndarray:
    @njit
    def each(x, out):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            out[i] = function(x[i])

    out = np.empty_like(x)
    each(x, out)
    return out


def test_exp() -> None:
    x = LINE[np.abs(LINE) <= 87]
    np.testing.assert_allclose(over(mathematics.exp, x), np.exp(x.astype(np.float64)), rtol=3e-7)


def test_exp_ends_where_float32_does() -> None:
    low, high = over(mathematics.exp, np.array([-1e30, 1e30], np.float32))
    assert 0 < low < 1e-37
    assert 1e38 < high < np.inf


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (mathematics.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
        (mathematics.tanh, np.tanh),
        (mathematics.decay, lambda x: np.exp(-DECAY_SCALE / (1 + np.exp(-x)))),
    ],
)
def test_curves_between_limits(
    function: Callable[[float], float], exact: Callable[[np.ndarray], np.ndarray]
) -> None:
    found = over(function, LINE)
    np.testing.assert_allclose(found, exact(LINE.astype(np.float64)), atol=3e-7, rtol=0)
