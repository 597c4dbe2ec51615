"""The command line: names, exit statuses, one-line errors, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from bridge import cli
from bridge.config import ContinueOptions, ServeOptions
from engine.errors import Code, SidemanError

Run = Callable[..., CompletedProcess[str]]
HEAVY = {
    "miditok", "mido", "numba", "llvmlite", "peft", "rich", "rwkv", "safetensors", "scipy",
    "soundfile", "soxr", "symusic", "tensorboard", "tinysoundfont", "torch", "transformers",
}  # fmt: skip
"""Libraries that commands import when they run, and not before."""

PATIENCE = 30.0
"""Seconds after which help does not come any more, on the busiest machine."""

COMMANDS = (
    "serve",
    "continue",
    "demo",
    "presets",
    "models",
    "ports",
    "listen",
    "doctor",
    "bench",
    "render",
    "train",
)


def stand_in(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, answer: Any
) -> list[tuple[Any, ...]]:
    """Put a recorder in the place of what a command calls; returns its list of calls."""
    calls: list[tuple[Any, ...]] = []

    def record(*arguments: Any, **_: Any) -> Any:
        calls.append(arguments)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    room = types.ModuleType(module)
    setattr(room, name, record)
    monkeypatch.setitem(sys.modules, module, room)
    return calls


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    listed = [
        line.split()[0]
        for line in capsys.readouterr().out.split("Commands:")[1].splitlines()
        if line.strip()
    ]
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize(
    "command",
    [[name] for name in COMMANDS]
    + [["models", "get"]]
    + [["train", name] for name in ("tokenize", "midi", "evaluate", "runs")],
    ids=" ".join,
)
def test_help_on_every_one(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command, "--help"]) == 0
    assert f"Usage: sideman {' '.join(command)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["play"],
        ["serve", "--bogus"],
        ["serve", "--osc-port", "many"],
        ["serve", "--osc-port", "65536"],
        ["serve", "--clock", "sundial"],
        ["continue"],
        ["continue", "-o", "x.mid", "--program", "128"],
        ["continue", "-o", "x.mid", "--bars", "0"],
        ["render", "in.mid"],
        ["models", "get"],
        ["train", "midi", "tokens"],
        ["train", "export"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr().out == ""


def test_serve_takes_options_before_the_file_before_the_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = stand_in(monkeypatch, "bridge.serve", "serve", 0)
    file = tmp_path / "c.toml"
    file.write_text(
        f'preset = "bass"\nclock = "midi"\n[osc]\nport = 1\n[midi]\nenabled = false\n'
        f'[files]\nsessions = "{tmp_path}"\n[panel]\nport = 5\n'
    )
    arguments = [
        "serve",
        "--config",
        str(file),
        "--osc-port",
        "0",
        "--preset",
        "trio",
        "--new-session",
    ]
    assert cli.main(arguments) == 0
    ((options,),) = calls
    assert isinstance(options, ServeOptions)
    assert (options.osc_host, options.osc_port, options.panel_port) == ("127.0.0.1", 0, 5)
    assert (options.preset, options.clock, options.no_midi) == ("trio", "midi", True)
    assert (options.sessions, options.new_session) == (tmp_path, True)
    assert options.config.preset == "bass"


def test_continue_takes_what_the_interface_names(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, "bridge.offline", "run_continue", 0)
    line = (
        "continue in.mid -o out.wav --bars 2 --preset piano --model m --adapter a --prompt p "
        "--seed 3 --temperature 0.5 --top-p 0.8 --chords C:4|Am:4 --key Cmin --program 5 "
        "--variations 2 --bpm 90 --append"
    )
    assert cli.main(line.split()) == 0
    ((options,),) = calls
    assert options == ContinueOptions(
        input=Path("in.mid"),
        output=Path("out.wav"),
        bars=2,
        preset="piano",
        model="m",
        adapter="a",
        prompt="p",
        seed=3,
        temperature=0.5,
        top_p=0.8,
        chords="C:4|Am:4",
        key="Cmin",
        program=5,
        variations=2,
        bpm=90,
        append=True,
    )


@pytest.mark.parametrize("status", [0, 1])
def test_a_command_hands_on_its_status(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "bridge.serve", "serve", status)
    assert cli.main(["serve"]) == status


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (SidemanError(Code.BAD_FILE, "this is\nwrong"), "error: this is wrong\n"),
        (FileNotFoundError(2, "No such file", "x.mid"), "error: x.mid: No such file\n"),
        (
            ZeroDivisionError("by\nzero"),
            "error: ZeroDivisionError: by zero (--debug shows where)\n",
        ),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch.nn"),
            "error: this needs the extra 'train': pip install 'sideman[train]'\n",
        ),
    ],
)
def test_errors_are_one_line(
    problem: Exception,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stand_in(monkeypatch, "bridge.serve", "serve", problem)
    assert cli.main(["serve"]) == 1
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("arguments", [["--debug", "serve"], ["serve", "--debug"]])
def test_debug_shows_the_traceback(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "bridge.serve", "serve", SidemanError(Code.BAD_FILE, "wrong"))
    with pytest.raises(SidemanError, match="wrong"):
        cli.main(arguments)


def test_an_unknown_preset_key_is_an_error_of_the_command(
    user_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = user_folders / "config" / "sideman" / "presets" / "mine.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text('kind = "midi"\n\n[sampling]\ntemprature = 1\n')
    assert cli.main(["presets"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"error: {mine}, line 4: unknown key 'temprature' in [sampling]; "
        "the nearest known key is 'temperature' in [sampling]\n"
    )


def test_presets_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["presets", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"trio", "piano", "drums", "bass", "strings", "chords", "answer"} <= {
        row["name"] for row in rows
    }
    assert all(row["kind"] in ("midi", "audio") and row["licence"] for row in rows)
    kinds = {row["name"]: row["kind"] for row in rows}
    assert (kinds["trio"], kinds["loop"], kinds["tiny-audio"]) == ("midi", "audio", "audio")


def test_presets_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "kind", "model", "size", "licence", "title"]
    assert any(line.startswith("trio ") for line in lines)


def test_models_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "--json"]) == 0
    for row in json.loads(capsys.readouterr().out):
        assert {"name", "kind", "size_bytes", "licence", "default", "folder"} <= row.keys()


def test_an_unknown_model_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "get", "no-such-model"]) == 1
    assert capsys.readouterr().err.startswith("error: there is no model 'no-such-model'; ")


def test_listen_without_an_engine_fails(free_port: int, sideman: Run) -> None:
    ran = sideman("listen", "--osc-port", str(free_port), "--seconds", "1")
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"error: no engine answers at 127.0.0.1:{free_port}")


def test_the_doors_of_engine_and_training(sideman: Run) -> None:
    assert "Usage: sideman serve" in sideman("--help", module="engine").stdout
    assert "Usage: sideman train" in sideman("--help", module="training").stdout
    assert sideman("--bogus", module="engine").returncode == 2


def test_help_is_quick() -> None:
    """Nothing that takes long to import is imported; how busy the machine is does not matter."""
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bridge.cli", "--help"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    imported = {line.split("|")[-1].strip() for line in shown.stderr.splitlines() if "|" in line}
    assert "bridge.commands.serve" in imported, "the list is one of modules"
    assert not {name.partition(".")[0] for name in imported} & HEAVY
    assert not imported & {"bridge.serve", "bridge.offline", "engine.conductor", "engine.generate"}
