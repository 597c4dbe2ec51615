"""Adapters from training to the live runtime: corrections, learned states, and refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.errors import Code, SidemanError
from engine.models import adapters, registry
from engine.models.folder import read_info
from tests.support.tiny_model import make_tiny_model
from training import runs
from training.config import TrainConfig
from training.data import Augment
from training.export import finish, load_run
from training.train_midi import Trainer

SONG = [5, 17, 40, 99, 200, 31, 300, 17, 40, 100]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def config(token_folder, base, tmp_path):
    return TrainConfig(
        token_folder,
        tmp_path / "run",
        base=base,
        rank=4,
        lanes=2,
        ctx=64,
        steps=25,
        precision="fp32",
        device="cpu",
        augment=Augment(transpose=False, thin=0.0, restart=0.5),
        evaluations=2,
        look_every=1,
        heldout_tokens=150,
        heldout_pieces=2,
        sample_bars=0,
    )


def logits_of(model):
    """What the live runtime makes of a song."""
    stream = model.open()
    return np.stack([stream.step([token])[0].copy() for token in SONG])


def logits_in_training(network):
    with torch.no_grad():
        return network(torch.tensor([SONG]))[0][0].numpy()


def loaded(folder, base, strength=1.0):
    attached = adapters.attach(folder, read_info(base), strength)
    return registry.load(base, precision="float32", adapter=attached)


def test_fresh_corrections_change_nothing(config):
    plain = registry.load(config.base, precision="float32")
    fresh = Trainer(config).model.eval()
    np.testing.assert_allclose(logits_in_training(fresh), logits_of(plain), atol=1e-4)


@pytest.mark.parametrize("how", [{"rank": 4}, {"rank": 0, "state": True}, {"state": True}])
def test_an_adapter_learns_and_plays_as_in_training(config, tmp_path, how):
    trainer = Trainer(replace(config, **how))
    before = {name: w.detach().clone() for name, w in trainer.model.named_parameters()}
    run = trainer.train()
    assert trainer.best["loss"] < trainer.heldout_before
    for name, weight in trainer.model.named_parameters():
        assert torch.equal(weight, before[name]) != (name in trainer.weights), name
    folder = finish(run, tmp_path / "style")
    info = adapters.read_info(folder)
    assert info.base == "tiny" and info.base_sha256 == read_info(config.base).weights.sha256
    assert info.licence == "Apache-2.0"
    assert info.metrics["heldout_after"] < info.metrics["heldout_before"]
    playing = loaded(folder, config.base)
    expected = logits_in_training(load_run(run))
    np.testing.assert_allclose(logits_of(playing), expected, atol=1e-4)
    plain = logits_of(registry.load(config.base, precision="float32"))
    assert np.abs(logits_of(playing) - plain).max() > 0.05
    half = logits_of(loaded(folder, config.base, 0.5))
    assert 0.01 < np.abs(half - plain).max() < np.abs(logits_of(playing) - plain).max() * 1.5
    none = logits_of(loaded(folder, config.base, 0.0))
    np.testing.assert_allclose(none, plain, atol=1e-6)


def test_every_correction_gets_a_gradient(config):
    """The second factors at once, the first ones as soon as the second are not zero any more."""
    trainer = Trainer(config)
    reached = []
    update = trainer._update

    def note(loss):
        reached.append({name for name, w in trainer.weights.items() if w.grad.abs().sum() > 0})
        update(loss)

    trainer._update = note
    trainer._one_step(trainer.model)
    trainer._one_step(trainer.model)
    assert reached[0] == {name for name in trainer.weights if not name.endswith("down")}
    assert reached[1] == set(trainer.weights)


def test_an_adapter_run_goes_on_bit_for_bit(config):
    both = replace(config, state=True, epochs=1.0, steps=8)
    whole = Trainer(replace(both, run=config.run / "whole"))
    whole.train()
    Trainer(replace(both, steps=5, run=config.run / "halves")).train()
    again = Trainer(replace(both, run=config.run / "halves"))
    again.train()
    assert again.step == whole.step == 8
    assert all(torch.equal(w, again.weights[name]) for name, w in whole.weights.items())


def test_another_models_adapter_is_refused_by_name(config, tmp_path):
    folder = finish(Trainer(replace(config, steps=1)).train(), tmp_path / "style")
    other = make_tiny_model(tmp_path / "other", seed=2)
    with pytest.raises(
        SidemanError, match=r"style was made for the model tiny .* not for other"
    ) as e:
        loaded(folder, other)
    assert e.value.code == Code.NOT_ALLOWED


def test_a_damaged_adapter_is_refused(config, tmp_path):
    folder = finish(Trainer(replace(config, steps=1)).train(), tmp_path / "style")
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(SidemanError, match="SHA-256 differs"):
        loaded(folder, config.base)
    table = json.loads((folder / "adapter.json").read_text())
    (folder / "adapter.json").write_text(json.dumps(table | {"rank": 9}))
    with pytest.raises(SidemanError, match=r"adapter\.json ask for"):
        loaded(folder, config.base)


def test_songs_of_other_tokens_are_refused(config, tmp_path):
    other = make_tiny_model(tmp_path / "other")
    path = other / "tokenizer.json"
    table = json.loads(path.read_text())
    path.write_text(json.dumps(table | {"tokens": table["tokens"][::-1]}))
    with pytest.raises(SidemanError, match="tokenize the songs"):
        Trainer(replace(config, base=other))


def test_what_stands_in_the_way_is_not_replaced(config, tmp_path):
    run = Trainer(replace(config, steps=1)).train()
    (tmp_path / "style").mkdir()
    (tmp_path / "style" / "song.mid").touch()
    with pytest.raises(SidemanError, match="choose another name"):
        finish(run, tmp_path / "style")
    assert [path.name for path in (tmp_path / "style").iterdir()] == ["song.mid"]
    assert runs.read(run)["status"] == "completed"


def test_a_base_trained_on_plays_as_in_training(config, tmp_path):
    run = Trainer(replace(config, rank=0)).train()
    folder = finish(run, tmp_path / "model")
    live = registry.load(folder, precision="float32")
    np.testing.assert_allclose(logits_of(live), logits_in_training(load_run(run)), atol=1e-4)
