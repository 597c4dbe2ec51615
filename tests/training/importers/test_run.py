"""``sideman train import``: files and folders, told apart by what is in them."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import symusic
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bridge.commands.train import app
from engine.errors import Code, SidemanError
from engine.models import registry
from tests.support.rwkv_weights import SMALL, random_weights
from tests.training.importers.lpd import roll, write_lpd
from training.importers.formats import recognise
from training.importers.lpd5_tokens import read_tokens, to_tokens, write_tokens
from training.importers.run import import_path

ABC = "X:1\nT:Tune\nK:C\nCDEF|GABc|\n"
XML = (
    "<?xml version='1.0'?><score-partwise><part-list><score-part id='P'/></part-list>"
    "<part id='P'><measure><note><pitch><step>C</step><octave>4</octave></pitch>"
    "<duration>4</duration></note></measure></part></score-partwise>"
)


def write_pth(path: Path) -> Path:
    torch.save({name: torch.from_numpy(a) for name, a in random_weights(SMALL).items()}, path)
    return path


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A folder with a file of every kind, and some that are none; names tell nothing."""
    folder = tmp_path / "zoo"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text(ABC)
    (folder / "b.dat").write_text(XML)
    (folder / "b.xml").write_text("<score-partwise><part></score-partwise>")
    write_lpd(folder / "deep" / "c.npz", [roll(96, (0, 24, 36, 90))])
    write_tokens([to_tokens([frozenset({i})]) for i in (3, 4)], folder / "deep" / "tokens")
    write_pth(folder / "model.bin")
    (folder / "song.mid").write_bytes(b"MThd\0\0\0\6")
    (folder / "evil.pkl").write_bytes(pickle.dumps({"a": 1}))
    (folder / "cut.mxl").write_bytes(b"PK\x03\x04 and no more")
    (folder / ".hidden.abc").write_text(ABC)
    (folder / "link.abc").symlink_to(folder / "a.txt")
    return folder


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder_of_everything(zoo: Path, tmp_path: Path, jobs: int) -> None:
    out = tmp_path / "out"
    done = import_path(zoo, out, jobs=jobs)
    assert [str(path.relative_to(out)) for path in done.files] == [
        "a.mid",
        "b.dat.mid",
        "model",
        "deep/c.mid",
        "deep/tokens/000-00001.mid",
        "deep/tokens/000-00002.mid",
    ]
    assert done.formats == {
        "abc": 1,
        "musicxml": 1,
        "checkpoint": 1,
        "lpd5": 1,
        "lpd5-423": 1,
    }
    reasons = dict(done.skipped)
    assert reasons.keys() == {
        "b.xml",
        "cut.mxl",
        "deep/tokens/tracks.trc",
        "evil.pkl",
        "song.mid",
    }
    assert "MIDI file already" in reasons["song.mid"]
    assert "pickle" in reasons["evil.pkl"]
    assert "damaged zip" in reasons["cut.mxl"]
    assert "no sound XML" in reasons["b.xml"]
    for path in done.files:
        if path.suffix == ".mid":
            assert symusic.Score(path).note_num() > 0
    assert registry.load(out / "model").vocab == SMALL.vocab


def test_one_file_to_a_midi_file_or_into_a_folder(tmp_path: Path) -> None:
    tune = tmp_path / "tune.abc"
    tune.write_text(ABC)
    assert import_path(tune, tmp_path / "my.midi").files == [tmp_path / "my.midi"]
    assert import_path(tune, tmp_path / "out").files == [tmp_path / "out" / "tune.mid"]
    tune.write_text(f"{ABC}\n{ABC}")
    assert [path.name for path in import_path(tune, tmp_path / "my.mid").files] == [
        "my-0001.mid",
        "my-0002.mid",
    ]


def test_songs_to_tokens(zoo: Path, tmp_path: Path) -> None:
    done = import_path(zoo, tmp_path / "set", tokens=True)
    assert [path.name for path in done.files] == ["000.npz", "tracks.trc"]
    assert "model" in dict(done.skipped)["model.bin"]
    songs = [song for _, song in read_tokens(tmp_path / "set" / "000.npz")]
    assert [[len(part.notes) for part in song.parts] for song in songs] == [
        [0, 0, 8, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 1, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no format that is imported"),
        (b"RIFF....WAVE", "is audio"),
        (b"X:1\nK:C\n", "no music"),
        (b"\x80\x02}q\x00.", "is a pickle"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "file.abc"
    path.write_bytes(content)
    with pytest.raises(SidemanError, match=says) as caught:
        import_path(path, tmp_path / "out")
    assert caught.value.code is Code.BAD_FILE
    assert caught.value.text.startswith("file.abc: ")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_music(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "readme.txt").write_text("hello")
    with pytest.raises(SidemanError, match=r"none of its 1 files.*readme\.txt"):
        import_path(tmp_path / "in", tmp_path / "out")
    with pytest.raises(SidemanError, match="no such file"):
        import_path(tmp_path / "nowhere", tmp_path / "out")


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    for name, content in (("a.npz", ABC), ("a.pth", XML)):
        (tmp_path / name).write_text(content)
    assert recognise(tmp_path / "a.npz").name == "abc"
    assert recognise(tmp_path / "a.pth").name == "musicxml"
    (tmp_path / "u.abc").write_bytes(XML.encode("utf-16"))
    assert recognise(tmp_path / "u.abc").name == "musicxml"
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(SidemanError, match="no format"):
        recognise(tmp_path / "other.npz")


def test_the_command(zoo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["import", str(zoo), "-o", str(out), "--json", "--jobs", "1", "--seed", "3"]
    ran = CliRunner().invoke(app, [*words, "--device", "cpu"])
    assert ran.exit_code == 0, ran.output
    said = json.loads(ran.stdout.splitlines()[-1])
    assert said["output"] == str(out)
    assert len(said["files"]) == 6
    assert {entry["file"] for entry in said["skipped"]} >= {"song.mid", "evil.pkl"}
    assert said["seconds"] >= 0

    ran = CliRunner().invoke(app, ["import", str(zoo / "a.txt"), "-o", str(tmp_path / "x.mid")])
    assert (ran.exit_code, ran.stdout.strip()) == (0, str(tmp_path / "x.mid"))


@pytest.fixture(scope="module")
def sound_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sound")
    (folder / "a.abc").write_text(ABC)
    (folder / "b.xml").write_text(XML)
    with zipfile.ZipFile(folder / "b.mxl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.xml", XML)
    write_lpd(folder / "c.npz", [roll(96, (0, 24, 60, 90))])
    return sorted(folder.iterdir())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 3), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=3)))
)
def test_damaged_files_are_read_or_refused(
    sound_files: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
    which: int,
    damage: list[tuple[float, bytes]],
) -> None:
    data = bytearray(sound_files[which].read_bytes())
    for place, junk in damage:
        at = int(place * len(data))
        data[at : at + len(junk)] = junk
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data)
    try:
        import_path(path, path.with_suffix(".mid"))
    except SidemanError as error:
        assert error.code is Code.BAD_FILE
        assert "\n" not in error.text
