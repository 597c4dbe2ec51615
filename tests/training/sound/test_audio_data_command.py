"""``sideman train audio-data`` as a user types it, and on real music."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.cli import main
from training.sound.dataset import Clips


@pytest.fixture(autouse=True)
def no_models(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


@pytest.fixture
def songs(tmp_path):
    folder = tmp_path / "songs"
    folder.mkdir()
    random = np.random.default_rng(5)
    for number in range(4):
        soundfile.write(
            folder / f"Slow_Dub-{number}.flac", 0.1 * random.standard_normal((6000, 2)), 8000
        )
    (folder / "broken.mp3").write_bytes(b"nothing")
    return folder


def command(songs, *words):
    return main(["train", "audio-data", str(songs), "-o", str(songs.parent / "data"), *words])


def test_the_last_line_is_one_json_object(songs, capsys):
    assert command(songs, "--shortest", "0.1", "--json") == 0
    out, err = capsys.readouterr()
    result = json.loads(out.splitlines()[-1])
    assert result.pop("seconds") > 0
    assert result == {
        "output": str(songs.parent / "data"),
        "clips": 4,
        "heldout": 1,
        "hours": 0.0008,
        "channels": 1,
        "concepts": [],
        "skipped": 1,
        "codec": None,
    }
    assert "1 file was left out:\n  broken.mp3: cannot be read as sound" in err


def test_every_wish_reaches_the_data_set(songs, capsys):
    (songs / "t.csv").write_text(
        "file_name,words,license\n"
        + "".join(f"Slow_Dub-{n}.flac,dub number {n},{'CC0' if n else 'MIT'}\n" for n in range(4))
    )
    wishes = (
        f"--stereo --level lufs --target -20 --length 0.4 --stride 0.2 --shortest 0.3 --most 2 "
        f"--trim --table {songs / 't.csv'} --column words --licence CC0 --held-out 0 --jobs 1 "
        "--model musicgen-tiny-random --device cpu --seed 3 --json"
    )
    assert command(songs, *wishes.split()) == 0
    result = json.loads(capsys.readouterr()[0].splitlines()[-1])
    assert (result["clips"], result["heldout"], result["channels"]) == (6, 0, 2)
    assert (result["codec"], result["skipped"]) == ("musicgen-tiny-random", 2)
    clips = Clips.open(songs.parent / "data")
    assert {clip.prompt for clip in clips.clips} == {f"dub number {n}" for n in (1, 2, 3)}
    assert [clip.start for clip in clips.clips[:2]] == [0.0, 0.2] and clips.seed == 3
    assert clips.clips[0].codes().shape == (4, 20) and clips.clips[0].licence == "CC0"
    assert clips.settings["table"] == "t.csv" and clips.settings["target"] == -20


def test_a_stereo_model_wants_stereo_clips(songs, capsys):
    words = [
        "--shortest",
        "0.1",
        "--model",
        "musicgen-stereo-tiny-random",
        "--device",
        "cpu",
        "--json",
    ]
    assert command(songs, *words) == 0
    assert json.loads(capsys.readouterr()[0].splitlines()[-1])["channels"] == 2
    assert Clips.open(songs.parent / "data").clips[0].codes().shape[0] == 8


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["--table", "nothing.csv"], 1, "nothing.csv cannot be read"),
        (["--fma", "nowhere"], 1, "genres.csv cannot be read"),
        (["--model", "nothing"], 1, "there is no model 'nothing'"),
        (["--template", "{wrong}"], 1, "--template knows no {wrong}"),
        (["--shortest", "9", "--length", "9"], 1, "none of its 5 files can be used"),
        (["--level", "none", "--target", "-3"], 2, "--target needs --level peak or lufs"),
        (["--held-out", "1"], 2, "held-out"),
    ],
)
def test_a_wish_that_cannot_be_is_one_line(songs, capsys, words, status, text):
    assert command(songs, *words) == status
    err = capsys.readouterr()[1]
    assert text in err
    if status == 1:
        assert err.startswith("error: ") and err.count("\n") == 1


def test_it_needs_neither_torch_nor_transformers(songs, tmp_path):
    code = (
        "import sys\nfrom bridge.cli import main\n"
        f"assert main(['train', 'audio-data', {str(songs)!r}, '-o', {str(tmp_path / 'd')!r},"
        " '--shortest', '0.1', '--jobs', '1']) == 0\n"
        "assert not {'torch', 'transformers', 'miditok'} & sys.modules.keys()"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_empty_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "songs").mkdir()
    assert command(tmp_path / "songs") == 1
    assert capsys.readouterr()[1].count("\n") == 1


def test_real_loops_become_data(tmp_path, capsys):
    data = Path(os.environ.get("SIDEMAN_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not (data / "audio" / "loops").is_dir():
        pytest.skip("needs the project's music data")
    (tmp_path / "songs").symlink_to(data / "audio" / "loops")
    words = ["--length", "4", "--shortest", "0.5", "--level", "lufs", "--jobs", "1", "--json"]
    assert command(tmp_path / "songs", *words) == 0
    result = json.loads(capsys.readouterr()[0].splitlines()[-1])
    clips = Clips.open(tmp_path / "data")
    assert result["skipped"] == 0 and len({clip.source for clip in clips.clips}) == 16
    assert 1 <= len({clip.source for clip in clips.held_out}) <= 2
