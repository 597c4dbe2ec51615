"""Names of models and the folders behind them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import Code, SidemanError
from engine.models import store


def model(folder: Path, date: str = "2026-01-01", kind: str = "midi") -> Path:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(
        json.dumps(
            {
                "format": 1,
                "name": folder.name,
                "family": "rwkv",
                "kind": kind,
                "architecture": "rwkv7",
                "sizes": {},
                "weights": {"file": "weights.safetensors", "sha256": "0" * 64},
                "licence": "CC0-1.0",
                "date": date,
            }
        )
    )
    return folder


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "shipped_folder", lambda: tmp_path / "shipped")
    return tmp_path / "shipped"


def test_default_is_the_newest_shipped_midi_model(shipped: Path) -> None:
    model(shipped / "old", "2026-01-01")
    model(shipped / "new", "2026-06-01")
    model(shipped / "sound", "2026-09-01", kind="audio")
    model(store.user_folder() / "mine", "2027-01-01")
    assert store.find("default") == shipped / "new"
    assert store.names() == ["mine", "new", "old", "sound"]


def test_the_users_model_comes_first(shipped: Path) -> None:
    model(shipped / "band")
    mine = model(store.user_folder() / "band")
    assert store.find("band") == mine
    assert not store.entry(mine).shipped
    assert store.entry(shipped / "band").shipped
    assert store.entry(mine).size_bytes == (mine / "model.json").stat().st_size


def test_unknown_models_name_the_nearest(shipped: Path) -> None:
    with pytest.raises(SidemanError, match="none is installed"):
        store.find("band")
    model(shipped / "band")
    with pytest.raises(SidemanError, match="the nearest is 'band'") as caught:
        store.find("bond")
    assert caught.value.code is Code.UNKNOWN_MODEL


def test_only_the_command_line_may_give_a_path(shipped: Path, tmp_path: Path) -> None:
    model(shipped / "band")
    elsewhere = model(tmp_path / "elsewhere")
    assert store.resolve(str(elsewhere)) == elsewhere
    assert store.resolve("band") == shipped / "band"
    for name in (str(elsewhere), "../elsewhere", "band/../../elsewhere", ""):
        with pytest.raises(SidemanError):
            store.find(name)
    with pytest.raises(SidemanError):
        store.resolve(str(tmp_path / "nothing"))
