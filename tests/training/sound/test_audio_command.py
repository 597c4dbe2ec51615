"""``sideman train audio`` as a user calls it, and its adapter in the engine."""

from __future__ import annotations

import errno
import json
import os
import shutil

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

import torch

from bridge.cli import main
from engine.models import adapters, store
from engine.models.audio import Sampling
from engine.models.musicgen import tiny
from engine.models.musicgen.model import MusicGen
from tests.training.sound.styles import write_style
from training import runs

QUICK = ("--device", "cpu", "--precision", "fp32", "--lr", "0.01", "--steps", "12", "--json")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def data(tmp_path_factory, base):
    return write_style(tmp_path_factory.mktemp("data") / "rising", base, "rising")


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run the command in a folder of its own: its exit status, its JSON, and its stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        status = main(["train", *map(str, words)])
        said = capsys.readouterr()
        lines = said.out.splitlines()
        return status, json.loads(lines[-1]) if lines and not status else None, said.err

    return run


def greedy(model):
    stream = model.open(1, frames=40, sampling=Sampling(temperature=0))
    stream.prime(None, ["a tone of rising"], frames=40)
    while stream.remaining:
        stream.step()
    return stream.codes


def test_an_adapter_comes_out_that_an_engine_puts_on_and_takes_off(call, data, base, tmp_path):
    status, said, errors = call("audio", data, "-o", "mine", "--base", base, *QUICK)
    assert status == 0, errors
    assert said["output"] == "mine" and said["seconds"] > 0 and said["step"] == 12
    assert said["loss_last"] < said["loss_first"]
    assert said["heldout_after"] < said["heldout_before"]
    assert said["heldout_engine"] == pytest.approx(said["heldout_after"], rel=1e-4)
    assert said["trainable"] == said["share"]["trained"] > 0
    assert said["matrices_with_gradient"] == [32, 32]
    model = MusicGen.load(base)
    before = {name: w.clone() for name, w in model.network.state_dict().items()}
    plain = greedy(model)
    model.adapters.load(tmp_path / "mine")
    model.adapters.apply({"mine": 1.0})
    assert not torch.equal(greedy(model), plain)
    model.adapters.apply({})
    assert torch.equal(greedy(model), plain)
    assert all(torch.equal(w, before[name]) for name, w in model.network.state_dict().items())


def test_a_folder_says_what_it_is_and_may_be_named(call, data, base, tmp_path):
    call("audio", data, "-o", "mine", "--base", base, "--rank", 4, *QUICK)
    home = store.user_folder().parent / "adapters"
    shutil.copytree(tmp_path / "mine", home / "my-style")
    assert adapters.find("my-style") == home / "my-style"
    table = json.loads((home / "my-style" / "adapter_config.json").read_text())
    assert table["base_model_name_or_path"] == "musicgen-tiny-random"
    assert (table["r"], table["lora_alpha"]) == (4, 8.0)
    page = (home / "my-style" / "README.md").read_text()
    assert page.startswith("---\nlicense: apache-2.0\n")
    assert "* CC0-1.0: 8 clips" in page and "musicgen-tiny-random" in page
    report = json.loads((home / "my-style" / "training.json").read_text())
    assert report["config"]["rank"] == 4 and report["heldout_engine"]
    (found,) = [run for run in runs.all_runs(tmp_path) if run.name == "mine.run"]
    assert found.table["status"] == "completed" and found.table["mode"] == "lora"


def test_the_tiny_model_is_made_where_it_is_missing(call, data):
    status, said, errors = call(
        "audio", data, "-o", "mine", "--base", "musicgen-tiny-random", *QUICK, "--steps", 3
    )
    assert status == 0, errors
    assert said["step"] == 3 and (store.user_folder() / "musicgen-tiny-random").is_dir()


def test_an_estimate_writes_nothing(call, data, base, tmp_path):
    status, said, errors = call("audio", data, "-o", "mine", "--base", base, *QUICK, "--estimate")
    assert status == 0, errors
    found = said["estimate"]
    assert found["steps"] == 12 and found["looks"] == 3
    assert found["seconds"] == pytest.approx(12 * found["step_seconds"] + 3 * found["look_seconds"])
    assert found["memory"] > 1 << 26
    assert not list(tmp_path.iterdir())


def test_a_run_goes_on_by_name_and_says_what_cannot_change(call, data, base, tmp_path):
    status, _, errors = call("audio", data, "-o", "mine", "--base", base, *QUICK)
    assert status == 0, errors
    status, said, errors = call("audio", data, "-o", "mine", "--resume", "mine", "--steps", 15,
                                "--json")  # fmt: skip
    assert status == 0, errors
    assert said["step"] == 15
    status, said, errors = call("runs", "--resume", "mine", "--json")
    assert status == 0 and (said["output"], said["step"]) == ("mine", 15), errors
    status, _, errors = call("audio", data, "-o", "mine", "--resume", "mine", "--rank", 3)
    assert status == 1 and "began with rank 16, not 3" in errors
    assert errors.count("\n") == 1


def test_the_last_weights_may_be_taken(call, data, base, tmp_path):
    for take in ("best", "last"):
        words = ("--take", take, "--patience", 0)
        status, _, errors = call("audio", data, "-o", take, "--base", base, *QUICK, *words)
        assert status == 0, errors
    report = json.loads((tmp_path / "last" / "training.json").read_text())
    assert report["weights"] == "last"


def without_clips(folder):
    (folder / "manifest.json").write_text("[]")


def at_another_rate(folder):
    table = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps({**table, "rate": 44100}))


def broken(folder):
    shutil.rmtree(folder / "codes")
    next((folder / "clips").glob("*.wav")).write_bytes(b"no sound")


def all_held_out(folder):
    rows = json.loads((folder / "manifest.json").read_text())
    text = json.dumps([{**row, "split": "held-out"} for row in rows])
    (folder / "manifest.json").write_text(text)


def with_a_concept(folder):
    rows = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps([{**r, "prompt": "<nobody>"} for r in rows]))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (shutil.rmtree, "is no audio data set"),
        (without_clips, "lists no clips"),
        (at_another_rate, "44100"),
        (broken, "cannot be read as sound"),
        (all_held_out, "holds no clips to train on"),
        (with_a_concept, "no learned concept is called <nobody>"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_data_is_one_clear_line(call, data, base, tmp_path, spoil, words):
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    spoil(folder)
    status, _, errors = call("audio", folder, "-o", "mine", "--base", base, *QUICK)
    assert status == 1 and words in errors
    assert errors.count("\n") == 1 and not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--base", "nothing"), "there is no model 'nothing'"),
        (("--base", "default"), "no MusicGen at"),
        (("--base", "musicgen-small"), "sideman models get facebook/musicgen-small"),
        ((), "sideman models get facebook/musicgen-small"),
        (("--target", "wq"), "no matrix of the decoder is called 'wq'"),
        (("--alpha", "0"), "alpha is above 0"),
        (("--split-layers", "9"), "the model has 2 layers"),
        (("--resume", "nothing"), "no run 'nothing'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_options_are_one_clear_line(call, data, base, tmp_path, options, words):
    basis = () if not options or options[0] in ("--base", "--resume") else ("--base", base)
    status, _, errors = call("audio", data, "-o", "mine", *basis, *options, *QUICK)
    assert status == 1 and words in errors
    assert errors.count("\n") == 1 and not (tmp_path / "mine").exists()


def test_what_is_not_ours_is_not_replaced(call, data, base, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    status, _, errors = call("audio", data, "-o", "mine", "--base", base, *QUICK)
    assert status == 1 and "choose another name" in errors
    assert not (tmp_path / "mine.run").exists()


def test_a_full_disk_is_one_clear_line(call, data, base, tmp_path, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("training.files.os.fsync", full)
    status, _, errors = call("audio", data, "-o", "mine", "--base", base, *QUICK)
    assert status == 1 and "the disk is full" in errors and "Traceback" not in errors
    assert not (tmp_path / "mine").exists()


def test_a_grid_trains_with_a_sweeps_values(call, data, base, tmp_path):
    (tmp_path / "sweep.yaml").write_text(
        "parameters: {rank: {value: 2}, steps: {value: 2}, precision: {value: fp32},"
        f" device: {{value: cpu}}, lr: {{value: 0.01}}, base: {{value: {base}}}}}"
    )
    status, said, errors = call("grid", "sweep.yaml", "audio", data, "-o", "all", "--json")
    assert status == 0, errors
    assert said["best"] == "001" and said["runs"]["001"]["trainable"] == 16 * 2 * 64
    assert (tmp_path / "all" / "001" / "adapter_config.json").is_file()
