import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from engine.errors import Code, SidemanError
from training import checkpoint, files, runs
from training.config import Shape, TrainConfig
from training.data import Augment, TokenSet
from training.record import read_log
from training.train_midi import Trainer, train

REPOSITORY = Path(__file__).parents[2]
SMALL = Shape(layers=2, embed=64, ffn=128, decay_rank=4, iclr_rank=4, value_rank=4, gate_rank=8)
PLAIN = Augment(transpose=False, thin=0.0)


@pytest.fixture
def config(token_folder, tmp_path):
    return TrainConfig(
        token_folder,
        tmp_path / "run",
        shape=SMALL,
        lanes=2,
        ctx=64,
        steps=40,
        rate=5e-3,
        warmup=5,
        augment=PLAIN,
        device="cpu",
        heldout_tokens=100,
        heldout_pieces=1,
        evaluations=2,
        look_every=1,
        sample_bars=0,
    )


def ledger(run):
    """What ``run.json`` says, as it stands in the file."""
    return json.loads((run / "run.json").read_text())


def weights(trainer):
    return torch.cat([weight.detach().flatten() for weight in trainer.weights.values()])


def test_a_run_learns_and_says_so(config):
    folder = train(config)
    lines = read_log(folder)
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] < 6.8
    assert lines[-1]["heldout/bands"] < lines[0]["heldout/bands"]
    run = ledger(folder)
    assert (run["status"], run["step"], run["tokens"]) == ("completed", 40, 40 * 2 * 64)
    assert run["heldout_after"] < run["heldout_before"]
    assert run["loss_last"] == losses[-1] and run["loss_first"] == losses[0]
    assert run["started"] < run["ended"] and run["error"] is None
    assert list(folder.glob("events.out.tfevents*"))


def test_a_batch_can_be_learned_by_heart(config):
    """Every parameter gets a gradient, and one batch is memorised."""
    trainer = Trainer(replace(config, steps=150, rate=1e-2, decay=0.0, ctx=32))
    batch = trainer.lanes.segment(32)
    trainer.lanes.segment = lambda length: (batch[0], np.ones(2, dtype=bool))
    reached = {name: torch.zeros(()) for name in trainer.weights}

    def watch(name):
        def note(weight):
            reached[name] += weight.grad.abs().sum()

        return note

    for name, weight in trainer.weights.items():
        weight.register_post_accumulate_grad_hook(watch(name))
    trainer.train()
    assert trainer.loss < 0.05
    dead = {name for name, total in reached.items() if total == 0}
    assert not dead


def test_a_run_goes_on_bit_for_bit(config):
    """Stopped in the middle of a schedule, between two lines of the log, with its dice rolling."""
    rolling = replace(config, augment=Augment(), epochs=1.2, steps=None, accumulate=2)
    whole = Trainer(replace(rolling, run=config.run / "whole"))
    whole.train()
    length = whole.step
    assert length > 8
    first = Trainer(replace(rolling, steps=7, run=config.run / "halves"))
    first.train()
    second = Trainer(replace(rolling, run=config.run / "halves"))
    assert second.step == 7
    second.train()
    assert second.step == length
    for name, weight in whole.weights.items():
        assert torch.equal(weight, second.weights[name]), name
        assert torch.equal(whole.averages.values[name], second.averages.values[name]), name
    for mine, other in zip(
        whole.optimizer.state.values(), second.optimizer.state.values(), strict=True
    ):
        assert all(torch.equal(mine[key], other[key]) for key in mine)
    assert torch.equal(whole.state.wkv, second.state.wkv)
    assert whole.lanes.state() == second.lanes.state()


def test_accumulated_batches_are_one_large_batch(config):
    large = Trainer(replace(config, lanes=4, steps=3, precision="fp32", run=config.run / "a"))
    parts = Trainer(
        replace(config, lanes=2, accumulate=2, steps=3, precision="fp32", run=config.run / "b")
    )
    large.train()
    parts.train()
    torch.testing.assert_close(weights(parts), weights(large), atol=1e-5, rtol=1e-4)
    assert parts.loss == pytest.approx(large.loss, rel=1e-5)


def test_recomputing_changes_nothing(config):
    plain = Trainer(replace(config, steps=2, precision="fp32", run=config.run / "a"))
    again = Trainer(
        replace(config, steps=2, precision="fp32", recompute=True, run=config.run / "b")
    )
    plain.train()
    again.train()
    torch.testing.assert_close(weights(again), weights(plain), atol=1e-6, rtol=1e-5)


def test_two_processes_are_one_with_twice_the_batch(config, tmp_path):
    alone = Trainer(replace(config, lanes=4, steps=4, precision="fp32"))
    alone.train()
    run = tmp_path / "pair"
    code = (
        "import sys, json, torch; torch.set_num_threads(1)\n"
        "from training.train_midi import Trainer\n"
        "from training.config import TrainConfig\n"
        "Trainer(TrainConfig.from_json(json.loads(sys.argv[1]))).train()"
    )
    table = replace(config, lanes=2, steps=4, precision="fp32", run=run).to_json()
    environment = {
        **os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(),
        "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(table)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    for process in pair:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()[-2000:]
    assert ledger(run)["loss_last"] == pytest.approx(alone.loss, rel=1e-5)
    saved = checkpoint.load(run)
    for name, weight in alone.weights.items():
        torch.testing.assert_close(saved["model"][name], weight.detach(), atol=1e-5, rtol=1e-4)


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_pads_are_in_no_loss(config):
    trainer = Trainer(replace(config, precision="fp32"))
    rows, fresh = trainer.lanes.segment(64)
    pad = trainer.data.vocabulary.names.index("PAD_None")
    rows[:, 40:] = pad
    told = trainer.data.vocabulary.is_condition
    rows[told[rows]] = trainer.data.vocabulary.begin  # what is told is in no loss either
    trainer.lanes.segment = lambda length: (rows, np.ones_like(fresh))
    with torch.no_grad():
        logits, _ = trainer.model(torch.from_numpy(rows[:, :39]))
    expected = functional.cross_entropy(
        logits.flatten(0, 1), torch.from_numpy(rows[:, 1:40]).flatten()
    )
    trainer._one_step(trainer.model)
    assert trainer._unlogged == [pytest.approx(expected.item(), rel=1e-5)]


def test_a_new_lane_forgets_what_the_old_one_heard(config):
    """Where a lane starts anew, its state must be empty, and only there."""
    trainer = Trainer(config)
    seen = []

    def compute(tokens, state):
        seen.append(state.wkv.abs().sum((0, 2, 3, 4)))
        return trainer.model(tokens, state)

    trainer._one_step(compute)
    rows, _ = trainer.lanes.segment(64)
    trainer.lanes.segment = lambda length: (rows, np.array([True, False]))
    trainer._one_step(compute)
    assert seen[1][0] == 0 and seen[1][1] > 0


def test_a_run_ends_early_where_it_only_gets_worse(config):
    """A rate at which nothing is learned: the weights before it are the best."""
    run = train(replace(config, rate=1e-12, evaluations=20, patience=2))
    assert ledger(run)["status"] == "completed"
    assert 2 <= ledger(run)["step"] < 40


def test_a_failed_run_says_why(config, monkeypatch):
    trainer = Trainer(config)
    monkeypatch.setattr(trainer, "_one_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    assert ledger(config.run)["status"] == "failed"
    assert "ZeroDivisionError" in ledger(config.run)["error"]


def test_a_diverging_run_is_ended_with_words(config):
    trainer = Trainer(config)
    with torch.no_grad():
        trainer.model.head.weight.fill_(torch.inf)
    with pytest.raises(SidemanError, match="lower --lr"):
        trainer.train()


def test_ctrl_c_is_heeded_between_two_steps(config):
    def interrupt(trainer):
        if trainer.step == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(SidemanError, match="3 steps; go on with --resume") as stopped:
        Trainer(config, watch=interrupt).train()
    assert stopped.value.code == Code.CANCELLED
    assert ledger(config.run)["status"] == "stopped"
    whole, again = Trainer(replace(config, run=config.run / "whole")), Trainer(config)
    whole.train()
    again.train()
    assert torch.equal(weights(whole), weights(again))


def test_a_full_disk_is_named_and_leaves_the_former_checkpoint(config, monkeypatch):
    train(replace(config, steps=2))
    before = (config.run / checkpoint.FILE).read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    # In a context: undoing all would also take away the clean user folders that tests have.
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(SidemanError, match="the disk is full"):
            train(replace(config, steps=4))
    assert (config.run / checkpoint.FILE).read_bytes() == before
    assert not list(config.run.glob("*.part"))
    train(replace(config, steps=4))
    assert ledger(config.run)["step"] == 4


def test_a_killed_run_goes_on(config):
    """Killed at any moment: its papers are whole, `runs` knows, and the run can be finished."""
    code = (
        "import sys, json, torch; torch.set_num_threads(1)\n"
        "from training.train_midi import Trainer\n"
        "from training.config import TrainConfig\n"
        "watch = lambda t: print(t.step, flush=True)\n"
        "Trainer(TrainConfig.from_json(json.loads(sys.argv[1])), watch).train()"
    )
    long = replace(config, steps=100_000, checkpoint_minutes=0.0, patience=0)
    process = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(long.to_json())],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    while (line := process.stdout.readline()) and int(line) < 12:
        pass
    assert runs.read(config.run)["status"] == "running"
    time.sleep(float(np.random.default_rng().random()) * 0.05)
    process.kill()
    process.wait()
    watchdog.cancel()
    process.stdout.close()
    assert ledger(config.run)["status"] == "running"  # nobody was left to say otherwise
    assert runs.read(config.run)["status"] == "stopped"
    assert "--resume" in runs.read(config.run)["error"]
    again = Trainer(replace(long, steps=(done := checkpoint.load(config.run)["step"]) + 3))
    assert again.step == done >= 11
    again.train()
    steps = [line["step"] for line in read_log(config.run) if "loss" in line]
    assert steps == sorted(set(steps)) and steps[-1] == done + 3
    assert ledger(config.run)["status"] == "completed"


def test_a_checkpoint_of_another_network_is_refused(config):
    train(replace(config, steps=2))
    with pytest.raises(SidemanError, match="of another run"):
        Trainer(replace(config, shape=replace(SMALL, layers=1)))


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(SidemanError, match="no run to go on with"):
        checkpoint.load(tmp_path)
    (tmp_path / checkpoint.FILE).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(SidemanError, match="not a checkpoint"):
        checkpoint.load(tmp_path)


def test_samples_are_written_at_each_evaluation(config, token_folder):
    from symusic import Score

    heard = []
    Trainer(replace(config, steps=4, sample_bars=1), hear=heard.append).train()
    assert [path.name for path in heard] == ["step-000002.mid", "step-000004.mid"]
    score = Score(heard[-1])
    assert score.note_num() > 64  # eight bars of what was heard, and one more
    assert score.end() <= 9 * 4 * score.tpq


def test_data_without_pieces_to_train_on_is_named(config):
    data = TokenSet(config.data)
    data.weights = dict.fromkeys(data.weights, 0.0)
    from training.train_midi import _epoch_tokens

    with pytest.raises(SidemanError, match="no pieces to train on"):
        _epoch_tokens(data)
