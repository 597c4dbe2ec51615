"""``sideman continue``: a file in, a file out, and the same engine between them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.config import ContinueOptions
from bridge.files.midi_file import MidiSong, MidiTrack, Tempo, read_midi, write_midi
from bridge.offline import paths_for, run_continue
from engine.errors import Code, SidemanError
from engine.music import DRUMS, Meter, MeterMap, Note
from tests.support.band import tune
from tests.support.tiny_model import make_tiny_model

WALTZ = MeterMap([(0, Meter(3, 4))])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Four bars of a flute and a bass at 90 BPM."""
    flute = tuple(note for bar in range(4) for note in tune(bar, (72, 74, 76, 77), program=73))
    bass = tuple(Note(bar, 0, 33, 40 + bar, 3840, 90) for bar in range(4))
    parts = (MidiTrack("Flute", 73, flute, 3), MidiTrack("Bass", 33, bass, 5))
    write_midi(tmp_path / "in.mid", MidiSong(parts, MeterMap(), (Tempo.of_bpm(90.0),)))
    return tmp_path / "in.mid"


class Studio:
    def __init__(self, folder: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.model = model
        self.capsys = capsys

    def make(self, name: str = "out.mid", /, **options: Any) -> MidiSong:
        """The file that comes out."""
        self.report = self.run(name, **options)
        return read_midi(self.folder / name)

    def run(self, name: str = "out.mid", /, **options: Any) -> dict[str, Any]:
        settled = ContinueOptions(
            **{"input": None, "output": self.folder / name, "model": str(self.model), "bars": 2,
               "seed": 5, "json": True, "device": "cpu"} | options
        )  # fmt: skip
        assert run_continue(settled) == 0
        report: dict[str, Any] = json.loads(self.capsys.readouterr().out.splitlines()[-1])
        return report


@pytest.fixture
def studio(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> Studio:
    return Studio(tmp_path, model, capsys)


def inside(song: MidiSong, first: int, end: int) -> bool:
    line = song.meter_map
    return all(
        first <= note.bar < end and line.absolute(note.onset) + note.duration <= line.start(end)
        for note in song.notes
    )


def test_a_take_by_itself_begins_at_bar_0(studio: Studio, song: Path) -> None:
    out = studio.make(input=song)
    assert out.notes
    assert inside(out, 0, 2)
    assert out.bars == 2
    assert {track.program for track in out.tracks} <= {73, 33}
    assert {track.channel for track in out.tracks} <= {3, 5}
    assert out.tempos[0].bpm == pytest.approx(90.0, rel=1e-5)


def test_with_append_the_input_comes_first(studio: Studio, song: Path) -> None:
    take = studio.make("take.mid", input=song)
    whole = studio.make("whole.mid", input=song, append=True)
    before = read_midi(song).notes
    assert whole.notes[: len(before)] == before
    assert [replace(note, bar=note.bar - 4) for note in whole.notes[len(before) :]] == list(
        take.notes
    )
    assert [track.name for track in whole.tracks] == ["Flute", "Bass"]
    assert whole.bars == 6


def test_what_is_reported(studio: Studio, song: Path) -> None:
    out = studio.make(input=song)
    (take,) = studio.report["takes"]
    assert studio.report["output"] == take["output"] == str(studio.folder / "out.mid")
    assert (take["bars"], take["notes"], take["seed"]) == (2, len(out.notes), 5)
    assert len(take["context_hash"]) == 16


def test_a_seed_is_a_take(studio: Studio, song: Path) -> None:
    first = studio.make("a.mid", input=song)
    assert studio.make("b.mid", input=song).notes == first.notes
    assert studio.make("c.mid", input=song, seed=6).notes != first.notes


def test_a_seed_that_was_drawn_can_be_given_again(studio: Studio, song: Path) -> None:
    first = studio.make("a.mid", input=song, seed=None)
    seed = studio.report["takes"][0]["seed"]
    assert studio.make("b.mid", input=song, seed=seed).notes == first.notes


def test_variations_are_files_beside_each_other(studio: Studio, song: Path) -> None:
    report = studio.run(input=song, variations=3)
    files = [Path(take["output"]).name for take in report["takes"]]
    assert files == ["out.mid", "out-2.mid", "out-3.mid"]
    songs = [read_midi(studio.folder / name) for name in files]
    assert len({song.notes for song in songs}) == 3
    assert all(inside(song, 0, 2) for song in songs)
    assert songs[0].notes == studio.make("one.mid", input=song).notes


def test_paths() -> None:
    assert paths_for(Path("a/b.wav"), 1) == [Path("a/b.wav")]
    assert paths_for(Path("a/b.c.wav"), 2) == [Path("a/b.c.wav"), Path("a/b.c-2.wav")]


def test_keys_are_kept(studio: Studio, song: Path) -> None:
    out = studio.make(input=song, key="Cmaj", program=40, temperature=0.8, top_p=0.9)
    assert {track.program for track in out.tracks} == {40}
    assert {note.pitch % 12 for note in out.notes} <= {0, 2, 4, 5, 7, 9, 11}
    with_chords = studio.make(input=song, chords="C:4|G:4", program=0)
    tones = ({0, 4, 7}, {7, 11, 2})
    good = sum(note.pitch % 12 in tones[note.bar] for note in with_chords.notes)
    assert good >= 0.8 * len(with_chords.notes)


def test_a_preset_brings_its_instruments(studio: Studio, song: Path) -> None:
    out = studio.make(input=song, preset="drums")
    assert {note.program for note in out.notes} == {DRUMS}
    assert {track.channel for track in out.tracks} == {10}


def test_meters_of_the_input_go_on(studio: Studio, tmp_path: Path) -> None:
    notes = [note for bar in range(3) for note in tune(bar, (60, 62, 64))]
    write_midi(tmp_path / "waltz.mid", MidiSong.of_notes(notes, WALTZ))
    out = studio.make(input=tmp_path / "waltz.mid")
    assert out.meter_map == WALTZ
    assert inside(out, 0, 2)
    whole = studio.make(input=tmp_path / "waltz.mid", append=True)
    assert whole.bars == 5


def test_an_open_last_bar_is_filled_with_a_rest(studio: Studio, tmp_path: Path) -> None:
    write_midi(tmp_path / "short.mid", MidiSong.of_notes(tune(0)[:2]))
    whole = studio.make(input=tmp_path / "short.mid", append=True)
    assert all(note.bar >= 1 for note in whole.notes[2:])
    assert whole.bars == 3


@pytest.mark.parametrize("options", [{"preset": "drums"}, {"chords": "C:8"}])
def test_out_of_nothing(studio: Studio, options: dict[str, Any]) -> None:
    out = studio.make(bpm=100.0, **options)
    assert out.notes
    assert inside(out, 0, 2)
    assert out.tempos[0].bpm == pytest.approx(100.0, rel=1e-5)


def test_a_tempo_that_is_asked_for(studio: Studio, song: Path) -> None:
    for append in (False, True):
        out = studio.make(input=song, bpm=140.0, append=append)
        assert [tempo.bpm for tempo in out.tempos] == [pytest.approx(140.0, rel=1e-5)]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, Code.NO_CONTEXT),
        ({"preset": "nobody"}, Code.UNKNOWN_PRESET),
        ({"input": "song", "model": "nowhere"}, Code.UNKNOWN_MODEL),
        ({"input": "song", "chords": "H"}, Code.BAD_ARGUMENTS),
        ({"input": "song", "key": "Hmin"}, Code.BAD_ARGUMENTS),
        ({"input": "song", "adapter": "jazz"}, Code.UNKNOWN_MODEL),
        ({"input": "song", "prompt": "fast"}, Code.BAD_ARGUMENTS),
        ({"input": "song.wav"}, Code.BAD_FILE),
        ({"input": "missing.mid"}, Code.BAD_FILE),
        ({"input": "song", "output": "out.txt"}, Code.BAD_ARGUMENTS),
        ({"input": "song", "output": "in.mid/out.mid"}, Code.BAD_FILE),
    ],
)
def test_what_cannot_be_leaves_no_file(
    studio: Studio, song: Path, options: dict[str, Any], code: Code
) -> None:
    if "input" in options:
        name = options["input"]
        options = options | {"input": song if name == "song" else studio.folder / name}
    if "output" in options:
        options = options | {"output": studio.folder / options["output"]}
    with pytest.raises(SidemanError) as caught:
        studio.run(**options)
    assert caught.value.code == code
    assert "\n" not in caught.value.text
    assert [path.name for path in studio.folder.iterdir()] == ["in.mid"]


def test_a_model_that_is_broken_is_said(studio: Studio, song: Path, tmp_path: Path) -> None:
    broken = make_tiny_model(tmp_path / "models" / "broken")
    weights = broken / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(SidemanError) as caught:
        studio.run(input=song, model=str(broken))
    assert caught.value.code == Code.BAD_FILE


def test_chords_alone_bring_a_band(studio: Studio) -> None:
    out = studio.make(chords="C:4|Cm:2|C7:2|Cdim:4", bars=None)
    assert studio.report["takes"][0]["preset"] == "band"
    assert studio.report["takes"][0]["bars"] == 3
    assert {note.program for note in out.notes} == {DRUMS, 0, 25, 33, 48}
    tones = {
        (0, 0): {0, 4, 7}, (1, 0): {0, 3, 7}, (1, 1): {0, 4, 7, 10},
        (0, 1): {0, 4, 7}, (2, 0): {0, 3, 6, 9}, (2, 1): {0, 3, 6, 9},
    }  # fmt: skip
    pitched = [note for note in out.notes if note.program != DRUMS]
    inside = sum(note.pitch % 12 in tones[note.bar, note.tick // 1920] for note in pitched)
    assert inside >= 0.8 * len(pitched)


@pytest.mark.parametrize(("chords", "bars"), [("C", 1), ("C|F:2|G:2|C", 3)])
def test_a_take_is_as_long_as_its_chords(
    studio: Studio, song: Path, chords: str, bars: int
) -> None:
    studio.make(input=song, chords=chords, bars=None)
    assert studio.report["takes"][0]["bars"] == bars


def test_chords_that_end_inside_a_bar_are_refused(studio: Studio) -> None:
    with pytest.raises(SidemanError, match="too short"):
        studio.run(chords="C:4|F:2", bars=None)
