"""A whole data set: the same for any number of processes, after any end, with every reason told."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import SidemanError
from training.sound import prepare as making
from training.sound import treating
from training.sound.cutting import Cutting
from training.sound.dataset import RATE, Clips
from training.sound.prepare import PrepareConfig, prepare
from training.sound.sources import Wishes
from training.sound.split import held_out
from training.sound.treating import Treated, Treatment
from training.sound.workers import treat_all

SHORT = Treatment(cutting=Cutting(length=0.2, shortest=0.1))


def sound(frequency, seconds=0.5, rate=RATE):
    """A tone that rises, so that no two parts of it are the same."""
    at = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * frequency * at * (1 + at))).astype(np.float32)


@pytest.fixture
def songs(tmp_path):
    folder = tmp_path / "songs"
    for number in range(8):
        place = folder / ("house" if number % 2 else "dub") / f"song_{number}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(place, sound(200 + 50 * number, 0.3 + 0.1 * (number % 3)), RATE)
    (folder / "broken.flac").write_bytes(b"nothing")
    (folder / "dub" / "again.wav").write_bytes((folder / "dub" / "song_0.wav").read_bytes())
    return folder


def make(songs, output, tell=None, **changes):
    return prepare(PrepareConfig(songs, output, **{"treatment": SHORT, "jobs": 1, **changes}), tell)


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_folder_becomes_clips_with_prompts(songs, tmp_path):
    made = make(songs, tmp_path / "data")
    clips = Clips.open(tmp_path / "data")
    assert [clip.audio for clip in clips.clips[:2]] == ["clips/000001.wav", "clips/000002.wav"]
    assert {clip.prompt for clip in clips.clips} == {"again", *(f"song {n}" for n in range(1, 8))}
    assert made.skipped == [
        {"path": "broken.flac", "reason": made.skipped[0]["reason"]},
        {"path": "dub/song_0.wav", "reason": "is the same file as dub/again.wav"},
    ]
    assert "cannot be read as sound" in made.skipped[0]["reason"]
    for clip in clips.clips:
        assert len(clip.sound()) == round(clip.seconds * RATE)
        assert clip.source and (songs / clip.source).is_file()
    assert {path.name for path in (tmp_path / "data.run").iterdir()} == {"run.json"}
    run = json.loads((tmp_path / "data.run/run.json").read_text())
    assert run["status"] == "completed" and run["config"]["command"] == "audio-data"
    figures = json.loads((tmp_path / "data/statistics.json").read_text())
    assert figures["clips"] == len(clips.clips) and figures["skipped"] == made.skipped
    assert sum(row["clips"] for row in figures["by_split"].values()) == figures["clips"]
    assert figures["files"] == {
        "used": 8, "by_rate": {"32000": 8}, "by_channels": {"1": 8}, "silent_clips_left_out": 0,
    }  # fmt: skip


def test_nothing_of_a_held_out_file_is_learned_from(songs, tmp_path):
    clips = make(songs, tmp_path / "data", held_out=0.3).clips
    learned, apart = ({clip.source for clip in part} for part in (clips.train, clips.held_out))
    assert len(apart) == 2 and len(learned) == 6 and not learned & apart
    moved = tmp_path / "moved"
    songs.rename(moved)
    for number, path in enumerate(sorted(moved.rglob("*.wav"))):
        path.rename(path.with_name(f"{9 - number}.wav"))
    again = make(moved, tmp_path / "again", held_out=0.3).clips
    before, after = ({clip.sound().tobytes() for clip in each.held_out} for each in (clips, again))
    assert before == after  # names decide nothing


def test_every_concept_has_something_held_out():
    files = {f"{n:064x}": "dub" if n % 3 else "house" for n in range(20)}
    apart = held_out(files, 0.05, 1)
    assert {files[sha256] for sha256 in apart} == {"dub", "house"} and len(apart) == 2
    assert held_out(files, 0.0, 1) == set() and held_out({"a": ""}, 0.5, 1) == set()
    assert held_out(files, 0.05, 1) == held_out(dict(reversed(files.items())), 0.05, 1)
    assert held_out(files, 0.3, 1) != held_out(files, 0.3, 2)


@pytest.mark.slow
def test_two_processes_make_what_one_makes(songs, tmp_path):
    one = make(songs, tmp_path / "one")
    two = make(songs, tmp_path / "two", jobs=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert one.skipped == two.skipped


END = """
import os, signal, sys
from pathlib import Path
from training.sound.prepare import PrepareConfig, prepare
from tests.training.sound.test_prepare import SHORT

def tell(what, done, total):
    if what == sys.argv[3] and done == 4:
        os.kill(os.getpid(), signal.SIGKILL)

prepare(PrepareConfig(Path(sys.argv[1]), Path(sys.argv[2]), treatment=SHORT, jobs=1), tell)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(songs, tmp_path, monkeypatch):
    whole = make(songs, tmp_path / "whole" / "data")
    output = tmp_path / "killed" / "data"
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", END, songs, output, "sound"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
    )
    assert ended.returncode == -signal.SIGKILL and not output.exists()
    (output.parent / "data.run" / "kept" / SHORT.key / "0.1.part").mkdir()
    heard = []
    hear = treating.hear
    monkeypatch.setattr(
        treating, "hear", lambda path, channels: heard.append(path) or hear(path, channels)
    )
    assert make(songs, output).skipped == whole.skipped
    assert content(output) == content(tmp_path / "whole" / "data")
    assert len(heard) < 9  # what was done is not done again


def test_a_run_stopped_while_it_encodes_keeps_its_codes(songs, tmp_path):
    pytest.importorskip("transformers")
    from engine.models.musicgen import tiny

    model = tiny.write(tmp_path)
    make(songs, tmp_path / "whole", model=model)
    first = []

    def stop(what, done, total):
        if what == "codes" and done >= 8:
            first.extend((tmp_path / "data/codes").iterdir())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(songs, tmp_path / "data", stop, model=model)
    times = {path: path.stat().st_mtime_ns for path in first}
    assert times and Clips.open(tmp_path / "data").codec is None
    run = json.loads((tmp_path / "data.run/run.json").read_text())
    assert run["status"] == "stopped"
    make(songs, tmp_path / "data", model=model)
    assert {path: path.stat().st_mtime_ns for path in first} == times
    assert content(tmp_path / "data") == content(tmp_path / "whole")
    assert all(clip.codes().shape[0] == 4 for clip in Clips.open(tmp_path / "data").clips)


def test_other_settings_make_other_clips_in_the_same_place(songs, tmp_path):
    make(songs, tmp_path / "data")
    stereo = Treatment(channels=2, cutting=Cutting(length=0.1, shortest=0.1))
    clips = make(songs, tmp_path / "data", treatment=stereo).clips
    assert clips.channels == 2 and {clip.seconds for clip in clips.clips} == {0.1}
    assert clips.clips[0].sound().shape == (3200, 2)


@pytest.mark.slow
def test_a_file_that_brings_a_worker_down_is_left_out_and_no_other(songs, tmp_path, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os\n"
        "from training.sound import treating\n"
        "hear = treating.hear\n"
        "def hear_or_end(path, channels):\n"
        "    return os._exit(3) if path.name == 'song_3.wav' else hear(path, channels)\n"
        "treating.hear = hear_or_end\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(Path(__file__).parents[3])]))
    paths = sorted(songs.rglob("song_*.wav"))
    done = dict(treat_all(paths, SHORT, tmp_path / "kept", jobs=2))
    lost = {paths[number].name for number, result in done.items() if result.reason}
    assert lost == {"song_3.wav"} and len(done) == len(paths)
    assert Treated(reason="cannot be read: it brings the reader down") in done.values()


def test_a_list_that_is_wrong_about_a_rate_is_refused(songs, tmp_path):
    lines = [
        {"path": "dub/song_0.wav", "sample_rate": 32000},
        {"path": "house/song_1.wav", "sample_rate": 44100},
    ]
    (songs / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(
        SidemanError,
        match=r"data\.jsonl says that house/song_1\.wav is at 44100 Hz, and it is at 32000",
    ):
        make(songs, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_where_nothing_can_be_used_the_first_reason_is_told(tmp_path):
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "x.mp3").write_bytes(b"no")
    with pytest.raises(SidemanError, match=r"none of its 1 files can be used; the first, x\.mp3"):
        make(tmp_path / "songs", tmp_path / "data")


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("place", ["clips", "data", "codes"])
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(songs, tmp_path, monkeypatch, place):
    model = None
    with monkeypatch.context() as patch:
        if place == "clips":
            patch.setattr(treating, "wav", full)
        elif place == "data":
            patch.setattr(making.os, "link", full)
            patch.setattr(making.shutil, "copyfile", full)
        else:
            pytest.importorskip("transformers")
            from engine.models.musicgen import tiny
            from training.sound import codes

            model = tiny.write(tmp_path)
            patch.setattr(codes.Path, "mkdir", full_for("codes"))
        with pytest.raises(SidemanError, match="the disk is full; make room and try again") as told:
            make(songs, tmp_path / "data", model=model)
        assert "\n" not in told.value.text
        run = json.loads((tmp_path / "data.run/run.json").read_text())
        assert run["status"] == "failed" and "the disk is full" in run["error"]
    make(songs, tmp_path / "data", model=model)
    make(songs, tmp_path / "whole", model=model)
    assert content(tmp_path / "data") == content(tmp_path / "whole")


def full_for(name):
    """`Path.mkdir` on a disk that is full once a data set's codes are to be written."""
    mkdir = Path.mkdir

    def mkdir_or_full(self, *arguments, **options):
        if self.name == name and not self.parent.name.endswith(".part"):
            full()
        mkdir(self, *arguments, **options)

    return mkdir_or_full


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"template": "{nothing}"}, "--template knows no"),
        ({"layout": "thesis"}, "name a model with --model"),
        ({"wishes": Wishes(column="prompt")}, "name it with --table"),
        ({"wishes": Wishes(folders=1, licences=("CC0",))}, "no licence of it is known"),
    ],
)
def test_a_wish_that_cannot_be_is_one_line(songs, tmp_path, change, text):
    with pytest.raises(SidemanError, match=text):
        make(songs, tmp_path / "data", **change)


def test_data_lies_neither_in_the_sound_nor_around_it_nor_over_other_files(songs, tmp_path):
    for output in (songs / "data", songs, songs.parent):
        with pytest.raises(SidemanError):
            make(songs, output)
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    with pytest.raises(SidemanError, match="choose another name"):
        make(songs, other)


def test_fma_gives_prompts_and_licences(tmp_path):
    columns = [("album", "information"), ("album", "title"), ("artist", "name"),
               ("track", "genre_top"), ("track", "genres_all"), ("track", "license"),
               ("track", "tags"), ("track", "title")]  # fmt: skip
    (tmp_path / "fma").mkdir()
    with (tmp_path / "fma/tracks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", *(table for table, _ in columns)])
        writer.writerow(["", *(name for _, name in columns)])
        writer.writerow(["track_id", *[""] * len(columns)])
        for number in range(1, 5):
            licence = "CC0 1.0" if number % 2 else "Attribution-NonCommercial 4.0"
            writer.writerow([number, "", "A", "B", "", "[21]", licence, "['tape']", f"T{number}"])
    (tmp_path / "fma/genres.csv").write_text(
        "genre_id,#tracks,parent,title,top_level\n21,1,0,Hip-Hop,21\n"
    )
    for number in range(1, 5):
        folder = tmp_path / "audio" / f"{number % 2:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{number:06d}.mp3", sound(100 * number, rate=44_100), 44_100)
    wishes = Wishes(fma=tmp_path / "fma", licences=("CC0",))
    made = make(tmp_path / "audio", tmp_path / "data", wishes=wishes, template="{genres}: {title}")
    assert {clip.prompt for clip in made.clips.clips} == {"Hip-Hop: T1", "Hip-Hop: T3"}
    assert {clip.licence for clip in made.clips.clips} == {"CC0 1.0"}
    assert len(made.skipped) == 2


def test_the_thesis_layout_is_written_and_read_back(songs, tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from engine.models.musicgen import tiny

    (songs / "broken.flac").unlink()
    model = tiny.write(tmp_path)
    wishes = Wishes(concepts=True)
    made = make(songs, tmp_path / "data", wishes=wishes, layout="thesis", model=model).clips
    rows = {
        name: json.loads((tmp_path / f"data/metadata_{name}.json").read_text())
        for name in ("train", "val")
    }
    assert [row["audio_path"] for row in rows["train"]] == [clip.audio for clip in made.train]
    assert len(rows["val"]) == len(made.held_out) > 0
    clips = {clip.audio: clip for clip in made.clips}
    for split, folder in (("train", "train"), ("val", "valid")):
        for row in rows[split]:
            assert set(row) == {"audio_path", "encoded_path", "concept", "track_id"}
            assert row["audio_path"].startswith(f"data/{folder}/{row['concept']}/audio/")
            codes = torch.load(tmp_path / "data" / row["encoded_path"], weights_only=True)
            held = clips[row["audio_path"]]
            assert codes.dtype == torch.int64
            np.testing.assert_array_equal(codes.numpy(), held.codes()[None])
    concepts = json.loads((tmp_path / "data/metadata_concepts.json").read_text())
    assert concepts == {"dub": "dub", "house": "house"}
    (tmp_path / "data/data.json").unlink()  # as the thesis's own programs write it
    again = make(tmp_path / "data", tmp_path / "again").clips
    assert again.concepts == ["dub", "house"]
    assert len(again.held_out) == len(made.held_out) and len(again.clips) == len(made.clips)


def test_a_data_set_can_be_made_out_of_another(songs, tmp_path):
    first = make(songs, tmp_path / "data", held_out=0.3).clips
    shorter = Treatment(cutting=Cutting(length=0.1, shortest=0.1))
    again = make(tmp_path / "data", tmp_path / "again", treatment=shorter).clips
    assert again.seconds == pytest.approx(first.seconds, abs=0.1 * len(first.clips))
    for part, other in ((first.train, again.train), (first.held_out, again.held_out)):
        assert {clip.prompt for clip in part} == {clip.prompt for clip in other}
