"""``sideman train midi`` and ``sideman train runs``, as a user calls them."""

import json
import shutil

import pytest

from bridge.cli import main
from engine.models import adapters, registry
from engine.models.folder import read_info
from engine.recall.memory import Memory
from engine.tokens.vocabulary import Vocabulary
from engine.worker import wire
from engine.worker.process import Worker
from tests.support.tiny_model import make_tiny_model
from training import runs

SMALL = ("--embed", "64", "--layers", "1", "--ctx", "32", "--batch", "2")
PLAIN = ("--device", "cpu", "--precision", "fp32", "--json")
QUICK = (*PLAIN, "--no-recall")


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run a command in a folder of its own: its exit status, its JSON, and its stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        status = main(["train", *map(str, words)])
        said = capsys.readouterr()
        lines = said.out.splitlines()
        return status, json.loads(lines[-1]) if lines and not status else None, said.err

    return run


def test_a_model_comes_out_that_an_engine_can_load(call, token_folder, tmp_path):
    status, said, errors = call("midi", token_folder, "-o", "mine", *SMALL, "--steps", 12, *QUICK)
    assert status == 0, errors
    assert said["output"] == "mine"
    assert said["loss_last"] < said["loss_first"]
    assert said["heldout_after"] < said["heldout_before"]
    assert said["trainable"] > 50_000 and said["seconds"] > 0 and said["step"] == 12
    model = registry.load(tmp_path / "mine", precision="float32")
    assert model.info.metrics["step"] == 12
    assert list((tmp_path / "mine.run" / "samples").glob("*.mid"))


def test_a_model_recalls_unless_it_is_not_to(call, token_folder, tmp_path):
    tail = (*SMALL, "--steps", 2, *PLAIN)
    for name, words in (("mine", ()), ("plain", ("--no-recall",))):
        status, _, errors = call("midi", token_folder, "-o", name, *words, *tail)
        assert status == 0, errors
    info = read_info(tmp_path / "mine")
    said = []
    worker = Worker(said.append, patient=True)
    worker.handle(wire.Load("m", str(tmp_path / "mine")))
    assert [type(message) for message in said] == [wire.Loaded]
    assert Memory.of(tmp_path / "mine", info, Vocabulary.load(tmp_path / "mine")) is not None
    assert read_info(tmp_path / "plain").recall is None
    assert not (tmp_path / "plain" / "recall.json").exists()


def test_a_model_keeps_its_bases_gate(call, token_folder, tmp_path, monkeypatch):
    tail = ("--ctx", 32, "--batch", 2, "--steps", 1, *PLAIN)
    base = make_tiny_model(tmp_path / "base", recall=True)
    monkeypatch.delattr("training.recall.fit_to")
    status, _, errors = call("midi", token_folder, "-o", "mine", "--base", base, *tail)
    assert status == 0, errors
    kept, gate = ((folder / "recall.json").read_text() for folder in (tmp_path / "mine", base))
    assert json.loads(kept) == json.loads(gate)


def test_who_stops_at_the_last_moment_is_told_how_the_model_is_written(
    call, token_folder, tmp_path, monkeypatch
):
    def stop(*words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.recall.fit_to", stop)
        status, _, errors = call("midi", token_folder, "-o", "mine", *SMALL, "--steps", 2, *PLAIN)
    assert status != 0 and "--resume" in errors and not (tmp_path / "mine").exists()
    status, said, _ = call("midi", token_folder, "-o", "mine", "--resume", "mine.run", "--json")
    assert (status, said["step"]) == (0, 2)
    assert read_info(tmp_path / "mine").recall is not None


def test_merged_tokens_are_not_recalled_and_that_is_said(call, write_song, tmp_path):
    for root in range(55, 63):
        write_song(tmp_path / "songs" / f"{root}.mid", root)
    call("tokenize", "songs", "-o", "tokens", "--bpe", 600, "--json")
    status, _, errors = call("midi", "tokens", "-o", "mine", *SMALL, "--steps", 1, *PLAIN)
    assert status == 0, errors
    assert "no recall" in errors and "merged (BPE)" in errors
    assert read_info(tmp_path / "mine").recall is None


def test_a_run_is_resumed_by_its_folder_or_name(call, token_folder, tmp_path):
    tail = (*SMALL, "--epochs", 1, *QUICK)
    call("midi", token_folder, "-o", "mine", *tail, "--steps", 4)
    _, said, _ = call("midi", token_folder, "-o", "mine", "--resume", "mine.run", "--steps", 7,
                      "--json")  # fmt: skip
    assert said["step"] == 7
    _, said, _ = call("midi", token_folder, "-o", "mine", "--resume", "mine", "--steps", 9,
                      "--json")  # fmt: skip
    assert said["step"] == 9
    _, whole, _ = call("midi", token_folder, "-o", "whole", *tail, "--steps", 9)
    weights = [tmp_path / name / "weights.safetensors" for name in ("mine", "whole")]
    assert whole["step"] == 9
    assert weights[0].stat().st_size == weights[1].stat().st_size


def test_a_resumed_run_keeps_what_it_began_with(call, token_folder):
    call("midi", token_folder, "-o", "mine", *SMALL, "--steps", 2, *QUICK)
    status, _, errors = call(
        "midi", token_folder, "-o", "mine", "--resume", "mine", "--ctx", 64, "--steps", 3
    )
    assert status == 1
    assert "began with ctx 32, not 64" in errors and errors.count("\n") == 1


def test_a_finished_run_is_not_written_over(call, token_folder, tmp_path):
    for _ in range(2):
        status, said, _ = call("midi", token_folder, "-o", "mine", *SMALL, "--steps", 2, *QUICK)
        assert status == 0
    assert said["run"] == str(tmp_path / "mine.run-2")


def test_an_adapter_of_a_base_comes_out(call, token_folder, tmp_path):
    base = make_tiny_model(tmp_path / "tiny")
    status, said, errors = call(
        "midi", token_folder, "-o", "style", "--base", base, "--lora", "--rank", 2, "--state",
        "--ctx", 32, "--batch", 2, "--steps", 5, "--lr-decay", "exp", "--accumulate", 2,
        "--grad-checkpoint", *QUICK,
    )  # fmt: skip
    assert status == 0, errors
    attached = adapters.attach(tmp_path / "style", read_info(base))
    assert (attached.info.rank, attached.info.state) == (2, True)
    registry.load(base, precision="float32", adapter=attached)
    assert said["trainable"] < 60_000


def test_data_in_another_layout_is_trained_on(call, token_folder, tmp_path):
    from training.tokenize.layouts import LAYOUTS

    other = tmp_path / "pair"
    other.mkdir()
    LAYOUTS["binidx"].write(LAYOUTS["sideman"].read(token_folder), other)
    status, _, errors = call("midi", other, "-o", "mine", "--binidx", *SMALL, "--steps", 2, *QUICK)
    assert status == 0, errors
    status, _, errors = call("midi", token_folder, "-o", "no", "--binidx", *SMALL, "--steps", 2)
    assert status == 1 and "not a data set in the layout binidx" in errors


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--vae-emb", "train"), "--vae-emb: the live engine has no autoencoder"),
        (("--base", "nobody"), "no model 'nobody'"),
        (("--base", "default", "--layers", "2"), "--embed and --layers are the base model's"),
        (("--embed", "100"), "multiple of 64"),
        (("--resume", "nothing"), "no run 'nothing'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(call, token_folder, words, why):
    status, _, errors = call("midi", token_folder, "-o", "mine", "--steps", "1", *words)
    assert status == 1
    assert why in errors and errors.count("\n") == 1


def test_a_folder_that_is_no_data_set_is_refused(call, tmp_path):
    status, _, errors = call("midi", tmp_path, "-o", "mine")
    assert status == 1 and "not a token data set" in errors


def test_runs_are_listed_with_their_state(call, token_folder, tmp_path, capsys):
    call("midi", token_folder, "-o", "mine", *SMALL, "--steps", 2, *QUICK)
    status, listed, _ = call("runs", "--json")
    assert status == 0
    (run,) = listed
    assert (run["name"], run["status"], run["step"]) == ("mine.run", "completed", 2)
    table = json.loads((tmp_path / "mine.run" / "run.json").read_text())
    table |= {"status": "running", "pid_created": 1.0}
    (tmp_path / "mine.run" / "run.json").write_text(json.dumps(table))
    assert call("runs", "--json")[1][0]["status"] == "stopped"
    assert main(["train", "runs"]) == 0
    assert "--resume" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "mine.run")
    assert call("runs", "--json")[1] == []
    assert runs.all_runs() == []
