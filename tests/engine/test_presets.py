"""Presets: what ships loads, what is wrong is named, and names never become paths."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import presets
from engine.errors import Code, SidemanError
from engine.music import DRUMS
from engine.presets import Midi, Preset, Sampling
from engine.sampling import Curve
from engine.triggers import Action, Kind, Trigger

SHIPPED = ("answer", "bass", "chords", "drums", "piano", "strings", "trio")


def error(text: str) -> str:
    with pytest.raises(SidemanError) as caught:
        presets.parse(text, "mine")
    assert caught.value.code is Code.BAD_FILE
    return caught.value.text


def test_what_ships() -> None:
    assert set(SHIPPED) <= set(presets.names())
    assert presets.DEFAULT in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_presets_load(name: str) -> None:
    preset = presets.load(name)
    assert (preset.name, preset.kind, preset.model) == (name, "midi", "default")
    assert preset.title
    assert preset.description
    assert preset.licence
    assert set(preset.midi.channel_of) <= set(preset.midi.program_numbers)


def test_shipped_instruments() -> None:
    assert presets.load("trio").midi.program_numbers == (0, 33, DRUMS)
    assert presets.load("trio").midi.channel_of == {0: 1, 33: 2, DRUMS: 10}
    assert presets.load("bass").midi.polyphony == 1
    assert presets.load("chords").midi.begins
    assert presets.load("answer").midi.call == 4


def test_all_that_a_preset_may_say() -> None:
    preset = presets.parse(
        """
        kind = "midi"
        model = "default"
        title = "t"
        description = "d"
        licence = "CC0-1.0"
        adapter = "a"
        strength = 0.5
        [sampling]
        temperature = 1
        top_p = 0.9
        top_k = 40
        repetition_penalty = 1.2
        decay = 0.9
        window = 64
        curve = { shape = "sine", temperature = 0.2, period = 4 }
        [midi]
        programs = [0, "bass", "drums"]
        bars = 8
        polyphony = 4
        density = 2
        low = 30
        high = 90
        key = "Cmin"
        chords = "C:4|Am:4"
        chord_share = 0.8
        begins = true
        role = "bass"
        call = 2
        channels = { 0 = 3, drums = 10 }
        [triggers]
        "16 note 36" = "continue"
        "1 cc 20" = "temperature 0.6..1.4"
        "1 program 3" = "preset trio"
        """,
        "mine",
    )
    assert preset.name == "mine"
    assert preset.sampling.curve == Curve("sine", temperature=0.2, period=4)
    assert preset.midi.program_numbers == (0, 33, DRUMS)
    assert preset.midi.channel_of == {0: 3, DRUMS: 10}
    assert preset.actions[Trigger(16, Kind.NOTE, 36)] == Action("continue")
    with pytest.raises(FrozenInstanceError):
        preset.model = "other"  # type: ignore[misc]


def test_audio_presets_are_read() -> None:
    preset = presets.parse('kind = "audio"\n[audio]\nbars = 2\nprompt = "warm pads"\n', "pads")
    assert (preset.kind, preset.audio.prompt) == ("audio", "warm pads")


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        (["[sampling]", "temprature = 1"], 3, "the nearest known key is 'temperature'"),
        (["temperature = 1"], 2, "the nearest known key is 'temperature' in [sampling]"),
        (["[midi]", "", "# a comment", "programms = [0]"], 5, "known key is 'programs'"),
        (["[midi]", "programs = ['pianola']"], 3, "pianola"),
        (["[midi]", "programs = [128]"], 3, "128"),
        (["[midi]", "key = 'Hmin'"], 3, "Hmin"),
        (["[midi]", "bars = 4", "chords = 'C:4|Q:4'"], 4, "column 5"),
        (["[midi]", "low = 80", "high = 20"], 3, "low 80 lies above high 20"),
        (["[midi]", "channels = { piano = 17 }"], 3, "16"),
        (["[midi]", "bars = 65"], 3, "64"),
        (["[midi]", "density = 0"], 3, "midi.density"),
        (["[sampling]", "top_p = 0.0"], 3, "sampling.top_p"),
        (["[triggers]", '"16 note 36" = "continue"', '"16 not 37" = "undo"'], 4, "note, cc, prog"),
        (["[triggers]", '"16 note 36" = "contine"'], 3, "the nearest is 'continue'"),
        (["name = 'other'"], 2, "unknown key 'name'"),
    ],
)
def test_errors_name_file_and_line(lines: list[str], line: int, words: str) -> None:
    said = error("\n".join(['kind = "midi"', *lines]))
    assert said.startswith(f"mine.toml, line {line}: ")
    assert words in said


def test_the_kind_must_be_said() -> None:
    assert "the key 'kind' is missing" in error("[midi]\nbars = 4")


NEAR_KEYS = [f.name for table in (Sampling, Midi) for f in fields(table)]


@given(st.sampled_from(NEAR_KEYS), st.data())
def test_a_slip_of_the_finger_is_put_right(key: str, data: st.DataObject) -> None:
    """One letter dropped out of a long key: the key that was meant is named."""
    if len(key) < 6:
        return
    at = data.draw(st.integers(0, len(key) - 1))
    slip = key[:at] + key[at + 1 :]
    table = "sampling" if key in {f.name for f in fields(Sampling)} else "midi"
    if slip not in NEAR_KEYS:
        said = error(f'kind = "midi"\n[{table}]\n{slip} = 1')
        assert said.startswith("mine.toml, line 3: ")
        assert f"nearest known key is {key!r}" in said


def test_the_users_preset_comes_first(user_folders: Path) -> None:
    mine = user_folders / "config" / "sideman" / "presets"
    mine.mkdir(parents=True)
    (mine / "trio.toml").write_text('kind = "midi"\ntitle = "mine"\n')
    (mine / "solo.toml").write_text('kind = "midi"\ntitel = "mine"\n')
    assert presets.load("trio").title == "mine"
    assert "solo" in presets.names()
    with pytest.raises(SidemanError, match=r"solo\.toml, line 2: unknown key 'titel'"):
        presets.load("solo")


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(SidemanError, match="no preset 'trios'; the nearest is 'trio'") as caught:
        presets.load("trios")
    assert caught.value.code is Code.UNKNOWN_PRESET


@pytest.mark.parametrize(
    "name", ["", "../trio", "/etc/passwd", "trio.toml", "a/b", "tr\0io", "x" * 300]
)
def test_names_are_never_paths(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "trio.toml").write_text('kind = "midi"\n')
    with pytest.raises(SidemanError) as caught:
        presets.load(name, (tmp_path / "in",))
    assert caught.value.code is Code.UNKNOWN_PRESET


@given(st.text(max_size=40))
def test_any_name_is_a_preset_or_unknown(name: str) -> None:
    try:
        assert isinstance(presets.load(name), Preset)
    except SidemanError as problem:
        assert problem.code is Code.UNKNOWN_PRESET
