"""The command that makes the model that ships."""

from dataclasses import replace

from engine.models import registry
from engine.models.folder import read_info
from training import build
from training.config import Shape, TrainConfig
from training.evaluate.players import ALONE
from training.train_midi import train

SMALL = Shape(1, 64, 64, 64, 4, 4, 4, 4)


def make(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["build", *map(str, words)])
    build.main()


def test_the_model_has_its_gate_and_both_kinds_of_figures(token_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("training.recall.EXAMPLES", 1000)
    config = TrainConfig(token_folder, tmp_path / "run", shape=SMALL, steps=2, lanes=2, ctx=32)
    run = train(replace(config, sample_bars=0, device="cpu"))
    make(monkeypatch, "model", token_folder, run, tmp_path / "model")
    info = read_info(tmp_path / "model")
    assert info.recall is not None
    registry.load(tmp_path / "model", precision="float32")
    for name in ("bands", "foreign"):
        entry = info.metrics["heldout"][name]
        assert entry["bits_per_note"] < entry[ALONE]["bits_per_note"]
    make(monkeypatch, "model", token_folder, run, tmp_path / "plain", "--no-recall")
    plain = read_info(tmp_path / "plain")
    assert plain.recall is None
    assert ALONE not in plain.metrics["heldout"]["bands"]
