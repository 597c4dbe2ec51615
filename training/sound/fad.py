"""How far two sets of sounds lie apart, by vectors of them: FAD and KAD, with their errors.

FAD is the Fréchet distance of two normal distributions (Kilgour et al., arXiv 1812.08466; Dowson
and Landau 1982), and its value at infinitely many samples (Gui et al., arXiv 2311.01616): with few
it is too large. KAD is the squared maximum mean discrepancy (Chung et al., arXiv 2502.15602;
Gretton et al., JMLR 13, 2012), whose unbiased estimate may be below 0. What kind of vectors they
are decides what a number means; numbers of different kinds can't be compared.

Samples are ``[n, D]``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError

Samples: TypeAlias = NDArray[np.float64]

GROUPS = 10
"""Parts of a set that are left out in turn, to see how much they decide."""

SIZES = 15
"""Numbers of samples that the value at infinity is told from."""

DRAWS = 4
"""Times that so many of the samples are drawn, to be less at the mercy of which they are."""

SURE = 1.96
"""Standard errors to each side that hold 95% of a normal distribution."""

SCALE = 100.0
"""KAD is the discrepancy times this, so that numbers are easy to read."""


class Estimate(NamedTuple):
    """A value, and between what it lies with 95% confidence."""

    value: float
    low: float
    high: float


class Normal(NamedTuple):
    """A normal distribution."""

    mean: Samples
    """``[D]``"""

    covariance: Samples
    """``[D, D]``"""

    @staticmethod
    def of(samples: Samples) -> Normal:
        """The one that fits some samples, two or more."""
        return Normal(samples.mean(0), np.atleast_2d(np.cov(samples, rowvar=False)))


def frechet(one: Normal, other: Normal) -> float:
    """The squared Fréchet (2-Wasserstein) distance of two normal distributions.

    ``|m1 - m2|² + tr(C1 + C2 - 2 (C1^½ C2 C1^½)^½)``, by eigenvalues, so never complex.
    """
    root = _root(one.covariance)
    inner = np.linalg.eigvalsh(root @ other.covariance @ root)
    shared = np.sqrt(np.maximum(inner, 0)).sum()
    apart = float(((one.mean - other.mean) ** 2).sum())
    return float(apart + np.trace(one.covariance) + np.trace(other.covariance) - 2 * shared)


def check_enough(samples: Samples, what: str) -> None:
    """Raise ``bad-arguments`` where a covariance of so few samples has no meaning: n < D + 1."""
    count, width = samples.shape
    if count < width + 1:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"{what} are {count} vectors of {width} numbers, and a distance of distributions needs "
            f"{width + 1} or more: take more clips, or --few to have a number all the same",
        )


def fad(reference: Samples, samples: Samples) -> float:
    """The Fréchet distance as it comes, which grows as samples get fewer."""
    return frechet(Normal.of(reference), Normal.of(samples))


def fad_infinity(reference: Samples, samples: Samples, seed: int = 0) -> Estimate:
    """What :func:`fad` would be of infinitely many ``samples``: a line in 1/n, at 0.

    Its confidence is that of a jackknife that leaves out a tenth of either set in turn.
    """

    def estimate(one: Samples, other: Samples) -> float:
        return _at_infinity(one, other, seed)

    return _jackknifed(estimate, reference, samples, seed)


def kad(reference: Samples, samples: Samples) -> Estimate:
    """The unbiased discrepancy times `SCALE`, with an RBF kernel as wide as `bandwidth`.

    Its confidence is that of a jackknife that leaves out one sample at a time. Raises
    ``bad-arguments`` for fewer than three samples.
    """
    if min(len(reference), len(samples)) < 3:
        raise SidemanError(Code.BAD_ARGUMENTS, "KAD needs three samples or more of each set")
    width = bandwidth(reference)
    own, others = _kernel(reference, reference, width), _kernel(samples, samples, width)
    across = _kernel(reference, samples, width)
    n, m = across.shape
    np.fill_diagonal(own, 0)
    np.fill_diagonal(others, 0)
    sums = own.sum(), others.sum(), across.sum()
    value = _discrepancy(*sums, n, m)
    # Leaving out sample i takes its row away: no matrix has to be made again.
    without = [
        _discrepancy(sums[0] - 2 * own.sum(1), sums[1], sums[2] - across.sum(1), n - 1, m),
        _discrepancy(sums[0], sums[1] - 2 * others.sum(1), sums[2] - across.sum(0), n, m - 1),
    ]
    variance = sum(
        (len(each) - 1) / len(each) * float(((each - each.mean()) ** 2).sum()) for each in without
    )
    return _estimate(SCALE * float(value), SCALE * variance**0.5)


def bandwidth(reference: Samples) -> float:
    """The median distance of two samples of the reference; 1 where they are all the same."""
    squares = _squares(reference, reference)[np.triu_indices(len(reference), 1)]
    return float(np.sqrt(np.median(squares))) or 1.0


def _at_infinity(reference: Samples, samples: Samples, seed: int) -> float:
    count = len(samples)
    least = max(2, min(samples.shape[1] + 1, count), count // 4)
    if least >= count:
        return fad(reference, samples)
    about = Normal.of(reference)
    random = np.random.default_rng(seed)
    sizes = np.repeat(np.unique(np.linspace(least, count, SIZES).astype(int)), DRAWS)
    values = [
        frechet(about, Normal.of(samples[random.choice(count, size, replace=False)]))
        for size in sizes
    ]
    return float(np.polyfit(1 / sizes, values, 1)[1])


def _jackknifed(
    estimate: Callable[[Samples, Samples], float],
    reference: Samples,
    samples: Samples,
    seed: int,
) -> Estimate:
    value = estimate(reference, samples)
    variance = 0.0
    for index, varied in enumerate((reference, samples)):
        groups = min(GROUPS, len(varied) // 2)
        if groups < 2:
            return Estimate(value, float("-inf"), float("inf"))
        order = np.random.default_rng([seed, index]).permutation(len(varied))
        found = []
        for group in range(groups):
            part = varied[np.delete(order, slice(group, None, groups))]
            found.append(estimate(*((part, samples) if index == 0 else (reference, part))))
        variance += (groups - 1) / groups * float(((found - np.mean(found)) ** 2).sum())
    return _estimate(value, variance**0.5)


def _estimate(value: float, error: float) -> Estimate:
    return Estimate(value, value - SURE * error, value + SURE * error)


def _discrepancy(
    own: float | Samples, others: float | Samples, across: float | Samples, n: int, m: int
) -> float | Samples:
    """The unbiased estimate from the sums of the kernel, diagonals left out."""
    return own / (n * (n - 1)) + others / (m * (m - 1)) - 2 * across / (n * m)


def _kernel(one: Samples, other: Samples, width: float) -> Samples:
    return np.asarray(np.exp(-_squares(one, other) / (2 * width**2)))


def _squares(one: Samples, other: Samples) -> Samples:
    """Squared distances ``[n, m]``."""
    found = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return np.maximum(found, 0)


def _root(matrix: Samples) -> Samples:
    """The symmetric root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
