"""The compiled draw against the plain one: the same token, bit by bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import draw
from engine.draw import Draw
from engine.sampling import Sampler

pytest.importorskip("numba")
from engine.draw_compiled import compiled

VOCABULARY = 160
FIRST = 40
"""The id of the first toll."""


@pytest.fixture(params=["numpy", "compiled"])
def way(request: pytest.FixtureRequest) -> Draw:
    return draw.draw if request.param == "numpy" else compiled()


@pytest.fixture
def fastest() -> Iterator[None]:
    """Puts back what was in use."""
    before = draw._fastest
    yield
    draw._fastest = before


def arrays(seed: int, spread: float, count: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    """Logits and some ids; with ``ties`` many logits are alike, and some tokens impossible."""
    random = np.random.default_rng(seed)
    logits = (random.normal(size=VOCABULARY) * spread).astype(np.float32)
    if ties:
        logits = np.rint(logits / 2).astype(np.float32)
        logits[random.random(VOCABULARY) < 0.1] = -np.inf
        logits[FIRST] = 0
    ids = np.sort(random.choice(VOCABULARY - FIRST, count, replace=False) + FIRST)
    ids[0] = FIRST
    return logits, ids.astype(np.int32)


@settings(max_examples=1000, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    spread=st.sampled_from([0.0, 0.01, 1.0, 4.0, 50.0, 1e28]),
    count=st.integers(1, VOCABULARY - FIRST),
    ties=st.booleans(),
    tolls=st.sampled_from([0, VOCABULARY - FIRST]),
    scale=st.sampled_from([0.0, 1e-3, 2.56e8]) | st.floats(1, 2000),
    top_p=st.just(1.0) | st.floats(0.01, 1),
    top_k=st.sampled_from([0, 1, 2]) | st.integers(0, VOCABULARY),
    word=st.sampled_from([0, 2**64 - 1, 2**32, 2**63]) | st.integers(0, 2**64 - 1),
)
def test_both_draw_the_same(
    seed: int,
    spread: float,
    count: int,
    ties: bool,
    tolls: int,
    scale: float,
    top_p: float,
    top_k: int,
    word: int,
) -> None:
    logits, ids = arrays(seed, spread, count, ties)
    toll = np.random.default_rng(seed).random(tolls).astype(np.float32)
    given = logits, ids, toll, FIRST, scale, top_p, top_k, word
    token = compiled()(*given)
    assert token == draw.draw(*given)
    assert token in ids


def test_both_choose_the_same_all_through_a_take(fastest: None) -> None:
    random = np.random.default_rng(2)
    rows = (random.normal(size=(600, VOCABULARY)) * 3).astype(np.float32)
    pitches, others = np.arange(40, 100, dtype=np.int32), np.arange(3, 30, dtype=np.int32)

    def line() -> list[int]:
        sampler = Sampler(5, 0.9, 0.93, 40, 1.3, window=20, variation=2, penalised=range(40, 100))
        return [
            sampler.choose(row, (pitches, others)[i % 3 == 0], (pitches[:2], rows[0, :2]))
            for i, row in enumerate(rows)
        ]

    draw._fastest = draw.draw
    plain = line()
    draw.use_compiled()
    assert draw.fastest() is compiled()
    assert line() == plain


@pytest.mark.parametrize("scale", [0.0, 256.0])
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_neither_draws_from_what_are_no_numbers(way: Draw, broken: float, scale: float) -> None:
    logits, ids = arrays(1, 1.0, 9, False)
    logits[ids[4]] = broken
    with pytest.raises(ValueError, match="finite"):
        way(logits, ids, logits[:0], 0, scale, 1.0, 0, 7)
    logits[:] = -np.inf
    with pytest.raises(ValueError, match="finite"):
        way(logits, ids, logits[:0], 0, scale, 1.0, 0, 7)


def test_neither_reads_beyond_the_logits(way: Draw) -> None:
    logits = np.zeros(8, dtype=np.float32)
    with pytest.raises(IndexError):
        way(logits, np.array([3, 8], dtype=np.int32), logits[:0], 0, 256.0, 1.0, 0, 7)


def test_neither_writes(way: Draw) -> None:
    logits, ids = arrays(1, 1.0, 9, False)
    toll = np.ones(VOCABULARY - FIRST, dtype=np.float32)
    for array in (logits, ids, toll):
        array.flags.writeable = False
    assert way(logits, ids, toll, FIRST, 256.0, 0.9, 0, 7) in ids
