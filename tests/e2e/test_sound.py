"""Sound on a running engine: a loop goes on, on the bar, while it is still being made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.e2e.client import Client
from tests.e2e.conftest import leave
from tests.e2e.engine import REPOSITORY, Engine
from tests.e2e.music import own_phrase, play
from tests.support.sounds import hits, noise

pytest.importorskip("torch")
pytest.importorskip("transformers")

RATE = 44_100
BAR = 2 * RATE
"""Samples in a bar at 120 BPM."""
SOUND = "engine.worker.sound"
LOADING = 120.0
"""Patience with a worker that begins by importing torch, on a busy machine."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with an audio preset whose model has to be made first, and adapters for it."""
    from engine.models.musicgen import tiny
    from tests.support.peft_adapter import write

    home = tmp_path_factory.mktemp("sound")
    source = tiny.write(tmp_path_factory.mktemp("model"))
    adapters = home / "data" / "sideman" / "adapters"
    write(adapters / "dub", source)
    foreign = write(adapters / "foreign", source) / "adapter_config.json"
    foreign.write_text(foreign.read_text().replace("musicgen-tiny-random", "musicgen-large"))
    running = Engine(home, "--preset", "tiny-audio")
    try:
        soundfile.write(
            running.session / "loop.wav", hits([i / 2 for i in range(8)], 4.0, RATE), RATE
        )
        with Client(running) as client:
            client.until("ready", patience=LOADING)
        yield running
    finally:
        running.kill()


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    """A client whose track 1 has a loop up to bar 2."""
    with Client(engine) as connected:
        connected.stand(1)
        connected.ask("/sideman/track/load", 1, str(engine.session / "loop.wav"))
        yield connected
        leave(connected)
        connected.ask("/sideman/adapter", "", 0.0)


def sound_of(path: str) -> np.ndarray:
    audio, rate = soundfile.read(path, always_2d=True, dtype="float32")
    assert rate == RATE
    return audio


def test_a_loop_goes_on_at_the_next_bar(client: Client) -> None:
    answer = client.request("audio", 1, bars=4, seed=3)
    assert answer.accepted_ms < 50 and answer.bar == answer.clip.bar == 2
    chunks = answer.clip.chunks
    assert len(chunks) > 4 and chunks[-1].frames == 4 * BAR
    assert [c.bar for c in chunks] == sorted(c.bar for c in chunks)
    audio = sound_of(chunks[0].path)
    assert audio.shape == (4 * BAR, 2) and np.abs(audio).max() <= 10 ** (-1 / 20)
    path = Path(chunks[0].path)
    assert path.parent == client.engine.session and path.name.startswith("take-")
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["model"] == "musicgen-tiny-random" and about["model_hash"]
    assert about["report"]["licence"] == "Apache-2.0" and about["seed"] == 3


def test_its_first_sound_comes_before_it_is_finished(client: Client) -> None:
    answer = client.start("audio", 1, bars=8)
    first = client.next("/sideman/clip/audio", answer.req)
    assert first.args[5] < BAR
    client.inbox.insert(0, first)
    client.inbox.sort(key=lambda message: message.at)
    client.finish(answer)
    assert answer.clip.chunks[-1].frames == 8 * BAR


def test_the_same_seed_gives_the_same_take(client: Client) -> None:
    takes = []
    for seed in (3, 3, 4):
        answer = client.request("audio", 1, bars=1, seed=seed, variations=2)
        takes.append(sound_of(answer.clip.chunks[0].path))
        client.ask("/sideman/undo", 1)
    np.testing.assert_array_equal(takes[0], takes[1])
    assert not np.array_equal(takes[0], takes[2])


def test_an_adapter_counts_and_comes_off(client: Client) -> None:
    def take() -> np.ndarray:
        answer = client.request("audio", 1, bars=1, seed=3)
        client.ask("/sideman/undo", 1)
        return sound_of(answer.clip.chunks[0].path)

    plain = take()
    assert client.ask("/sideman/adapter", "dub", 0.8).args[1:] == ("dub", pytest.approx(0.8))
    dubbed = take()
    client.ask("/sideman/adapter", "dub", 0.0)
    np.testing.assert_array_equal(take(), plain)
    assert not np.array_equal(dubbed, plain)


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [("foreign", "not-allowed", "musicgen-large"), ("nobody", "unknown-model", "nobody")],
)
def test_adapters_that_do_not_fit(client: Client, name: str, code: str, says: str) -> None:
    refused = client.refusal("/sideman/adapter", name, 1.0)
    assert refused.code == code and says in refused.text
    assert client.request("audio", 1, bars=1).code == "done"


def test_without_weights_it_says_what_to_do(client: Client) -> None:
    refused = client.refusal("/sideman/audio", 7, 1, "preset", "loop")
    assert refused.code == "unknown-model"
    assert "sideman models get facebook/musicgen-small" in refused.text


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: np.zeros((RATE, 2)), "no-context"),
        (lambda: np.full((RATE, 2), np.nan), "bad-file"),
        (lambda: hits([0.0], 0.3, RATE), "no-context"),
        (lambda: np.clip(noise(1.0, RATE, 5.0), -1, 1), "bad-file"),
        (lambda: np.repeat(hits([0.0, 0.5], 1.0, RATE), 3, axis=1), "bad-file"),
    ],
    ids=["silence", "nan", "less than a beat", "clipped", "three channels"],
)
def test_files_that_nothing_can_go_on_from(client: Client, make: object, code: str) -> None:
    path = client.engine.session / "odd.wav"
    soundfile.write(path, make(), RATE, subtype="FLOAT")  # type: ignore[operator]
    assert client.refusal("/sideman/track/load", 1, str(path)).code == code
    assert client.request("audio", 1, bars=1).code == "done"


def test_a_file_that_is_cut_short(client: Client) -> None:
    path = client.engine.session / "cut.flac"
    soundfile.write(path, hits([0.0, 0.5], 2.0, RATE), RATE)
    path.write_bytes(path.read_bytes()[:5000])
    assert client.refusal("/sideman/track/load", 1, str(path)).code == "bad-file"


def test_cancelled_within_a_step(client: Client) -> None:
    answer = client.start("audio", 1, bars=32)
    path = Path(str(client.next("/sideman/clip/audio", answer.req).args[3]))
    client.ask("/sideman/cancel", answer.req)
    client.sync()
    left = client.request("audio", 1, bars=1)
    assert left.code == "done"
    assert not path.with_suffix(".json").exists()


def test_notes_are_played_while_sound_is_made(client: Client) -> None:
    play(client, own_phrase())
    client.ask("/sideman/track/load", 9, str(client.engine.session / "loop.wav"))
    sound = client.start("audio", 9, bars=16)
    client.next("/sideman/clip/audio", sound.req)
    notes = client.request("continue", 2, bars=2, preset="piano")
    assert notes.code == "done" and notes.notes
    client.send("/sideman/cancel", sound.req)


def test_a_worker_that_is_killed_goes_on_where_it_was(client: Client) -> None:
    whole = client.request("audio", 1, bars=4, seed=9)
    expected = sound_of(whole.clip.chunks[0].path)
    client.ask("/sideman/undo", 1)
    answer = client.start("audio", 1, bars=4, seed=9)
    first = client.next("/sideman/clip/audio", answer.req)
    client.engine.worker(module=SOUND).kill()
    client.inbox.insert(0, first)
    client.inbox.sort(key=lambda message: message.at)
    client.finish(answer, patience=LOADING)
    assert answer.code == "done"
    np.testing.assert_array_equal(sound_of(answer.clip.chunks[0].path), expected)


def test_a_restart_finds_takes_and_recordings(tmp_path: Path) -> None:
    first = Engine(tmp_path, "--preset", "tiny-audio")
    try:
        soundfile.write(first.session / "loop.wav", hits([0, 0.5, 1, 1.5], 2.0, RATE), RATE)
        with Client(first) as client:
            client.stand(1)
            client.ask("/sideman/track/load", 1, str(first.session / "loop.wav"))
            answer = client.finish(client.start("audio", 1, bars=1, seed=3), patience=LOADING)
            expected = sound_of(answer.clip.chunks[0].path)
            client.ask("/sideman/undo", 1)
        first.kill()
        second = Engine(tmp_path, "--preset", "tiny-audio")
        try:
            with Client(second) as client:
                assert client.ask("/sideman/redo", 1).args[2] == answer.clip.take
                client.ask("/sideman/undo", 1)
                client.stand(1)
                again = client.finish(client.start("audio", 1, bars=1, seed=3), patience=LOADING)
                assert again.clip.take > answer.clip.take
                np.testing.assert_array_equal(sound_of(again.clip.chunks[0].path), expected)
        finally:
            second.kill()
    finally:
        first.kill()


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CONFIG", "DATA")}
    return subprocess.run(
        [sys.executable, "-m", "bridge.cli", *arguments],
        cwd=REPOSITORY,
        env=os.environ | folders,
        capture_output=True,
        text=True,
        timeout=LOADING,
        check=False,
    )


def test_a_recorded_loop_goes_on_from_the_command_line(music_data: Path, tmp_path: Path) -> None:
    loop = music_data / "audio" / "loops" / "loop_amen_full.flac"
    out = tmp_path / "more.wav"
    done = run(
        "continue", str(loop), "-o", str(out), "--bars", "4", "--preset", "tiny-audio",
        "--bpm", "140", "--seed", "3", "--json", home=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (take,) = json.loads(done.stdout.splitlines()[-1])["takes"]
    audio, rate = soundfile.read(out, always_2d=True)
    assert rate == 44_100 and audio.shape == (round(4 * 4 * 60 / 140 * rate), 2)
    assert take["frames"] == len(audio)
    from engine.audio.level import loudness, true_peak

    original, _ = soundfile.read(loop, always_2d=True, dtype="float32")
    made = audio.astype(np.float32)
    assert true_peak(made, rate) <= -1.0
    quieter = loudness(original, rate) - loudness(made, rate)
    assert quieter >= -0.5 and (quieter < 1.0 or true_peak(made, rate) > -1.3)
