"""A LoRA of a MusicGen learns and says so, and goes on as if it had never been stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

import torch

from engine.errors import Code, SidemanError
from engine.models.musicgen import tiny
from tests.training.sound.audio_runs import config_for, in_a_process, weights
from tests.training.sound.sounds import write_data
from tests.training.sound.styles import write_style
from training import checkpoint
from training.record import read_log
from training.sound.adapter_folder import finish
from training.sound.audio_config import TARGETS, AudioConfig
from training.sound.dataset import Clips
from training.sound.heldout import look
from training.sound.train_audio import AudioTrainer, train


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def styles(tmp_path_factory, base):
    parent = tmp_path_factory.mktemp("styles")
    return {style: write_style(parent / style, base, style) for style in ("rising", "leaping")}


@pytest.fixture
def config(styles, base, tmp_path):
    return config_for(styles["rising"], tmp_path / "run", base)


def ledger(run):
    """What ``run.json`` says, as it stands in the file."""
    return json.loads((run / "run.json").read_text())


def curve(run):
    """The log but for what a clock says."""
    return [
        {name: value for name, value in line.items() if name not in ("seconds", "times real time")}
        for line in read_log(run)
    ]


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one) and one.keys() == other.keys()


def test_one_batch_is_learned_by_heart(base, tmp_path):
    data = write_data(tmp_path / "data", {"high": 880.0}, clips=2, held_out=0)
    trainer = AudioTrainer(config_for(data, tmp_path / "run", base, rate=0.02, batch=2, steps=90,
                                      rate_decay="constant", condition_dropout=0.0))  # fmt: skip
    trainer.train()
    assert trainer.first_loss > 6 and trainer.loss < 0.5
    assert ledger(tmp_path / "run")["heldout_after"] is None


def test_one_style_is_learned_and_the_other_is_not(config, styles):
    trainer = AudioTrainer(replace(config, steps=40))
    trainer.train()
    learned, other = {}, {}
    for found, style in ((learned, "rising"), (other, "leaping")):
        clips = [(c, torch.from_numpy(c.codes())) for c in Clips.open(styles[style]).held_out]
        found["after"] = look(trainer.learner, clips, 1500, 4).loss
        with trainer.learner.lora.without():
            found["before"] = look(trainer.learner, clips, 1500, 4).loss
    assert learned["after"] < 0.5 * learned["before"]
    assert other["after"] > other["before"]
    run = ledger(config.run)
    assert run["status"] == "completed"
    assert run["heldout_before"] == pytest.approx(learned["before"])
    assert run["loss_last"] < run["loss_first"] and run["heldout_after"] < run["chance"]
    assert run["matrices_with_gradient"] == [58, 58]
    assert (
        run["trainable"]
        == run["share"]["trained"]
        == sum(weight.numel() for weight in trainer.weights.values())
    )
    assert list(config.run.glob("events.out.tfevents*"))
    assert curve(config.run)[0].keys() == {"step", "heldout/loss", *(
        f"heldout/codebook {k}" for k in (1, 2, 3, 4)
    )}  # fmt: skip


def test_before_the_first_step_it_is_the_base(config):
    trainer = AudioTrainer(config)
    with_it = look(trainer.learner, trainer.held_out, 1500, 4)
    with trainer.learner.lora.without():
        assert look(trainer.learner, trainer.held_out, 1500, 4) == with_it


def test_every_clip_of_a_batch_is_in_the_loss(config):
    """Together they cost what they cost one by one, whatever their lengths and prompts."""
    learner = AudioTrainer(config).learner
    codes = [torch.randint(512, (4, frames)) for frames in (20, 7, 12)]
    texts = ["a tone of rising", None, "a tone of rising"]
    together = learner.losses(codes, texts)
    apart = [learner.losses([one], [text]) for one, text in zip(codes, texts, strict=True)]
    torch.testing.assert_close(together, torch.stack(apart).sum(0), rtol=1e-5, atol=1e-4)
    assert all((one > 0).all() for one in apart)


def test_a_prompt_is_heard_and_silence_is_transformers_own(config):
    """No prompt gives what transformers gives where it masks the whole prompt."""
    learner = AudioTrainer(config).learner
    codes = [torch.randint(512, (4, 20))]
    silent, said = (learner.losses(codes, [text]) for text in (None, "a tone of rising"))
    assert not torch.allclose(silent, said)
    network = learner.model.network
    network.config.decoder.decoder_start_token_id = 512
    both, _, _ = learner.batch(codes, [None])
    theirs = network(
        encoder_outputs=(torch.randn(1, 3, 24),),
        attention_mask=torch.zeros(1, 3, dtype=torch.long),
        labels=both.labels.transpose(1, 2),
    )
    ours = (silent / torch.tensor([20.0, 19.0, 18.0, 17.0])).mean()
    torch.testing.assert_close(ours, theirs.loss)


@pytest.mark.parametrize("change", [{"dropout": 0.2}, {"precision": "fp16"}], ids=str)
def test_a_run_goes_on_bit_for_bit(config, change):
    """Stopped between two lines of the log, with its dice rolling."""
    rolling = replace(config, seconds=0.5, epochs=9.0, steps=None, evaluations=4, **change)
    whole = AudioTrainer(replace(rolling, run=config.run / "whole"))
    whole.train()
    assert whole.step == 18
    halves = replace(rolling, run=config.run / "halves")
    with pytest.raises(SidemanError) as stopped:
        AudioTrainer(halves, watch=stop_at(7)).train()
    assert stopped.value.code is Code.CANCELLED
    second = AudioTrainer(halves)
    assert second.step == 7
    second.train()
    assert same(weights(whole), weights(second))
    assert curve(config.run / "whole") == curve(config.run / "halves")
    assert same(whole.best["weights"], second.best["weights"])


def stop_at(step):
    """What a user's ctrl-C does after so many steps."""

    def watch(trainer):
        if trainer.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return watch


def test_a_killed_run_goes_on_to_the_same_curve(config):
    """kill -9 at any moment, and again."""
    long = replace(config, steps=40, checkpoint_minutes=0.0, run=config.run / "killed")
    whole = replace(long, checkpoint_minutes=5.0, run=config.run / "whole")
    train(whole)
    process = in_a_process(long)
    deadline = time.monotonic() + 60
    while not (long.run / checkpoint.FILE).exists():
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.join()
    reached = AudioTrainer(long)
    assert 0 < reached.step < 40
    reached.train()
    assert curve(long.run) == curve(whole.run)
    done = checkpoint.load(whole.run)
    assert same(weights(reached), done["weights"])


def test_accumulated_batches_are_one_large_batch(config):
    large = AudioTrainer(replace(config, batch=6, steps=3, run=config.run / "a"))
    parts = AudioTrainer(replace(config, batch=2, accumulate=3, steps=3, run=config.run / "b"))
    large.train()
    parts.train()
    assert parts.loss == pytest.approx(large.loss, rel=1e-5)
    for name, weight in large.weights.items():
        torch.testing.assert_close(parts.weights[name], weight, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("change", [{"recompute": True}, {"stages": 2}], ids=str)
def test_less_memory_changes_nothing(config, change):
    plain = AudioTrainer(replace(config, steps=3, run=config.run / "a"))
    other = AudioTrainer(replace(config, steps=3, run=config.run / "b", **change))
    plain.train()
    other.train()
    assert other.loss == plain.loss
    assert same(weights(other), weights(plain))


def test_recomputing_computes_layers_anew(config):
    trainer = AudioTrainer(replace(config, recompute=True))
    calls = []
    for layer in trainer.learner.model.network.decoder.model.decoder.layers:
        layer.fc1.register_forward_hook(lambda *told: calls.append(1))
    trainer.one_step()
    assert len(calls) == 4


def test_two_processes_are_one_with_twice_the_batch(config):
    alone = AudioTrainer(replace(config, batch=4, steps=3))
    alone.train()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    pair_config = replace(config, batch=2, steps=3, run=config.run / "pair")
    together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    pair = [in_a_process(pair_config, RANK=str(rank), **together) for rank in range(2)]
    for process in pair:
        process.join(timeout=120)
        assert process.exitcode == 0
    assert ledger(pair_config.run)["loss_last"] == pytest.approx(alone.loss, rel=1e-5)
    saved = checkpoint.load(pair_config.run)["weights"]
    for name, weight in alone.weights.items():
        torch.testing.assert_close(saved[name], weight.detach(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_narrow_numbers_learn_too(config, precision):
    trainer = AudioTrainer(replace(config, precision=precision, steps=15, seconds=0.4))
    trainer.train()
    assert trainer.learner.model.network.decoder.dtype == trainer.learner.dtype != torch.float32
    assert all(weight.dtype == torch.float32 for weight in trainer.weights.values())
    assert trainer.best["loss"] < 0.8 * trainer.heldout_before


def test_a_matrix_that_gradients_do_not_reach_ends_the_run(config):
    trainer = AudioTrainer(config)
    name = next(name for name in trainer.weights if "layers.1.fc2.lora_B" in name)
    trainer.weights[name].requires_grad_(False)
    with pytest.raises(SidemanError, match=r"aborted.*layers\.1\.fc2\.lora_B"):
        trainer.train()
    assert "fc2.lora_B" in ledger(config.run)["error"]
    assert ledger(config.run)["status"] == "failed"


def test_no_gradient_at_all_ends_the_run(config, monkeypatch):
    trainer = AudioTrainer(config)
    losses = trainer.learner.losses
    monkeypatch.setattr(trainer.learner, "losses", lambda *told: losses(*told) * 0)
    monkeypatch.setattr("training.sound.proof.STEPS", 99)
    with pytest.raises(SidemanError, match="zero 3 times in a row"):
        trainer.train()
    assert trainer.step == 2


@pytest.mark.parametrize("target", ["attention", "embed_tokens"])
def test_an_adapter_that_changes_nothing_is_not_written(config, tmp_path, target):
    untrained = AudioTrainer(replace(config, target=TARGETS.get(target, (target,))))
    with pytest.raises(SidemanError, match="is not written"):
        finish(untrained, tmp_path / "mine", last=True)
    assert not (tmp_path / "mine").exists()


def test_a_stereo_model_learns_too(base, tmp_path):
    stereo = tiny.write(tmp_path, channels=2)
    data = write_data(tmp_path / "data", {"x": 440.0}, clips=2, held_out=1, seconds=0.5)
    trainer = AudioTrainer(config_for(data, tmp_path / "run", stereo, batch=2, rate=0.02))
    trainer.train()
    assert trainer.learner.model.codebooks == 8
    assert trainer.best["loss"] < trainer.heldout_before
    assert trainer.proof.seen == trainer.proof.count == 2 * (16 + 4 + 1 + 8 + 8)


def test_clips_without_prompts_are_learned_from(base, tmp_path):
    data = write_data(tmp_path / "data", {"x": 440.0})
    table = json.loads((data / "manifest.json").read_text())
    (data / "manifest.json").write_text(json.dumps([{**row, "prompt": " "} for row in table]))
    trainer = AudioTrainer(config_for(data, tmp_path / "run", base, target=TARGETS["attention"],
                                      steps=4))  # fmt: skip
    trainer.train()
    assert trainer.learner.lora.share.matrices == 8 and trainer.proof.seen == 16


def test_a_run_ends_early_where_it_only_gets_worse(config):
    run = train(replace(config, rate=1e-12, steps=60, evaluations=20, look_every=1, patience=2))
    assert ledger(run)["status"] == "completed"
    assert ledger(run)["step"] < 60


def test_a_rate_that_bursts_it_is_said(config):
    with pytest.raises(SidemanError, match=r"left the rails.*lower --lr"):
        train(replace(config, rate=1e30, steps=60, clip=1e9))


def test_too_little_memory_is_said_with_what_needs_less(config, monkeypatch):
    trainer = AudioTrainer(config)

    def full(*told):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")

    monkeypatch.setattr(trainer.learner, "losses", full)
    with pytest.raises(SidemanError, match=r"too little memory.*--grad-checkpoint") as error:
        trainer.one_step()
    assert error.value.code is Code.OUT_OF_MEMORY


def test_a_base_of_chance_is_doubted(config):
    said = []
    AudioTrainer(replace(config, steps=2), tell=said.append).train()
    assert len(said) == 1 and "no better than chance" in said[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rank": 0}, "rank is 1 or more"),
        ({"dropout": 1.0}, "from 0 up to 1"),
        ({"rate": 0.0}, "rate is above 0"),
        ({"precision": "int8"}, "precision is one of"),
        ({"rate_decay": "linear"}, "decays by"),
        ({"target": ()}, "name what is trained"),
    ],
)
def test_what_contradicts_itself_is_refused(config, changes, words):
    with pytest.raises(SidemanError, match=words):
        replace(config, **changes)


def test_a_config_survives_json(config):
    assert AudioConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    with pytest.raises(SidemanError, match="not that of"):
        AudioConfig.from_json({"data": "tokens"})


def test_more_stages_than_layers_are_refused(config):
    with pytest.raises(SidemanError, match="--split-layers 3: the model has 2 layers"):
        AudioTrainer(replace(config, stages=3))
