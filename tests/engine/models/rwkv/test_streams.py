"""What `engine.models.base` promises of a stream, of every runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.models.base import Model
from engine.models.rwkv.family import FAMILY
from tests.support.rwkv_weights import SMALL, random_model

SAME_BITS = {"numba-int8", "numba-float32"}
"""Runtimes in which a sequence gets the same bits whatever its batch."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("streams") / "model", SMALL)


@pytest.fixture(
    scope="module", params=["numpy-float32", "numba-float32", "numba-int8", "torch-float32"]
)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param.startswith("torch"):
        pytest.importorskip("torch")
    return request.param


@pytest.fixture(scope="module")
def model(folder: Path, kind: str) -> Model:
    runtime, _, precision = kind.partition("-")
    return FAMILY.load(folder, runtime=runtime, precision=precision)


def some_tokens(count: int, seed: int = 3) -> list[int]:
    return np.random.default_rng(seed).integers(0, SMALL.vocab, count).tolist()


def assert_same(kind: str, left: np.ndarray, right: np.ndarray) -> None:
    if kind in SAME_BITS:
        np.testing.assert_array_equal(left, right)
    else:
        np.testing.assert_allclose(left, right, atol=2e-5, rtol=0)


def test_a_model_says_what_it_is(model: Model, kind: str) -> None:
    model.warm_up()
    assert f"{model.runtime}-{model.precision}" == kind
    assert model.vocab == SMALL.vocab
    assert model.info.name == "random"


def test_logits_are_zeros_before_the_first_token(model: Model) -> None:
    assert model.open(2).logits.shape == (2, SMALL.vocab)
    assert not model.open(2).logits.any()


def test_feeding_is_stepping(model: Model, kind: str) -> None:
    tokens = some_tokens(70)
    fed, stepped = model.open(), model.open()
    fed.feed(tokens)
    for token in tokens:
        stepped.step([token])
    assert_same(kind, fed.logits, stepped.logits)
    fed.feed([])
    assert_same(kind, fed.logits, stepped.logits)


def test_feeding_in_parts_is_feeding_at_once(model: Model, kind: str) -> None:
    tokens = some_tokens(50)
    whole, parts = model.open(), model.open()
    whole.feed(np.array(tokens, np.int32))
    parts.feed(tokens[:13])
    parts.feed(tokens[13:14])
    parts.feed(tokens[14:])
    assert_same(kind, whole.logits, parts.logits)


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 8, 9, 13])
def test_sequences_of_a_batch_do_not_hear_each_other(model: Model, kind: str, batch: int) -> None:
    context, columns = some_tokens(20), [some_tokens(12, seed) for seed in range(batch)]
    first = model.open()
    first.feed(context)
    together = first.fork(batch)
    for step in zip(*columns, strict=True):
        together.step(step)
    for b, column in enumerate(columns):
        alone = first.fork()
        for token in column:
            alone.step([token])
        assert_same(kind, together.logits[b], alone.logits[0])


def test_a_batch_is_fed_alike(model: Model, kind: str) -> None:
    tokens = some_tokens(15)
    alone, together = model.open(), model.open(3)
    alone.feed(tokens)
    together.feed(tokens)
    for row in together.logits:
        assert_same(kind, row, alone.logits[0])


@pytest.mark.parametrize("batch", [1, 3])
def test_a_restored_stream_plays_the_same_bits_again(model: Model, batch: int) -> None:
    stream = model.open(batch)
    stream.feed(some_tokens(30))
    here, logits = stream.snapshot(), stream.logits.copy()
    continuation = some_tokens(20, seed=9)

    def play() -> np.ndarray:
        return np.stack([stream.step([token] * batch).copy() for token in continuation])

    first = play()
    stream.restore(here)
    np.testing.assert_array_equal(stream.logits, logits)
    np.testing.assert_array_equal(play(), first)
    stream.restore(here)
    np.testing.assert_array_equal(play(), first)


def test_a_snapshot_of_one_is_restored_into_many(model: Model, kind: str) -> None:
    one, many = model.open(), model.open(3)
    one.feed(some_tokens(10))
    many.feed(some_tokens(7, seed=8))
    many.restore(one.snapshot())
    for row in many.step([5, 5, 5]):
        assert_same(kind, row, one.fork().step([5])[0])


def test_forks_leave_their_origin_alone(model: Model) -> None:
    stream = model.open()
    stream.feed(some_tokens(10))
    before = stream.logits.copy()
    fork = stream.fork(4)
    np.testing.assert_array_equal(fork.logits, np.repeat(before, 4, axis=0))
    fork.feed(some_tokens(10))
    np.testing.assert_array_equal(stream.logits, before)


def test_sequences_that_are_kept_go_on_as_before(model: Model, kind: str) -> None:
    first = model.open()
    first.feed(some_tokens(10))
    many = first.fork(6)
    alone = [first.fork() for _ in range(6)]

    def step(rows: list[int], token: int) -> None:
        many.step([(token + 3 * row) % SMALL.vocab for row in rows])
        for row in rows:
            alone[row].step([(token + 3 * row) % SMALL.vocab])

    def compare(rows: list[int]) -> None:
        assert many.logits.shape == (len(rows), SMALL.vocab)
        for logits, row in zip(many.logits, rows, strict=True):
            assert_same(kind, logits, alone[row].logits[0])

    step(list(range(6)), 7)
    many.keep([0, 2, 3, 4, 5])
    compare([0, 2, 3, 4, 5])
    step([0, 2, 3, 4, 5], 11)
    many.keep([4, 1])
    step([5, 2], 13)
    compare([5, 2])
    here = many.snapshot()
    step([5, 2], 17)
    before = many.logits.copy()
    many.restore(here)
    many.step([(17 + 3 * row) % SMALL.vocab for row in (5, 2)])
    np.testing.assert_array_equal(many.logits, before)
    many.keep([1])
    assert_same(kind, many.fork(2).logits[1], alone[2].logits[0])


@pytest.mark.parametrize("rows", [[], [2], [-1], [0, 1, 2]], ids=str)
def test_only_sequences_that_are_there_can_be_kept(model: Model, rows: list[int]) -> None:
    stream = model.open(2)
    with pytest.raises(ValueError, match="not rows of 2"):
        stream.keep(rows)
    assert stream.batch == 2


def test_snapshots_know_their_size(model: Model) -> None:
    s = SMALL
    numbers = s.layers * (2 * s.embed + s.embed * s.head) + s.vocab
    assert model.open().snapshot().nbytes == 4 * numbers
    assert model.open(3).snapshot().nbytes == 12 * numbers


def test_logits_cannot_be_written(model: Model) -> None:
    stream = model.open()
    for logits in (stream.logits, stream.step([1])):
        with pytest.raises(ValueError, match="read-only"):
            logits[0, 0] = 1


@pytest.mark.parametrize(
    "tokens", [[-1], [SMALL.vocab], [2**40], [0.5], [[1, 2]], [1, 2, SMALL.vocab]]
)
def test_what_is_no_token_moves_nothing(model: Model, tokens: list[int]) -> None:
    stream = model.open()
    stream.feed([1, 2, 3])
    before = stream.logits.copy()
    with pytest.raises(ValueError):
        stream.feed(tokens)
    with pytest.raises(ValueError):
        stream.step(tokens)
    np.testing.assert_array_equal(stream.logits, before)
    np.testing.assert_array_equal(stream.step([4]), stream_after(model, [1, 2, 3], 4))


def stream_after(model: Model, fed: list[int], token: int) -> np.ndarray:
    stream = model.open()
    stream.feed(fed)
    return stream.step([token])


def test_wrong_numbers_of_sequences_are_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="at least one"):
        model.open(0)
    with pytest.raises(ValueError, match="3 tokens for 2"):
        model.open(2).step([1, 2, 3])
    with pytest.raises(ValueError, match="forked"):
        model.open(2).fork(2)
    with pytest.raises(ValueError, match="2 sequences restored into 3"):
        model.open(3).restore(model.open(2).snapshot())


def test_another_models_snapshot_is_refused(model: Model, tmp_path: Path) -> None:
    import dataclasses

    other = random_model(tmp_path / "other", dataclasses.replace(SMALL, layers=1))
    snapshot = FAMILY.load(other, runtime="numpy").open().snapshot()
    with pytest.raises(ValueError, match="not of this model"):
        model.open().restore(snapshot)


def test_a_long_rest_stays_finite_and_fast(model: Model) -> None:
    """Two thousand equal tokens: states settle, and nothing overflows or becomes subnormal."""
    stream = model.open()
    stream.feed([7] * 2000)
    assert np.isfinite(stream.logits).all()
    settled = stream.logits.copy()
    stream.step([7])
    np.testing.assert_allclose(stream.logits, settled, atol=1e-2)
