"""A song becomes a MIDI file that says all that the song says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import mido
import pytest
import symusic
from hypothesis import given
from hypothesis import strategies as st

from engine.chords import Chord
from engine.errors import Code, SidemanError
from engine.music import DRUMS, Meter
from training.importers.song import CHORD_MARK, MAX_BEATS, Note, Part, Song, read_chords, write_midi

BEAT = 960


def band(parts: int = 1) -> Song:
    return Song([Part(f"part {i}", i, [Note(i * BEAT, BEAT, 60, 80)]) for i in range(parts)])


def test_everything_is_written(tmp_path: Path) -> None:
    song = band()
    song.parts.append(Part("Drums", DRUMS, [Note(0, 10, 36, 99)]))
    song.meters = [(0, Meter(3, 4)), (3 * BEAT, Meter(6, 8))]
    song.tempos = [(0, 90.0)]
    song.keys = [(0, "Ebm")]
    song.chords = [(0, Chord(9, "m7-5", 3)), (BEAT, None)]
    song.title, song.author, song.rights = "Lied", "Clara Müller", "CC0"
    write_midi(song, tmp_path / "deep" / "song.mid")

    score = symusic.Score(tmp_path / "deep" / "song.mid")
    assert [(t.time, t.numerator, t.denominator) for t in score.time_signatures] == [
        (0, 3, 4),
        (3 * BEAT, 6, 8),
    ]
    assert [round(tempo.qpm, 3) for tempo in score.tempos] == [90.0]
    assert {(t.name, t.program, t.is_drum) for t in score.tracks} == {
        ("part 0", 0, False),
        ("Drums", 0, True),
    }
    said = list(mido.MidiFile(tmp_path / "deep" / "song.mid", charset="utf-8").tracks[0])
    assert {message.text for message in said if message.type == "text"} == {"Clara Müller"}
    assert {message.text for message in said if message.type == "copyright"} == {"CC0"}
    assert [message.key for message in said if message.type == "key_signature"] == ["Ebm"]
    marks = [message.text for message in said if message.type == "marker"]
    assert marks == [f"{CHORD_MARK}Am7-5/Eb", f"{CHORD_MARK}N.C."]
    assert read_chords(tmp_path / "deep" / "song.mid") == song.chords


def test_twenty_parts_keep_their_programs(tmp_path: Path) -> None:
    write_midi(band(20), tmp_path / "song.mid")
    score = symusic.Score(tmp_path / "song.mid")
    assert {(t.program, t.notes[0].start) for t in score.tracks} == {
        (i, i * BEAT) for i in range(20)
    }


NOTES = st.builds(
    Note, st.integers(0, 40), st.integers(1, 20), st.integers(60, 62), st.integers(1, 127)
)


@given(st.lists(NOTES, min_size=1, max_size=30))
def test_every_note_ends_before_its_pitch_begins_anew(
    tmp_path_factory: pytest.TempPathFactory, notes: list[Note]
) -> None:
    path = tmp_path_factory.getbasetemp() / "struck.mid"
    write_midi(Song([Part("", 0, notes)]), path)
    (track,) = symusic.Score(path).tracks
    played = sorted((note.pitch, note.start, note.end) for note in track.notes)
    assert {(pitch, start) for pitch, start, _ in played} == {(n.pitch, n.start) for n in notes}
    for (pitch, _, end), (later, start, _) in pairwise(played):
        assert pitch != later or end <= start


@pytest.mark.parametrize(
    ("notes", "says"), [([], "no notes"), ([Note(MAX_BEATS * BEAT, 1, 60, 80)], "longer than")]
)
def test_songs_that_are_refused(tmp_path: Path, notes: list[Note], says: str) -> None:
    with pytest.raises(SidemanError, match=says) as caught:
        write_midi(Song([Part("", 0, notes)]), tmp_path / "song.mid")
    assert caught.value.code is Code.BAD_FILE
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SidemanError, match="cannot write"):
        write_midi(band(), tmp_path / "file" / "song.mid")
