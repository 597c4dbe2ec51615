"""Distances of sets of sounds against what mathematics says they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SidemanError
from training.sound.fad import (
    SCALE,
    Normal,
    bandwidth,
    check_enough,
    fad,
    fad_infinity,
    frechet,
    kad,
)


def normal(count: int, mean: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    return mean + deviation * np.random.default_rng(seed).standard_normal((count, len(mean)))


@given(
    st.lists(st.floats(0.1, 5), min_size=3, max_size=3),
    st.lists(st.floats(0.1, 5), min_size=3, max_size=3),
    st.lists(st.floats(-5, 5), min_size=3, max_size=3),
)
def test_of_diagonal_normals_the_distance_is_known(one, other, apart):
    first = Normal(np.zeros(3), np.diag(np.square(one)))
    second = Normal(np.array(apart), np.diag(np.square(other)))
    expected = np.square(apart).sum() + np.square(np.subtract(one, other)).sum()
    assert frechet(first, second) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_turning_both_sets_changes_nothing_and_neither_does_their_order():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(60, 5)) * (1, 2, 3, 4, 5), random.normal(size=(70, 5)) + 1
    turn, _ = np.linalg.qr(random.normal(size=(5, 5)))
    assert fad(one @ turn, other @ turn) == pytest.approx(fad(one, other))
    assert fad(other, one) == pytest.approx(fad(one, other))
    assert fad(one, one) == pytest.approx(0, abs=1e-9)


def test_covariances_that_do_not_commute():
    """The root in the formula, taken by eigenvectors of a matrix that is not symmetric."""
    random = np.random.default_rng(1)
    one, other = (np.cov(random.normal(size=(4, 9)) * 3) for _ in range(2))
    values = np.linalg.eigvals(one @ other)
    expected = np.trace(one) + np.trace(other) - 2 * np.sqrt(values.real).sum()
    assert frechet(Normal(np.zeros(4), one), Normal(np.zeros(4), other)) == pytest.approx(expected)


def test_at_infinity_the_excess_of_few_samples_is_gone():
    mean, width = np.full(12, 0.3), 12
    true = float((mean**2).sum())
    reference = normal(20_000, np.zeros(width), 1, 100)
    sets = [normal(240, mean, 1, seed) for seed in range(8)]
    plain = np.mean([fad(reference, samples) for samples in sets])
    found = [fad_infinity(reference, samples) for samples in sets]
    assert plain - true > 0.15
    assert abs(np.mean([each.value for each in found]) - true) < (plain - true) / 2
    assert sum(each.low < true < each.high for each in found) >= 6


def test_kad_of_normals_is_what_the_integral_says():
    width, first, second = 4, 1.0, 1.5
    mean = np.full(width, 0.5)
    one, other = normal(1500, np.zeros(width), first, 0), normal(1500, mean, second, 1)
    sigma = bandwidth(one)

    def expected(a: float, b: float, square: float) -> float:
        total = sigma**2 + a**2 + b**2
        return float((sigma**2 / total) ** (width / 2) * np.exp(-square / (2 * total)))

    true = SCALE * (
        expected(first, first, 0)
        + expected(second, second, 0)
        - 2 * expected(first, second, float((mean**2).sum()))
    )
    found = kad(one, other)
    assert found.value == pytest.approx(true, rel=0.1)
    assert found.low < true < found.high


def test_kad_is_unbiased_and_its_confidence_holds():
    """Of the same music it is 0 on average, and negative about as often as not."""
    found = [
        kad(normal(40, np.zeros(3), 1, 2 * n), normal(40, np.zeros(3), 1, 2 * n + 1))
        for n in range(60)
    ]
    values = [each.value for each in found]
    assert abs(np.mean(values)) < 4 * np.std(values) / len(values) ** 0.5
    assert 10 < sum(value < 0 for value in values) < 55
    apart = [
        kad(normal(60, np.zeros(3), 1, 2 * n), normal(60, np.ones(3), 1, 2 * n + 1))
        for n in range(40)
    ]
    true = np.mean([each.value for each in apart])
    inside = sum(each.low < true < each.high for each in apart)
    assert inside >= 32  # 95% of 40 are 38


def test_kad_by_leaving_out_is_what_it_is_without_that_sample():
    one, other = normal(20, np.zeros(2), 1, 0), normal(15, np.ones(2), 1, 1)
    error = (kad(one, other).high - kad(one, other).value) / 1.96
    width = bandwidth(one)

    def value(a: np.ndarray, b: np.ndarray) -> float:
        def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            squares = ((x[:, None] - y) ** 2).sum(-1)
            return np.exp(-squares / (2 * width**2))

        own, others = kernel(a, a), kernel(b, b)
        n, m = len(a), len(b)
        return SCALE * (
            (own.sum() - n) / (n * (n - 1))
            + (others.sum() - m) / (m * (m - 1))
            - 2 * kernel(a, b).mean()
        )

    assert kad(one, other).value == pytest.approx(value(one, other))
    variance = 0.0
    for varied in (0, 1):
        sets = [one, other]
        left = []
        for out in range(len(sets[varied])):
            parts = list(sets)
            parts[varied] = np.delete(sets[varied], out, axis=0)
            left.append(value(*parts))
        n = len(left)
        variance += (n - 1) / n * np.square(left - np.mean(left)).sum()
    assert error == pytest.approx(variance**0.5)


def test_too_few_samples_are_refused():
    check_enough(np.zeros((5, 4)), "they")
    with pytest.raises(SidemanError, match="4 vectors of 4 numbers"):
        check_enough(np.zeros((4, 4)), "they")
    with pytest.raises(SidemanError, match="three"):
        kad(np.zeros((2, 4)), np.zeros((9, 4)))
