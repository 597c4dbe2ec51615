import json

import pytest
import torch

from training.data import Augment, TokenSet
from training.evaluate import score_piece
from training.export import load_checkpoint
from training.train_midi import Shape, TrainConfig, Trainer, train

SMALL = Shape(layers=2, embed=64, ffn=128, decay_rank=4, iclr_rank=4, value_rank=4, gate_rank=8)


def config(token_folder, tmp_path, **changes):
    fields = {
        "shape": SMALL,
        "lanes": 2,
        "ctx": 64,
        "steps": 40,
        "rate": 5e-3,
        "warmup": 5,
        "augment": Augment(transpose=False, thin=0.0),
        "compile": False,
        "heldout_tokens": 100,
    }
    return TrainConfig(token_folder, tmp_path / "run", **{**fields, **changes})


def test_a_run_learns_and_says_so(token_folder, tmp_path):
    folder = train(config(token_folder, tmp_path))
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] < 6.5
    assert lines[-1]["heldout/bands"] < 6
    run = json.loads((folder / "run.json").read_text())
    assert (run["status"], run["step"], run["tokens"]) == ("completed", 40, 40 * 2 * 64)
    assert list(folder.glob("events.out.tfevents*"))


def test_a_run_goes_on_where_it_was_stopped(token_folder, tmp_path):
    first = Trainer(config(token_folder, tmp_path, steps=6))
    first.train()
    again = Trainer(config(token_folder, tmp_path, steps=9))
    assert again.step == 6
    for before, after in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(before, after)
    again.train()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["step"] == 9


def test_a_failed_run_says_why(token_folder, tmp_path, monkeypatch):
    trainer = Trainer(config(token_folder, tmp_path))
    monkeypatch.setattr(trainer, "_one_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["status"] == "failed"
    assert "ZeroDivisionError" in run["error"]


def test_the_schedule_in_time_ends_annealed(token_folder, tmp_path):
    trainer = Trainer(config(token_folder, tmp_path, minutes=10.0, steps=None, warmup=1))
    trainer.seconds = 0.0
    assert trainer._rate() == pytest.approx(5e-3)
    trainer.seconds = 600.0
    assert trainer.progress == 1
    assert trainer._rate() == pytest.approx(0.05 * 5e-3)


def test_a_new_lane_forgets_what_the_old_one_heard(token_folder, tmp_path):
    """Where a lane starts anew, its state must be empty, and only there."""
    trainer = Trainer(config(token_folder, tmp_path))
    seen = []

    def compute(tokens, state):
        seen.append(state.wkv.abs().sum((0, 2, 3, 4)))
        return trainer.model(tokens, state)

    _, state = trainer._one_step(compute, trainer.model.zero_state(2))
    rows, _ = trainer.lanes.segment(64)
    trainer.lanes.segment = lambda length: (rows, torch.tensor([True, False]).numpy())
    trainer._one_step(compute, state)
    assert seen[1][0] == 0 and seen[1][1] > 0


def test_a_score_counts_every_token_once(token_folder, tmp_path):
    data = TokenSet(token_folder)
    train(config(token_folder, tmp_path, steps=2))
    model = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    piece = data.select("heldout")[0]
    whole = score_piece(model, data, piece)
    assert whole.tokens == piece.length
    assert whole.notes == piece.notes
    with torch.no_grad():
        body = torch.from_numpy(data.tokens(piece).astype("int64"))
        begun = torch.cat((torch.tensor([data.vocabulary.begin]), body))
        logits, _ = model(begun[None, :-1])
        bits = (
            torch.nn.functional.cross_entropy(logits[0], body, reduction="sum") / 0.6931471805599453
        )
    assert whole.bits == pytest.approx(bits.item(), rel=1e-4)
