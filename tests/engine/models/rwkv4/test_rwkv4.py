"""RWKV-4: the logits of the reference implementation, and the promises of a stream."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.errors import Code, SidemanError
from engine.models import registry
from engine.models.folder import ModelInfo, Weights, write_model
from engine.models.rwkv.state import RwkvStream
from engine.models.rwkv4.architecture import ARCHITECTURE, Sizes, tensors
from engine.models.rwkv4.family import Rwkv4Model

SMALL = Sizes(layers=3, embed=64, ffn=256, vocab=101)
TOKENS = np.random.default_rng(7).integers(0, SMALL.vocab, 60).tolist()


def random_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Of the scale that training gives them, so that every path carries signal."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in tensors(SMALL).items():
        kind = name.rpartition(".")[2]
        if kind.startswith("time_mix"):
            values = random.uniform(0, 1, shape)
        elif kind == "time_decay":
            values = random.uniform(-5, 3, shape)
        elif len(shape) == 1:
            values = (".ln" in name or name.startswith("ln")) * (kind == "weight") + random.normal(
                0, 0.3, shape
            )
        else:
            values = random.normal(0, 1.5 / np.sqrt(shape[1]), shape)
        weights[name] = values.astype(np.float32)
    return weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    info = ModelInfo(
        format=1,
        name="old",
        family="rwkv4",
        kind="midi",
        architecture=ARCHITECTURE,
        sizes=SMALL.to_json(),
        weights=Weights("weights.safetensors", ""),
    )
    write_model(tmp_path / "old", info, random_weights())
    return tmp_path / "old"


@pytest.fixture
def model(folder: Path) -> Rwkv4Model:
    loaded = registry.load(folder)
    assert isinstance(loaded, Rwkv4Model)
    return loaded


def walk(stream: RwkvStream, tokens: list[int]) -> np.ndarray:
    return np.concatenate([stream.step([token]).copy() for token in tokens])


def test_the_logits_are_the_reference_s(
    model: Rwkv4Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("RWKV_JIT_ON", "0")
    monkeypatch.setenv("RWKV_CUDA_ON", "0")
    monkeypatch.delenv("RWKV_V7_ON", raising=False)
    reference = pytest.importorskip("rwkv.model")
    table = {name: torch.from_numpy(array) for name, array in random_weights().items()}
    torch.save(table, tmp_path / "old.pth")
    if os.environ.get("RWKV_V7_ON") == "1":
        pytest.skip("the reference was loaded for RWKV-7")
    expected, state = reference.RWKV(str(tmp_path / "old"), "cpu fp32"), None
    stream = model.open()
    for token in TOKENS:
        logits, state = expected.forward([token], state)
        np.testing.assert_allclose(stream.step([token])[0], logits.numpy(), atol=1e-4, rtol=0)


def test_feeding_is_stepping(model: Rwkv4Model) -> None:
    fed, stepped = model.open(), model.open()
    fed.feed(TOKENS)
    np.testing.assert_array_equal(fed.logits, walk(stepped, TOKENS)[-1:])


def test_sequences_side_by_side_do_not_touch_each_other(model: Rwkv4Model) -> None:
    together = model.open(2)
    pairs = list(zip(TOKENS, reversed(TOKENS), strict=True))
    rows = np.stack([together.step(pair).copy() for pair in pairs])
    np.testing.assert_allclose(rows[:, 0], walk(model.open(), TOKENS), atol=1e-5)
    np.testing.assert_allclose(rows[:, 1], walk(model.open(), TOKENS[::-1]), atol=1e-5)


def test_snapshots_forks_and_rows(model: Rwkv4Model) -> None:
    stream = model.open()
    stream.feed(TOKENS[:10])
    snapshot = stream.snapshot()
    assert snapshot.nbytes == sum(array.nbytes for array in snapshot[:])
    onward = walk(stream, TOKENS[10:])
    stream.restore(snapshot)
    np.testing.assert_array_equal(walk(stream, TOKENS[10:]), onward)

    stream.restore(snapshot)
    forked = stream.fork(3)
    np.testing.assert_array_equal(forked.logits, np.repeat(stream.logits, 3, 0))
    forked.step([1, 2, 3])
    last = forked.logits[2].copy()
    forked.keep([2])
    np.testing.assert_array_equal(forked.logits, last[None])
    np.testing.assert_array_equal(stream.logits, snapshot.logits)


def test_what_a_stream_refuses(model: Rwkv4Model) -> None:
    stream = model.open(2)
    for wrong in ([1], [1, SMALL.vocab], [-1, 0]):
        with pytest.raises(ValueError):
            stream.step(wrong)
    for call in (lambda: stream.fork(), lambda: stream.keep([2]), lambda: model.open(0)):
        with pytest.raises(ValueError):
            call()
    with pytest.raises(ValueError, match="restored"):
        stream.restore(model.open(3).snapshot())
    with pytest.raises(ValueError, match="read-only"):
        stream.logits[0] = 1


def test_there_is_one_runtime(folder: Path) -> None:
    for wish in ({"device": "cuda"}, {"precision": "int8"}):
        with pytest.raises(SidemanError) as caught:
            registry.load(folder, **wish)
        assert caught.value.code is Code.BAD_ARGUMENTS
