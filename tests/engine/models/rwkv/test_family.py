"""Loading: what is picked where nobody says, what is imported, and taking over while it plays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import code_cache as cache
from engine.errors import Code, SidemanError
from engine.models import registry
from engine.models.rwkv import compile, family
from engine.models.rwkv.family import FAMILY, RwkvModel
from engine.models.rwkv.precision import default_precision
from tests.support.rwkv_weights import SMALL, random_info, random_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("family") / "model", SMALL)


def in_new_process(code: str, **environment: str) -> Any:
    """What ``code`` prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", "import json, sys\nfrom pathlib import Path\n" + code],
        env=os.environ | environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def test_the_family_is_light_until_a_runtime_is_asked_for(folder: Path) -> None:
    heavy = in_new_process(
        f"""
from engine.models.registry import family
model = family("rwkv").load(Path({str(folder)!r}), runtime="numpy")
model.open(2).step([1, 2])
print(json.dumps([name for name in ("numba", "torch", "miditok") if name in sys.modules]))"""
    )
    assert heavy == []


@pytest.mark.parametrize(
    ("metrics", "precision"),
    [
        ({}, "float32"),
        ({"int8_loss_increase": 0.0003}, "int8"),
        ({"int8_loss_increase": -0.001}, "int8"),
        ({"int8_loss_increase": 0.005}, "int8"),
        ({"int8_loss_increase": 0.0051}, "float32"),
        ({"int8_loss_increase": 0}, "int8"),
        ({"int8_loss_increase": "0"}, "float32"),
        ({"int8_loss_increase": None}, "float32"),
        ({"int8_loss_increase": False}, "float32"),
        ({"int8_loss_increase": float("nan")}, "float32"),
    ],
)
def test_int8_is_the_default_only_where_it_was_measured_to_be_good(
    metrics: dict[str, Any], precision: str
) -> None:
    assert default_precision(random_info(SMALL, metrics=metrics)) == precision


def test_auto_takes_the_models_own_precision(tmp_path: Path) -> None:
    random_model(tmp_path, SMALL, metrics={"int8_loss_increase": 0.001})
    assert FAMILY.load(tmp_path, runtime="numba").precision == "int8"
    assert FAMILY.load(tmp_path, runtime="numba", precision="float32").precision == "float32"


def test_numpy_plays_until_the_compiled_step_takes_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family, "ready", lambda precision: False)
    monkeypatch.setattr(RwkvModel, "prepare", lambda *arguments: None)
    model = FAMILY.load(folder)
    assert isinstance(model, RwkvModel)
    assert model.runtime == "numpy"
    stream = model.open()
    stream.feed([1, 2, 3])
    take = stream.fork(2)
    take.step([4, 5])

    compiled = FAMILY.load(folder, runtime="numba")
    assert isinstance(compiled, RwkvModel)
    model._kernel = compiled._kernel
    assert model.runtime == "numba"
    assert take._kernel.runtime == "numpy", "a take ends as it began"
    take.step([6, 7])
    assert take._kernel.runtime == "numpy"
    assert stream.fork()._kernel.runtime == "numba"
    stream.feed([4])
    assert stream._kernel.runtime == "numba"


def test_compiling_goes_on_in_the_background(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(family, "ready", lambda precision: False)
    monkeypatch.setattr(family, "background", lambda precision: asked.append(precision) or "")
    model = FAMILY.load(folder)
    model.warm_up()
    assert asked == ["float32"]
    assert model.runtime == "numba"


@pytest.mark.parametrize("fault", ["says", "raises"])
def test_what_cannot_be_compiled_is_played_in_numpy(
    folder: Path, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def background(precision: str) -> str:
        if fault == "raises":
            raise OSError("no room on the device")
        return "no room on the device"

    monkeypatch.setattr(family, "ready", lambda precision: False)
    monkeypatch.setattr(family, "background", background)
    model = FAMILY.load(folder)
    model.warm_up()
    assert model.runtime == "numpy"
    assert "no room on the device" in caplog.text
    assert "plays on slowly" in caplog.text


def test_without_numba_it_plays_in_numpy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "find_spec", lambda name: None)
    model = FAMILY.load(folder)
    model.warm_up()
    assert (model.runtime, model.precision) == ("numpy", "float32")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"device": "tpu"}, "device is one of cpu, cuda"),
        ({"precision": "int4"}, "precision is one of"),
        ({"runtime": "abacus"}, "runtime is one of"),
        ({"runtime": "torch", "precision": "int8"}, "int8 is for the cpu"),
    ],
)
def test_what_there_is_not(folder: Path, how: dict[str, str], says: str) -> None:
    if "torch" in how.values():
        pytest.importorskip("torch")
    with pytest.raises(SidemanError, match=says) as caught:
        FAMILY.load(folder, **how)
    assert caught.value.code is Code.BAD_ARGUMENTS


def test_cuda_where_there_is_none(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(SidemanError, match="no CUDA device"):
        registry.load(folder, device="cuda")


def test_torch_lends_buffers_on(folder: Path) -> None:
    pytest.importorskip("torch")
    model: Any = FAMILY.load(folder, runtime="torch")
    first = model.open(2)
    first.feed([1, 2])
    slot = first._slot
    del first
    second, third = model.open(2), model.open(2)
    assert second._slot is slot
    assert third._slot is not slot
    assert not second.logits.any()
    assert not second.snapshot().wkv.any()


def test_the_cache_is_found_by_what_it_was_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    cache.cache_folder.cache_clear()
    try:
        folder = cache.cache_folder()
        assert folder is not None
        assert folder.parent == tmp_path
        assert not cache.ready("int8")
        cache.mark_ready("int8")
        assert cache.ready("int8")
        assert not cache.ready("float32")
        assert compile.background("int8") == "", "nothing to do, and so no process"
        monkeypatch.setattr(cache, "SOURCES", cache.SOURCES[:-1])
        cache.cache_folder.cache_clear()
        assert cache.cache_folder() != folder
        assert not cache.ready("int8")
    finally:
        cache.cache_folder.cache_clear()


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    cache.cache_folder.cache_clear()
    try:
        assert cache.cache_folder() is None
        assert not cache.ready("int8")
        cache.mark_ready("int8")
        assert compile.background("int8") == ""
    finally:
        cache.cache_folder.cache_clear()


@pytest.mark.slow
def test_a_cold_start_compiles_once(folder: Path, tmp_path: Path) -> None:
    """By real processes: the first plays in numpy and compiles, the second finds it done."""
    code = f"""
from engine.models.registry import load
model = load(Path({str(folder)!r}))
before = model.runtime
model.warm_up()
print(json.dumps([before, model.runtime]))"""
    assert in_new_process(code, NUMBA_CACHE_DIR=str(tmp_path)) == ["numpy", "numba"]
    assert in_new_process(code, NUMBA_CACHE_DIR=str(tmp_path)) == ["numba", "numba"]
