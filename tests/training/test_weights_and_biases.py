"""Nothing goes to wandb but where a key is set."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from training.record import Record


@pytest.fixture
def wandb(monkeypatch):
    """A wandb that only notes what it is told."""
    told = []
    module = ModuleType("wandb")
    module.__spec__ = ModuleSpec("wandb", None)

    class Run:
        def log(self, values, step):
            told.append((step, values))

        def finish(self):
            told.append("finished")

    def init(**given):
        told.append(given)
        return Run()

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    return told


def keep(run):
    record = Record(run, {"rank": 4}, 0)
    record.line(3, 1.0, {"loss": 2.0})
    record.close()


def test_without_a_key_nothing_is_sent(wandb, tmp_path):
    keep(tmp_path / "run")
    assert wandb == []


def test_with_a_key_values_are_sent_under_the_runs_name(wandb, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    keep(tmp_path / "run")
    begun, line, end = wandb
    assert (begun["name"], begun["project"], begun["config"]) == ("run", "sideman", {"rank": 4})
    assert line == (3, {"loss": 2.0}) and end == "finished"
    assert "secret" not in str(wandb)
    keep(tmp_path / "run")
    assert wandb[3]["id"] == begun["id"]


def test_without_wandb_a_key_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("training.weights_and_biases.find_spec", lambda name: None)
    keep(tmp_path / "run")
    assert (tmp_path / "run" / "log.jsonl").is_file()
