"""What doctor says, and when."""

from __future__ import annotations

import json
import socket
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge import cli, doctor, midi_systems
from bridge.config import Config, Files, Osc
from bridge.doctor import Check, Status
from engine.errors import Code, SidemanError


def look(name: str, config: Config | None = None) -> list[Check]:
    return list(doctor.CHECKS[name](name, config or Config()))


def test_every_check_says_something(free_port: int) -> None:
    checks = list(doctor.examine(Config(osc=Osc(port=free_port))))
    assert {check.name.split()[0] for check in checks} >= {n.split()[0] for n in doctor.CHECKS}
    for check in checks:
        assert check.text
        assert "\n" not in check.text
        assert check.remedy or check.status is not Status.FAIL or check.name not in doctor.CHECKS


def test_a_port_that_is_taken(free_port: int) -> None:
    config = Config(osc=Osc(port=free_port))
    assert look("osc", config)[0].status is Status.OK
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", free_port))
        (check,) = look("osc", config)
    assert check.status is Status.FAIL
    assert "--osc-port" in check.remedy


def test_sessions_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (check,) = look("sessions", Config(files=Files(sessions=str(tmp_path / "file" / "x"))))
    assert check.status is Status.FAIL
    folder = tmp_path / "a" / "b"
    (check,) = look("sessions", Config(files=Files(sessions=str(folder))))
    assert (check.status, check.text) == (Status.OK, str(folder))
    assert not folder.exists()


def test_a_soundfont_that_is_none(tmp_path: Path) -> None:
    font = tmp_path / "x.sf2"
    font.write_bytes(b"no font")
    (check,) = look("sound", Config(files=Files(soundfont=str(font))))
    assert check.status is Status.WARN
    assert check.remedy


def test_a_broken_preset_fails(user_folders: Path) -> None:
    mine = user_folders / "config" / "sideman" / "presets" / "mine.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text("kind = 3\n")
    failed = [check for check in look("presets") if check.status is Status.FAIL]
    assert any("mine.toml, line 1" in check.text for check in failed)


def test_midi_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(midi_systems.sys.modules, "rtmidi", None)
    (check,) = look("midi")
    assert check.status is Status.WARN
    assert "--no-midi" in check.remedy


def test_a_check_that_breaks_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(name: str, _: Config) -> Iterator[Check]:
        yield Check(name, Status.OK, "first")
        raise RuntimeError("broken\nbadly")

    monkeypatch.setattr(doctor, "CHECKS", {"a": breaks, "python": doctor.CHECKS["python"]})
    checks = list(doctor.examine(Config()))
    assert [(c.name, c.status, c.text) for c in checks[:2]] == [
        ("a", Status.OK, "first"),
        ("a", Status.FAIL, "broken badly"),
    ]
    assert checks[2].name == "python"


@pytest.mark.parametrize(("status", "code"), [(Status.OK, 0), (Status.WARN, 0), (Status.FAIL, 1)])
def test_the_command(
    status: Status,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {"a": lambda name, _: iter([Check(name, status, "text", "do this")])}
    monkeypatch.setattr(doctor, "CHECKS", found)
    assert cli.main(["doctor"]) == code
    assert capsys.readouterr().out == f"{status:<4}  a: text\n      → do this\n"
    assert cli.main(["doctor", "--json"]) == code
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {"name": "a", "status": status, "text": "text", "remedy": "do this"}


def rtmidi(inputs: list[str], problem: Exception | None = None) -> types.ModuleType:
    """A python-rtmidi that was built with ALSA alone."""
    module = types.ModuleType("rtmidi")

    class Port:
        def __init__(self, api: int) -> None:
            assert api == 2
            if problem:
                raise problem

        def get_ports(self) -> list[str]:
            return inputs

    for index, name in enumerate(midi_systems.NAMES):
        setattr(module, f"API_{name}", 2 + index)
    module.__dict__.update(
        MidiIn=Port,
        MidiOut=Port,
        get_compiled_api=lambda: [2],
        RtMidiError=OSError,
        SystemError=LookupError,
    )
    return module


def test_ports(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(midi_systems.sys.modules, "rtmidi", rtmidi(["Keys", "Pads"]))
    assert cli.main(["ports", "--json"]) == 0
    (system,) = json.loads(capsys.readouterr().out)
    assert system == {
        "api": "alsa",
        "available": True,
        "inputs": ["Keys", "Pads"],
        "outputs": ["Keys", "Pads"],
        "problem": "",
        "opens": [
            {"role": "in", "way": "in", "name": "Sideman In", "virtual": True, "found": None},
            {"role": "out", "way": "out", "name": "Sideman Out", "virtual": True, "found": None},
        ],
    }
    assert cli.main(["ports"]) == 0
    assert "alsa    in         Keys" in capsys.readouterr().out


def test_ports_that_an_engine_would_open_are_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(midi_systems.sys.modules, "rtmidi", rtmidi(["My Keys", "Pads"]))
    file = tmp_path / "config.toml"
    file.write_text('[midi]\ninput = "keys"\noutput = "synth"\ncontrol = "pads"\n')
    assert cli.main(["ports", "--config", str(file), "--json"]) == 0
    (system,) = json.loads(capsys.readouterr().out)
    assert [(port["role"], port["found"]) for port in system["opens"]] == [
        ("in", "My Keys"), ("out", None), ("control", "Pads"), ("lights", "Pads"),
    ]  # fmt: skip
    assert cli.main(["ports", "--config", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines if "My Keys" in line] == ["in", "Keys"]
    assert any("synth (waited for: it is not there)" in line for line in lines)


def test_a_system_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(midi_systems.sys.modules, "rtmidi", rtmidi([], LookupError("no ALSA")))
    (system,) = midi_systems.systems()
    assert system.problem == "no ALSA"
    assert system.rows() == [("alsa", "-", "not available: no ALSA")]


def test_no_midi_at_all_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(midi_systems.sys.modules, "rtmidi", None)
    with pytest.raises(SidemanError, match="MIDI cannot be used") as caught:
        midi_systems.systems()
    assert caught.value.code is Code.NOT_ALLOWED
