"""The command line from outside: what it prints, what it writes, and how it exits."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido
import pytest

from bridge.files.midi_file import MidiSong, write_midi
from tests.e2e.client import Client
from tests.e2e.engine import REPOSITORY, Engine
from tests.e2e.music import held_out, own_phrase

Run = Callable[..., subprocess.CompletedProcess[str]]

SIDEMAN = Path(sys.executable).with_name("sideman")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the installed ``sideman`` in a folder of its own, where it may leave files."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [str(SIDEMAN)] if SIDEMAN.exists() else [sys.executable, "-m", "bridge.cli"]
        return subprocess.run(
            [*command, *map(str, words)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def last_json(result: subprocess.CompletedProcess[str]) -> Any:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def refused(result: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """Its one line on stderr."""
    assert result.returncode == status, result
    assert "Traceback" not in result.stderr
    if status == 1:
        assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Four bars on four tracks."""
    file = tmp_path / "song.mid"
    notes = [note for part in own_phrase(4).parts for note in part.notes]
    write_midi(file, MidiSong.of_notes(notes, bpm=108.0))
    return file


def onsets(file: Path) -> list[float]:
    """The onsets of a MIDI file in quarter notes, by another reader."""
    read = mido.MidiFile(file)
    found = []
    for track in read.tracks:
        at = 0
        for message in track:
            at += message.time
            if message.type == "note_on" and message.velocity:
                found.append(at / read.ticks_per_beat)
    return sorted(found)


def test_continue_writes_what_comes_next(run: Run, song: Path, tmp_path: Path) -> None:
    answer = last_json(run("continue", song, "-o", "out.mid", "--bars", 2, "--seed", 3, "--json"))
    out = tmp_path / "out.mid"
    assert Path(answer["output"]).name == "out.mid"
    found = onsets(out)
    assert found and found[-1] < 8
    again = run("continue", song, "-o", "again.mid", "--bars", 2, "--seed", 3)
    assert again.returncode == 0 and again.stdout.strip()
    assert (tmp_path / "again.mid").read_bytes() == out.read_bytes()
    run("continue", song, "-o", "other.mid", "--bars", 2, "--seed", 4)
    assert (tmp_path / "other.mid").read_bytes() != out.read_bytes()


def test_append_holds_the_input_too(run: Run, song: Path, tmp_path: Path) -> None:
    result = run("continue", song, "-o", "all.mid", "--bars", 1, "--append", "--seed", 1)
    assert result.returncode == 0, result.stderr
    both, before = onsets(tmp_path / "all.mid"), onsets(song)
    assert both[: len(before)] == before
    assert both[len(before) :] and all(16 <= onset < 20 for onset in both[len(before) :])


def test_variations_chords_key_program_and_bpm(run: Run, tmp_path: Path) -> None:
    answer = last_json(
        run("continue", "-o", "v.mid", "--chords", "C:4|Am:4", "--bars", 2, "--variations", 2,
            "--program", 0, "--key", "Cmaj", "--bpm", 90, "--seed", 1, "--json")
    )  # fmt: skip
    assert len(answer["takes"]) == 2
    files = [tmp_path / Path(take["output"]).name for take in answer["takes"]]
    assert len({file.read_bytes() for file in files}) == 2
    for file in files:
        messages = [m for track in mido.MidiFile(file).tracks for m in track]
        assert {m.note % 12 for m in messages if m.type == "note_on"} <= {0, 2, 4, 5, 7, 9, 11}
        assert [round(mido.tempo2bpm(m.tempo)) for m in messages if m.type == "set_tempo"] == [90]


def test_a_preset_that_may_begin_by_itself_needs_no_input(run: Run, tmp_path: Path) -> None:
    assert run("continue", "-o", "d.mid", "--preset", "drums", "--bars", 1).returncode == 0
    assert onsets(tmp_path / "d.mid")
    assert "played" in refused(run("continue", "-o", "n.mid", "--preset", "piano"))


def test_continue_to_sound_has_its_exact_length(run: Run, song: Path, tmp_path: Path) -> None:
    result = run("continue", song, "-o", "out.wav", "--bars", 1, "--seed", 1)
    if result.returncode and "SoundFont" in result.stderr:
        pytest.skip("needs a SoundFont")
    assert result.returncode == 0, result.stderr
    with wave.open(str(tmp_path / "out.wav")) as sound:
        seconds = sound.getnframes() / sound.getframerate()
    assert seconds == pytest.approx(4 * 60 / 108.0, abs=0.01)


def test_continue_of_a_real_piece(run: Run, music_data: Path, tmp_path: Path) -> None:
    piece = held_out(music_data)[0]
    answer = last_json(run("continue", piece, "-o", "r.mid", "--bars", 2, "--seed", 1, "--json"))
    assert answer["takes"][0]["notes"] == len(onsets(tmp_path / "r.mid")) > 0


@pytest.mark.parametrize(
    "words",
    [
        ("continue", "missing.mid", "-o", "x.mid"),
        ("continue", "song.mid", "-o", "x.xyz"),
        ("continue", "song.mid", "-o", "x.mid", "--preset", "nobody"),
        ("continue", "song.mid", "-o", "x.mid", "--model", "nobody"),
        ("continue", "song.mid", "-o", "x.mid", "--chords", "H:4"),
        ("continue", "song.mid", "-o", "x.mid", "--key", "Hmaj"),
        ("continue", "broken.mid", "-o", "x.mid"),
        ("render", "missing.mid", "-o", "x.wav"),
        ("render", "broken.mid", "-o", "x.wav"),
        ("models", "get", "nobody"),
        ("serve", "--preset", "nobody", "--osc-port", "0"),
        ("serve", "--osc-host", "0.0.0.0", "--osc-port", "0"),
        ("serve", "--config", "missing.toml"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_1_and_one_line(
    run: Run, song: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "broken.mid").write_bytes(song.read_bytes()[:30])
    refused(run(*words))
    assert not list(tmp_path.glob("x.*"))


@pytest.mark.parametrize(
    "words",
    [
        ("continue", "song.mid"),
        ("continue", "-o", "x.mid", "--bars", "0"),
        ("continue", "-o", "x.mid", "--bars", "10000"),
        ("continue", "-o", "x.mid", "--bars", "four"),
        ("continue", "-o", "x.mid", "--variations", "0"),
        ("serve", "--device", "abacus"),
        ("nonsense",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(run: Run, words: tuple[str, ...]) -> None:
    refused(run(*words), status=2)


def test_render_has_the_files_exact_length(run: Run, song: Path, tmp_path: Path) -> None:
    result = run("render", song, "-o", "song.wav", "--json")
    if result.returncode and "SoundFont" in result.stderr:
        pytest.skip("needs a SoundFont")
    made = last_json(result)
    assert made["seconds"] == pytest.approx(16 * 60 / 108.0, abs=0.5)
    with wave.open(str(tmp_path / "song.wav")) as sound:
        frames = sound.readframes(sound.getnframes())
    assert max(frames) > 0  # it sounds


def test_demo_writes_a_take_as_midi_and_as_sound(run: Run, tmp_path: Path) -> None:
    report = last_json(run("demo", "-o", "heard", "--seed", 1, "--json"))
    happened = [event["what"] for event in report["events"]]
    assert {"accepted", "open", "bar", "close", "done"} <= set(happened)
    files = {file.name for file in (tmp_path / "heard").iterdir()}
    assert files == {Path(file).name for file in report["files"]}
    assert {"take.mid", "take.wav"} <= files
    assert len(onsets(tmp_path / "heard" / "take.mid")) == report["notes"] > 0


def test_presets_and_models_say_kind_size_and_licence(run: Run) -> None:
    presets = {row["name"]: row for row in last_json(run("presets", "--json"))}
    assert {"trio", "piano", "drums", "bass", "strings", "chords", "answer", "band"} <= set(presets)
    models = last_json(run("models", "--json"))
    for row in [*presets.values(), *models]:
        assert row["kind"] in ("midi", "audio") and row["licence"]
    assert any(row["default"] and 0 < row["size_bytes"] <= 16 * 2**20 for row in models)
    name = models[0]["name"]
    assert last_json(run("models", "get", name, "--json"))["name"] == name


def test_doctor_says_ok_warn_or_fail_and_what_to_do(run: Run) -> None:
    result = run("doctor", "--json")
    checks = json.loads(result.stdout)
    assert {check["status"] for check in checks} <= {"OK", "WARN", "FAIL"}
    assert result.returncode == int(any(check["status"] == "FAIL" for check in checks))
    assert all(check["remedy"] for check in checks if check["status"] != "OK")


def test_a_port_that_is_taken_is_named_with_its_holder(run: Run) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        line = refused(run("serve", "--osc-port", port, "--no-midi", "--no-panel"))
    assert str(port) in line and str(os.getpid()) in line


def test_a_second_engine_on_the_same_port_leaves_the_first_alone(run: Run, home: Path) -> None:
    engine = Engine(home)
    try:
        line = refused(run("serve", "--osc-port", engine.port, "--no-midi", "--no-panel"))
        assert str(engine.process.pid) in line
        assert engine.stop(signal.SIGINT) == 0
    finally:
        engine.kill()


def test_listen_prints_what_an_engine_sends(run: Run, home: Path) -> None:
    engine = Engine(home)
    watcher = subprocess.Popen(
        [sys.executable, "-m", "bridge.cli", "listen", "--osc-port", str(engine.port), "--json"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert watcher.stdout is not None
        with Client(engine) as client:
            while not select.select([watcher.stdout], [], [], 0.0)[0]:  # until it is there
                client.request("continue", 1, preset="drums", bars=1)
            last = client.request("continue", 1, preset="drums", bars=1)
        seen: list[str] = []
        while "/sideman/done" not in seen:
            message = json.loads(watcher.stdout.readline())
            seen += [message["address"]] if message["args"][0] == last.req else []
        assert seen[:2] == ["/sideman/accepted", "/sideman/clip/open"]
        assert seen.count("/sideman/clip/note") == len(last.notes)
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(10) == 0
    finally:
        watcher.kill()
        watcher.wait()
        engine.kill()
