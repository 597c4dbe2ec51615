"""Grids of a sweep's values, and runs that are stopped and gone on with by name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("yaml")

import psutil

from bridge.cli import main
from engine.errors import SidemanError
from training import grid, runs

# The form of the thesis's sweeps.
SWEEP = """
program: main.py
method: grid
metric: {name: fad_avg, goal: minimize}
parameters:
  lr: {values: [0.1, 0.01]}
  tokens_num: {value: 2}
  randomize-tokens: {values: [true, false]}
"""


def write(folder, text):
    (folder / "sweep.yaml").write_text(text)
    return folder / "sweep.yaml"


def test_every_value_with_every_other(tmp_path):
    points = grid.read(write(tmp_path, SWEEP))
    assert [point.name for point in points] == [
        "001-lr-0.1-randomize-tokens-True", "002-lr-0.1-randomize-tokens-False",
        "003-lr-0.01-randomize-tokens-True", "004-lr-0.01-randomize-tokens-False",
    ]  # fmt: skip
    assert points[1].words == ["--lr", "0.1", "--tokens-num", "2", "--no-randomize-tokens"]
    assert points[2].words[-1] == "--randomize-tokens"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parameters: [", "is not YAML"),
        ("method: grid", "no 'parameters'"),
        ("- 1", "no 'parameters'"),
        ("method: bayes\nparameters: {lr: {value: 1}}", "'bayes', and only grids"),
        ("parameters: {lr: {min: 0, max: 1}}", "'lr' has neither"),
        ("parameters: {lr: {values: []}}", "'lr' has neither"),
        ("parameters: {lr: {value: [1]}}", "cannot be"),
        (f"parameters: {{a: {{values: {list(range(40))}}}, b: {{values: {list(range(40))}}}}}",
         "1600 runs"),
        ("parameters: {a: {value: !!python/object:os.system x}}", "is not YAML"),
    ],
)  # fmt: skip
def test_what_is_no_grid_is_one_clear_line(tmp_path, text, words):
    with pytest.raises(SidemanError, match=words) as error:
        grid.read(write(tmp_path, text))
    assert "\n" not in error.value.text


@pytest.fixture
def trained(monkeypatch):
    """What a grid's processes are told; each makes its folder, and says how well it did."""
    told = []

    def run(command, **settings):
        words = command[3:]
        folder = words[words.index("-o") + 1]
        os.makedirs(folder, exist_ok=True)
        told.append(words)
        if "9" in words:
            return subprocess.CompletedProcess(command, 1, "", "")
        loss = float(words[words.index("--lr") + 1])
        text = json.dumps({"output": folder, "heldout_after": loss, "seconds": 1.0})
        return subprocess.CompletedProcess(command, 0, f"{text}\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    return told


def test_the_best_is_named_and_what_is_done_is_not_done_again(tmp_path, trained, capsys):
    sweep = write(tmp_path, SWEEP)
    words = ["train", "grid", str(sweep), "concept", "data", "-o", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(trained) == len(said["runs"]) == 4
    assert said["best"].startswith("003-lr-0.01")
    assert trained[0][:2] == ["concept", "data"] and trained[0][-1] == "--json"
    assert main(words) == 0
    assert len(trained) == 4
    write(tmp_path, SWEEP.replace("0.01", "0.02"))
    assert main(words) == 0
    assert len(trained) == 6


def test_a_run_that_fails_ends_the_grid_and_it_can_go_on(tmp_path, trained, capsys):
    out = str(tmp_path / "out")
    write(tmp_path, "parameters: {lr: {values: [1, 9, 2]}}")
    words = ["train", "grid", str(tmp_path / "sweep.yaml"), "audio", "data", "-o", out]
    assert main(words) == 1
    assert "002-lr-9 came to no end" in capsys.readouterr().err
    assert set(grid.results(tmp_path / "out")) == {"001-lr-1"}


def test_a_damaged_list_is_one_clear_line(tmp_path):
    (tmp_path / "grid.json").write_text("[1]")
    with pytest.raises(SidemanError, match="no list of a grid's runs"):
        grid.results(tmp_path)


def begin_run(folder, pid, status="running"):
    folder.mkdir()
    created = psutil.Process(pid).create_time()
    table = {"status": status, "pid": pid, "pid_created": created, "config": {}}
    (folder / "run.json").write_text(json.dumps(table))


def test_a_run_is_stopped_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import signal; print('ready', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        begin_run(tmp_path / "mine.run", process.pid)
        assert main(["train", "runs", "--stop", "mine"]) == 0
        assert process.wait(timeout=10) == -signal.SIGTERM
    assert runs.read(tmp_path / "mine.run")["status"] == "stopped"


def test_only_what_runs_can_be_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    begin_run(tmp_path / "done.run", os.getpid(), "completed")
    assert main(["train", "runs", "--stop", "done"]) == 1
    assert "is not running: it is completed" in capsys.readouterr().err
    assert main(["train", "runs", "--resume", "done"]) == 1
    assert "trains nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("run", "output"), [("mine.run", "mine"), ("mine.run-2", "mine"), ("a.run.run", "a.run")]
)
def test_what_a_run_makes_is_in_its_name(tmp_path, run, output):
    assert runs.output(tmp_path / run) == tmp_path / output
