"""Every runtime against the ``rwkv`` package: same weights, same tokens, same logits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.models.rwkv.family import FAMILY
from tests.support.rwkv_weights import SHIPPED, random_model, random_weights

LENGTH = 300

REFERENCE = """
import sys
import numpy as np, torch
from rwkv.model import RWKV
torch.set_num_threads(1)
folder = sys.argv[1]
weights = dict(np.load(folder + "/weights.npz"))
for letter in "012":  # wanted by the package, and not read
    weights["blocks.0.att.v" + letter] = weights["blocks.0.att.a" + letter]
torch.save({k: torch.from_numpy(v) for k, v in weights.items()}, folder + "/model.pth")
model = RWKV(model=folder + "/model", strategy="cpu fp32")
state, rows = None, []
for token in np.load(folder + "/tokens.npy").tolist():
    logits, state = model.forward([token], state)
    rows.append(logits.numpy().copy())
np.save(folder + "/logits.npy", np.stack(rows))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("parity") / "model", SHIPPED)


@pytest.fixture(scope="module")
def tokens() -> NDArray[np.int64]:
    return np.random.default_rng(1).integers(0, SHIPPED.vocab, LENGTH)


@pytest.fixture(scope="module")
def reference(
    tokens: NDArray[np.int64], tmp_path_factory: pytest.TempPathFactory
) -> NDArray[np.float32]:
    pytest.importorskip("rwkv")
    folder = tmp_path_factory.mktemp("reference")
    np.savez(folder / "weights.npz", **random_weights(SHIPPED))  # type: ignore[arg-type]
    np.save(folder / "tokens.npy", tokens)
    # Its own process: the package chooses RWKV-7 when it is imported, for the whole process.
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REFERENCE, str(folder)],
        env=os.environ | {"RWKV_V7_ON": "1", "RWKV_CUDA_ON": "0"},
        check=True,
        capture_output=True,
        timeout=240,
    )
    return np.load(folder / "logits.npy")


def logits_of(folder: Path, tokens: NDArray[np.int64], **how: str) -> NDArray[np.float32]:
    stream = FAMILY.load(folder, **how).open()
    return np.stack([stream.step([int(token)])[0].copy() for token in tokens])


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@pytest.mark.parametrize("runtime", ["numpy", "numba", "torch"])
def test_float32_equals_the_rwkv_package(
    folder: Path, tokens: NDArray[np.int64], reference: NDArray[np.float32], runtime: str
) -> None:
    if runtime == "torch":
        pytest.importorskip("torch")
    ours = logits_of(folder, tokens, runtime=runtime, precision="float32")
    assert reference.std() > 1, "weights that say nothing prove nothing"
    np.testing.assert_allclose(ours, reference, atol=1e-4, rtol=0)


def test_int8_stays_close(
    folder: Path, tokens: NDArray[np.int64], reference: NDArray[np.float32]
) -> None:
    ours = log_softmax(logits_of(folder, tokens, runtime="numba", precision="int8"))
    theirs = log_softmax(reference)
    divergence = (np.exp(theirs) * (theirs - ours)).sum(-1)
    # Measured: 2.3e-4 and 1.4e-3. int8 activations, or one scale a matrix, would be tenfold that.
    assert divergence.mean() < 5e-4
    assert divergence.max() < 5e-3
