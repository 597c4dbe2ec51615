"""Textual inversion: words learned from clips, and nothing else changed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from bridge.cli import main
from engine.errors import Code, SidemanError
from engine.models import store
from engine.models.musicgen import concepts, tiny
from engine.models.musicgen.model import MusicGen
from tests.training.sound.sounds import write_data
from training import runs
from training.sound import templates
from training.sound.concept import EMBEDDINGS, Inversion
from training.sound.concept_config import ConceptConfig
from training.sound.concept_data import word_of
from training.sound.concept_folder import write
from training.sound.concept_losses import margin, orthogonality
from training.sound.row_proof import RowProof
from training.sound.words import Words


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "two"
    return write_data(folder, {"low": 110.0, "high note": 880.0}, clips=4, held_out=1, seconds=0.5)


@pytest.fixture
def config(base, data, tmp_path):
    return ConceptConfig(
        data, tmp_path / "run", base, tokens=3, seconds=0.4, batch=4, epochs=3, device="cpu"
    )


def test_templates_are_forty_to_learn_from_and_forty_others():
    assert len(set(templates.TRAIN)) == len(set(templates.HELD_OUT)) == 40
    assert not set(templates.TRAIN) & set(templates.HELD_OUT)
    for text in (*templates.TRAIN, *templates.HELD_OUT):
        assert text.count("{}") == 1 and text.format("<it>").count("<it>") == 1


def test_words_are_learned_that_an_engine_says(config, tmp_path):
    run = Inversion(config)
    before = {name: tensor.clone() for name, tensor in run.model.network.state_dict().items()}
    start = run.vectors.detach().clone()
    run.train()
    for name, tensor in run.model.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert bool((run.vectors != start).any(1).all())
    assert run.trainable == run.vectors.numel() == 2 * 3 * run.model.text.width
    made = write(run, store.user_folder().parent / "concepts" / "mine")
    info = concepts.read_info(made)
    assert info.concepts == {"high-note": 3, "low": 3}
    assert {entry.licence for entry in info.training_data} == {"CC0-1.0"}
    assert sorted(path.name for path in (config.run / EMBEDDINGS).iterdir()) == [
        "0001.safetensors", "0002.safetensors", "0003.safetensors"
    ]  # fmt: skip
    player = MusicGen.load(config.base)
    text = "slow music of <low>"
    heard = player.text.encode(text)
    best = run.best["vectors"]
    states, mask = run.words.states([run.words.tokens(text), run.words.tokens("<low> " * 9)], best)
    assert heard is not None
    torch.testing.assert_close(states[0, : len(heard)], heard, atol=2e-4, rtol=2e-4)
    assert int(mask[0].sum()) == len(heard)
    assert not states[0, len(heard) :].any()


def test_held_out_loss_falls_and_run_json_says_so(config):
    run = Inversion(replace(config, epochs=12))
    run.train()
    table = runs.read(config.run)
    assert table["status"] == "completed"
    assert table["heldout_after"] < table["heldout_before"]
    assert table["loss_last"] < table["loss_first"]
    assert table["chance"] == pytest.approx(np.log(512))
    assert table["heldout_plain"] > 0


def test_a_killed_run_goes_on_to_the_same_vectors(config, tmp_path):
    whole = Inversion(replace(config, ema=0.9))
    whole.train()

    def kill(run: Inversion) -> None:
        if run.step == 3:  # one step after the last epoch's checkpoint
            raise RuntimeError("killed")

    half = replace(config, ema=0.9, run=tmp_path / "half")
    with pytest.raises(RuntimeError, match="killed"):
        Inversion(half, kill).train()
    assert runs.read(half.run)["status"] == "failed"
    again = Inversion(half)
    assert again.step == 2
    again.train()
    assert torch.equal(again.vectors, whole.vectors)
    assert torch.equal(again.best["vectors"], whole.best["vectors"])


def test_other_seeds_and_options_give_other_vectors(config, tmp_path):
    def learned(**changes):
        name = f"r{len(list(tmp_path.iterdir()))}"
        run = Inversion(replace(config, epochs=1, run=tmp_path / name, **changes))
        run.train()
        return run.vectors.detach()

    same = learned()
    assert torch.equal(same, learned())
    for changes in ({"seed": 1}, {"shuffle": False}, {"margin": 0.0}):
        assert not torch.equal(same, learned(**changes)), changes


def test_it_begins_with_a_word_or_with_what_was_learned(config, tmp_path):
    run = Inversion(replace(config, init="piano", noise=0.0))
    expected = run.words.vectors_of("piano").mean(0)
    torch.testing.assert_close(run.vectors.detach(), expected.expand(6, -1))
    run.train()
    made = write(run, tmp_path / "first")
    again = Inversion(replace(config, init=str(made), run=tmp_path / "again"))
    table = np.concatenate([concepts.read(made)[word] for word in again.words.rows])
    np.testing.assert_array_equal(again.vectors.detach().numpy(), table)
    with pytest.raises(SidemanError, match="tokens"):
        Inversion(replace(config, init=str(made), tokens=2, run=tmp_path / "other"))


def test_a_run_whose_words_nobody_hears_aborts(config, monkeypatch):
    heard = Words.states
    monkeypatch.setattr(
        Words, "states", lambda self, texts, learned: heard(self, texts, learned * 0 + 1)
    )
    run = Inversion(config)
    with pytest.raises(SidemanError, match=r"token 0 of <[a-z-]+> had no gradient"):
        run.train()
    assert runs.read(config.run)["status"] == "failed"
    assert "no gradient" in runs.read(config.run)["error"]


def test_one_vector_without_gradient_is_named():
    proof = RowProof({"a": slice(0, 2), "b": slice(2, 4)})
    gradient = torch.ones(4, 8)
    gradient[3] = 0
    proof.see(gradient, {"a"})
    proof.see(gradient, {"a", "b"})
    with pytest.raises(SidemanError, match="token 1 of <b> had no gradient in 2 steps"):
        proof.see(gradient, {"b"})


def test_three_steps_of_nothing_end_a_run():
    proof = RowProof({"a": slice(0, 1)})
    proof.see(torch.ones(1, 4), {"a"})
    proof.see(torch.ones(1, 4), {"a"})
    proof.see(torch.zeros(1, 4), {"a"})
    proof.see(torch.zeros(1, 4), {"a"})
    with pytest.raises(SidemanError, match="no gradient in 3 steps"):
        proof.see(torch.zeros(1, 4), {"a"})


def test_shuffling_moves_vectors_inside_their_concept_only(base):
    words = Words(MusicGen.load(base), {"a": 3, "b": 4})
    tokens = words.tokens("more <b> than <a>")
    random = np.random.default_rng(3)
    found = {tuple(words.shuffled(tokens, random)) for _ in range(50)}
    assert len(found) > 20
    end = len(words.table)
    for each in found:
        for rows in words.rows.values():
            places = [i for i, token in enumerate(tokens) if token - end in range(*rows.indices(7))]
            assert sorted(each[i] - end for i in places) == list(range(*rows.indices(7)))
        assert [t for t in each if t < end] == [t for t in tokens if t < end]


def test_orthogonal_vectors_cost_nothing_and_equal_ones_cost_one():
    rows = [slice(0, 3), slice(3, 6)]
    assert float(orthogonality(torch.eye(6), rows)) == 0
    assert float(orthogonality(torch.ones(6, 4), rows)) == pytest.approx(1)
    assert float(orthogonality(torch.ones(2, 4), [slice(0, 1), slice(1, 2)])) == 0


def test_the_margin_is_between_concepts_and_not_between_vectors():
    rows = [slice(0, 2), slice(2, 4)]
    opposite = torch.tensor([[1.0, 0], [1, 0], [-3, 0], [-3, 0]])
    assert float(margin(opposite, rows, 1.5)) == 0
    square = torch.tensor([[1.0, 0], [1, 0], [0, 2], [0, 2]])
    assert float(margin(square, rows, 1.5)) == pytest.approx((1.5 - 2**0.5) ** 2)
    same = torch.ones(4, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(margin(same, rows, 1.5), same)
    assert bool(torch.isfinite(gradient).all())
    assert float(margin(square, rows[:1], 1.5)) == 0


def test_names_become_words():
    assert word_of("deep house") == "deep-house"
    assert word_of("8bit") == "8bit"
    with pytest.raises(SidemanError):
        word_of("???")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"concepts": ("lov",)}, "no concept 'lov'; it has high note, low"),
        ({"tokens": 21}, "1 to 20 tokens"),
        ({"init": "???!!", "tokens": 1}, None),
    ],
)
def test_what_cannot_be_learned_is_refused(config, changes, said):
    if said is None:
        Inversion(replace(config, **changes))  # signs are words of the tiny tokenizer
        return
    with pytest.raises(SidemanError) as error:
        Inversion(replace(config, **changes))
    assert said in error.value.text and "\n" not in error.value.text
    assert error.value.code is Code.BAD_ARGUMENTS


def test_data_without_concepts_is_one_that_must_be_named(base, tmp_path):
    plain = write_data(tmp_path / "plain", {None: 220.0}, clips=2, held_out=0, seconds=0.3)
    config = ConceptConfig(
        plain, tmp_path / "run", base, tokens=2, seconds=0.3, steps=2, device="cpu"
    )
    with pytest.raises(SidemanError, match="--concept NAME"):
        Inversion(config)
    run = Inversion(replace(config, concepts=("hum",)))
    run.train()
    assert run.best["loss"] is None
    assert list(concepts.read(write(run, tmp_path / "out"))) == ["hum"]


def test_the_command_makes_a_concept_and_refuses_in_one_line(capsys, base, data, tmp_path):
    out = tmp_path / "mine"
    few = ("--tokens", "2", "--seconds", "0.4", "--device", "cpu")
    words = ["train", "concept", str(data), "-o", str(out), "--base", str(base), *few]
    assert main([*words, "--steps", "4", "--concept", "low", "--pt", str(tmp_path / "x.pt"),
                 "--json"]) == 0  # fmt: skip
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["output"] == str(out)
    assert said["trainable"] == 2 * 24
    for name in ("loss_first", "loss_last", "heldout_before", "heldout_after", "seconds"):
        assert isinstance(said[name], float)
    again = tmp_path / "again"
    assert main(["train", "import", str(tmp_path / "x.pt"), "-o", str(again), "--base",
                 "musicgen-tiny-random"]) == 0  # fmt: skip
    np.testing.assert_array_equal(concepts.read(again)["low"], concepts.read(out)["low"])
    capsys.readouterr()
    bad = (
        ["train", "concept", str(data), "-o", str(tmp_path / "no")],
        ["train", "concept", str(tmp_path), "-o", str(tmp_path / "no"), "--base", str(base)],
        [*words, "--resume", str(out), "--tokens", "3"],
        ["train", "concept", str(data), "-o", str(data), "--base", str(base)],
    )
    for each in bad:
        assert main(each) == 1
        errors = capsys.readouterr().err.splitlines()
        assert len(errors) == 1 and errors[0].startswith("error:"), errors


def test_the_same_command_goes_on_with_a_run_that_was_stopped(capsys, base, data, tmp_path):
    out = tmp_path / "mine"
    few = ["--tokens", "2", "--seconds", "0.4", "--device", "cpu", "--epochs", "2", "--json"]
    words = ["train", "concept", str(data), "-o", str(out), "--base", str(base), *few]
    assert main(words) == 0
    first = concepts.read(out)
    run = tmp_path / "mine.run"
    table = json.loads((run / runs.FILE).read_text()) | {"status": "running", "pid": 1}
    (run / runs.FILE).write_text(json.dumps(table))
    shutil.rmtree(out)
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["run"] == str(run)
    for word, vectors in concepts.read(out).items():
        np.testing.assert_array_equal(vectors, first[word])
    assert not (tmp_path / "mine.run-2").exists()
