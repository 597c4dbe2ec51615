"""The config file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import config
from bridge.config import Config, ServeOptions
from engine.errors import Code, SidemanError


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_a_file_everything_is_as_the_interface_says() -> None:
    assert config.load() == Config()
    options = ServeOptions()
    assert (options.osc_host, options.osc_port, options.panel_port) == ("127.0.0.1", 9700, 9780)


def test_the_users_own_file_is_read(user_folders: Path) -> None:
    written(user_folders / "config" / "sideman", 'preset = "piano"\n[osc]\nport = 9701\n')
    settings = config.load()
    assert (settings.preset, settings.osc.port, settings.osc.host) == ("piano", 9701, "127.0.0.1")


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SidemanError, match="No such file"):
        config.load(tmp_path / "none.toml")


def test_all_tables(tmp_path: Path) -> None:
    settings = config.load(
        written(
            tmp_path,
            """
            preset = "bass"
            device = "cpu"
            clock = "osc"
            log_level = "debug"
            [osc]
            host = "0.0.0.0"
            port = 1
            token = "secret"
            [midi]
            input = "Keys"
            output = "Synth"
            api = "jack"
            enabled = false
            control_channel = 15
            [panel]
            port = 2
            enabled = false
            [files]
            sessions = "~/sessions"
            allowed = ["~/loops", "relative"]
            soundfont = "x.sf2"
            [triggers]
            "1 cc 20" = "temperature 0.6..1.4"
            [parameters]
            temperature = 0.8
            late = "drop"
            bars = 8
            speculation = false
            """,
        )
    )
    assert settings.midi.api == "jack"
    assert settings.files.allowed_folders == (Path.home() / "loops", Path.cwd() / "relative")
    assert settings.parameters == {
        "temperature": 0.8,
        "late": "drop",
        "bars": 8,
        "speculation": False,
    }


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[osc]\nprot = 1", 2, "the nearest known key is 'port' in [osc]"),
        ("port = 1", 1, "the nearest known key is 'port' in [osc]"),
        ("[osc]\nport = 70000", 2, "65535"),
        ("[osc]\nport = '9700'", 2, "osc.port: expected a whole number, got a string"),
        ("[midi]\napi = 'asio'", 2, "asio"),
        ("[files]\nallowed = '~/x'", 2, "files.allowed: expected a list"),
        ("[triggers]\n'1 cc' = 'undo'", 2, "CHANNEL KIND NUMBER"),
        ("[parameters]\n\ntemprature = 1", 3, "the nearest known key is 'temperature'"),
        ("[parameters]\ntemperature = 3", 2, "temperature must be a number from 0 to 2"),
        ("[parameters]\ntemperature = nan", 2, "temperature"),
        ("[parameters]\nplaying = true", 2, "playing"),
    ],
)
def test_errors_name_file_and_line(text: str, line: int, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SidemanError) as caught:
        config.load(path)
    assert caught.value.code is Code.BAD_FILE
    assert caught.value.text.startswith(f"{path}, line {line}: ")
    assert words in caught.value.text
