"""Files that become a track's past: only from the allowed folders, and never on our time."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from bridge.files.loader import FileLoader, read
from bridge.files.midi_file import MidiSong, MidiTrack, write_midi
from bridge.files.session_folder import Scribe, events
from engine.errors import Code, SidemanError
from engine.messages.replies import Done
from engine.music import DRUMS, Meter, MeterMap, Note
from engine.past import Past, Spot
from tests.support.band import Band, tune
from tests.support.tiny_model import make_tiny_model


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder that may be read from, with a song in it, beside one that may not."""
    for folder in ("session", "allowed", "secret"):
        (tmp_path / folder).mkdir()
        write_midi(tmp_path / folder / "song.mid", MidiSong.of_notes(tune(0) + tune(2)))
    return tmp_path


SPOT = Spot(track=2, name="keys", program=None, meters=MeterMap(), end=10)


class Desk:
    def __init__(self, here: Path) -> None:
        self.calls: SimpleQueue[Any] = SimpleQueue()
        self.loader = FileLoader([here / "session", here / "allowed"], self.calls.put)

    def load(self, path: str) -> Any:
        found: list[Any] = []
        self.loader.load(path, SPOT, found.append)
        assert not found, "never at once, and never on the thread that asks"
        self.calls.get(timeout=10)()
        return found[0]


@pytest.fixture
def desk(here: Path) -> Desk:
    return Desk(here)


def test_a_song(desk: Desk, here: Path) -> None:
    loaded = read(here / "allowed" / "song.mid")
    assert (loaded.bars, loaded.program) == (3, 0)
    assert list(loaded.notes) == tune(0) + tune(2)
    assert loaded.meters == MeterMap()


def test_it_comes_laid_out_for_its_spot(desk: Desk, here: Path) -> None:
    past = desk.load(str(here / "allowed" / "song.mid"))
    assert isinstance(past, Past)
    assert (past.length, past.program, past.spot) == (3, 0, SPOT)
    assert past.bars == {7: tune(7), 9: tune(9)}


def test_a_long_file_costs_the_conductors_thread_nothing(here: Path) -> None:
    """Twenty thousand notes; counted in calls, which do not depend on the machine."""
    notes = [note for bar in range(5000) for note in tune(bar)]
    write_midi(here / "session" / "long.mid", MidiSong.of_notes(notes))
    calls: SimpleQueue[Any] = SimpleQueue()
    band = Band(make_tiny_model(here / "model"), store=Scribe(here / "session", calls.put))
    band.conductor._loader = FileLoader([here / "session"], calls.put)
    band.send("/sideman/track/load", 1, "long.mid")
    take_in = calls.get(timeout=30)
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count)
    take_in()
    band.conductor.write_played()
    sys.setprofile(None)
    band.store.close()
    assert [done.args() for done in band.replies(Done)] == [("/sideman/track/load", 1, 5000)]
    assert steps < 500, "no call for each note, nor for each bar"
    played = [event for event in events(here / "session") if event["event"] == "played"]
    assert sum(len(event["notes"]) for event in played) == len(notes)


def test_relative_paths_belong_to_the_session(desk: Desk, here: Path) -> None:
    assert desk.loader.allowed("song.mid") == here / "session" / "song.mid"
    assert desk.loader.allowed("../allowed/song.mid") == here / "allowed" / "song.mid"


@pytest.mark.parametrize(
    "path",
    [
        "../secret/song.mid",
        "/etc/passwd",
        "{here}/secret/song.mid",
        "{here}/session/../secret/song.mid",
        "{here}/session-too/song.mid",
        "link.mid",
        "folder/song.mid",
        "~/song.mid/../../../../../etc/passwd",
        "song.mid\x00",
        "x" * 5000,
        "",
        "..",
    ],
)
def test_nothing_outside(desk: Desk, here: Path, path: str) -> None:
    (here / "session-too").mkdir()
    (here / "session" / "link.mid").symlink_to(here / "secret" / "song.mid")
    (here / "session" / "folder").symlink_to(here / "secret")
    path = path.replace("{here}", str(here))
    try:
        result = desk.load(path)
    except SidemanError as error:
        assert error.code == Code.NOT_ALLOWED
        assert len(error.text) < 400 and "\x00" not in error.text
    else:
        assert isinstance(result, SidemanError) and result.code == Code.BAD_FILE


def test_a_link_inside_is_a_file_like_any_other(desk: Desk, here: Path) -> None:
    (here / "session" / "link.mid").symlink_to(here / "allowed" / "song.mid")
    assert isinstance(desk.load("link.mid"), Past)


@pytest.mark.parametrize("kind", ["missing.mid", "folder.mid", "empty.mid", "pipe.mid", "song.wav"])
def test_what_cannot_be_read_is_a_bad_file(desk: Desk, here: Path, kind: str) -> None:
    path = here / "session" / kind
    match kind:
        case "folder.mid":
            path.mkdir()
        case "empty.mid":
            path.touch()
        case "pipe.mid":
            os.mkfifo(path)  # would never end
        case "song.wav":
            path.write_bytes(b"RIFF")
    result = desk.load(kind)
    assert isinstance(result, SidemanError)
    assert result.code == Code.BAD_FILE
    assert isinstance(desk.load("song.mid"), Past), "the next one is read"


def test_the_program_is_known_where_there_is_one(here: Path) -> None:
    path = here / "session" / "two.mid"
    bass, drums = Note(0, 0, 33, 40, 960, 90), Note(0, 0, DRUMS, 36, 960, 90)
    write_midi(path, MidiSong.of_notes([bass]))
    assert read(path).program == 33
    write_midi(path, MidiSong.of_notes([bass, drums]))
    assert read(path).program is None
    write_midi(path, MidiSong((MidiTrack("", 33, (bass,)), MidiTrack("", 5, ())), MeterMap()))
    assert read(path).program == 33


def test_meters_come_along(here: Path) -> None:
    path = here / "session" / "waltz.mid"
    waltz = MeterMap([(0, Meter(3, 4)), (2, Meter(6, 8))])
    write_midi(path, MidiSong.of_notes(tune(0, (60, 62, 64)) + tune(3, (60,)), waltz))
    loaded = read(path)
    assert loaded.meters == waltz
    assert loaded.bars == 4
