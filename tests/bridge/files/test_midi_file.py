import os
import struct
import time
from dataclasses import replace
from pathlib import Path

import mido
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.files import midi_reader, midi_writer
from bridge.files.midi_file import read_midi, write_midi
from bridge.files.midi_song import (
    PITCH_BEND,
    Control,
    MidiSong,
    MidiTrack,
    Tempo,
    TempoMap,
    restruck,
)
from engine.errors import Code, SidemanError
from engine.music import DRUMS, Meter, MeterMap, Note

END = b"\x00\xff\x2f\x00"
A_NOTE = b"\x00\x90\x3c\x64\x60\x80\x3c\x00"
"""Middle C for a quarter note, at 96 ticks to the quarter."""


def chunk(body: bytes, length: int | None = None) -> bytes:
    return b"MTrk" + struct.pack(">I", len(body) if length is None else length) + body


def midi(*bodies: bytes, kind: int = 1, division: int = 96, count: int | None = None) -> bytes:
    header = struct.pack(">IHHH", 6, kind, len(bodies) if count is None else count, division)
    return b"MThd" + header + b"".join(map(chunk, bodies))


def refused(data: bytes) -> str:
    began = time.perf_counter()
    with pytest.raises(SidemanError) as caught:
        midi_reader.parse(data, "song.mid")
    assert time.perf_counter() - began < 1
    assert caught.value.code is Code.BAD_FILE
    assert caught.value.text.startswith("song.mid: ")
    return caught.value.text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"RIFF....WAVEfmt ", "not a MIDI file"),
        (b"MThd\x00\x00", "cut off inside its header"),
        (midi(END), "holds no notes"),
        (midi(), "holds no notes"),
        (midi(A_NOTE + END, kind=2), "type 2"),
        (midi(A_NOTE + END, kind=7), "type 7"),
        (midi(A_NOTE + END, division=0xE728), "SMPTE"),
        (midi(A_NOTE + END, division=0), "0 ticks"),
        (midi(A_NOTE + END, count=10_000), "10,000 tracks"),
        (midi(A_NOTE + END, count=3), "promises 3 tracks and has 1"),
        (midi(A_NOTE + END)[:-6], "cut off"),
        (midi()[:10] + b"\x00\x01\x00\x60" + chunk(A_NOTE, 0xFFFFFFFF), "promises 4,294,967,295"),
        (midi(b"\x00\x90\x3c"), "inside an event"),
        (midi(b"\x00\xa0\x3c"), "inside an event"),
        (midi(b"\x00\xff\x03\x40abc"), "inside an event"),
        (midi(b"\x00\xf0\x40abc"), "inside an event"),
        (midi(b"\x00\x3c\x64"), "where an event should begin"),
        (midi(b"\x00\xf8"), "0xf8 is no event"),
        (midi(b"\x80" * 100_000), "more than four bytes"),
        (midi(b"\xff\xff\xff\x7f\x90\x3c\x64"), "longer than 200,000 quarter notes"),
        (midi(b"\x00\xff\x51\x03\x07\xa1\x20" * 1_000_000), "tempo more than 50,000"),
        (midi(b"\x00\xff\x58\x04\x04\x02\x18\x08" * 1_000_000), "meter more than 50,000"),
        (bytes(midi_reader.MAX_BYTES + 1), "larger than 20 MB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    assert reason in refused(data)


def test_more_events_than_a_song_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(midi_reader, "MAX_EVENTS", 1_000)
    assert "events" in refused(midi(A_NOTE * 501 + END))
    assert "events" in refused(midi(*[A_NOTE * 100 + END] * 6))


def test_every_cut_of_a_file_is_refused() -> None:
    whole = midi(b"\x00\xff\x03\x05Piano" + A_NOTE + END, A_NOTE + END)
    for length in range(len(whole)):
        refused(whole[:length])


def test_files_too_large_are_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "big.mid"
    with path.open("wb") as file:
        file.write(midi(A_NOTE + END))
        os.truncate(file.fileno(), 100_000_000)
    with pytest.raises(SidemanError, match="larger than 20 MB"):
        read_midi(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SidemanError, match="cannot read") as caught:
        read_midi(tmp_path / "none.mid")
    assert caught.value.code is Code.BAD_FILE
    with pytest.raises(SidemanError, match="cannot read"):
        read_midi(tmp_path)


def test_type_0_is_split_by_channel_and_program() -> None:
    song = midi_reader.parse(
        midi(
            b"\x00\xc0\x18\x00\xc3\x20"
            b"\x00\x90\x3c\x64\x00\x93\x24\x50\x00\x99\x26\x7f"
            b"\x60\x3c\x00"  # running status: channel 10, a note that is not open
            b"\x00\x80\x3c\x00\x00\x83\x24\x00\x00\x89\x26\x00"
            b"\x00\xc0\x19\x00\x90\x40\x64\x60\x40\x00" + END,
            kind=0,
        )
    )
    assert [(t.channel, t.program, len(t.notes)) for t in song.tracks] == [
        (1, 24, 1),
        (4, 32, 1),
        (10, DRUMS, 1),
        (1, 25, 1),
    ]
    assert song.tracks[0].name == "Acoustic Guitar (nylon)"
    assert song.tracks[3].notes == (Note(0, 960, 25, 64, 960, 100),)


def test_odd_notes() -> None:
    body = (
        b"\x00\x90\x3c\x64\x00\x80\x3c\x00"  # no length: dropped
        b"\x00\x90\x3e\x64\x30\x90\x3e\x50\x30\x80\x3e\x00\x30\x80\x3e\x00"  # first in, first out
        b"\x00\x90\x40\x64"  # never ended: sounds to the track's end
        b"\x60\xff\x2f\x00"
    )
    (track,) = midi_reader.parse(midi(body)).tracks
    assert track.notes == (
        Note(0, 0, 0, 62, 960, 100),
        Note(0, 480, 0, 62, 960, 80),
        Note(0, 1440, 0, 64, 960, 100),
    )


def test_a_program_change_in_another_track_counts() -> None:
    song = midi_reader.parse(midi(b"\x00\xc0\x28" + END, A_NOTE + END))
    assert song.tracks[0].program == 40


def test_chunks_of_other_kinds_are_passed_over() -> None:
    data = midi(A_NOTE + END)
    data = data[:14] + b"XFIH\x00\x00\x00\x03abc" + data[14:] + b"junk"
    assert len(midi_reader.parse(data).notes) == 1


def test_meters_make_bars() -> None:
    three_four = b"\xff\x58\x04\x03\x02\x18\x08"
    four_four = b"\xff\x58\x04\x04\x02\x18\x08"
    # A bar of 3/4, then 4/4 whose first bar is cut to 2/4 by a 3/4.
    body = b"\x00" + three_four + b"\x82\x20" + four_four + b"\x81\x40" + three_four + A_NOTE + END
    song = midi_reader.parse(midi(body))
    assert song.meter_map.changes == (
        (0, Meter(3, 4)),
        (1, Meter(2, 4)),
        (2, Meter(3, 4)),
    )
    assert song.notes == (Note(2, 0, 0, 60, 960, 100),)
    # One tick into the second bar: no meter is so short, so 3/4 waits for the bar line.
    late = midi_reader.parse(midi(b"\x83\x01" + three_four + A_NOTE + END))
    assert late.meter_map.changes == ((0, Meter(4, 4)), (2, Meter(3, 4)))
    assert late.notes == (Note(1, 10, 0, 60, 960, 100),)


def test_time_is_exact() -> None:
    tempos = (Tempo(0, 500_000), Tempo(960, 333_333), Tempo(1921, 1_000_000))
    line = TempoMap(tempos)
    assert line.seconds(960) == line.seconds(0) + 0.5
    assert line.seconds(1921) * 960_000_000 == 960 * 500_000 + 961 * 333_333
    assert line.frame(2881, 48_000) == round(line.seconds(2881) * 48_000)
    assert TempoMap([]).seconds(1920) == 1
    assert Tempo.of_bpm(120).beat_us == 500_000
    assert Tempo.of_bpm(140).bpm == pytest.approx(140, abs=1e-3)


METERS = st.builds(Meter, st.integers(1, 12), st.sampled_from((2, 4, 8, 16)))
MAPS = st.lists(st.tuples(st.integers(0, 20), METERS), max_size=4).map(
    lambda changes: MeterMap(dict(changes).items())
)


@st.composite
def songs(draw: st.DrawFn) -> MidiSong:
    meter_map = draw(MAPS)
    tracks = []
    channels = draw(st.lists(st.integers(1, 16), min_size=1, max_size=16, unique=True))
    for channel in channels:
        drums = channel == 10
        program = draw(st.integers(0, 127))
        notes = []
        # One voice to a pitch, as MIDI cannot tell two apart.
        for pitch in draw(st.lists(st.integers(0, 127), min_size=1, max_size=4, unique=True)):
            at = 0
            for rest, length in draw(
                st.lists(
                    st.tuples(st.integers(0, 9000), st.integers(1, 9000)), min_size=1, max_size=4
                )
            ):
                at += rest
                place = meter_map.locate(at)
                sound = DRUMS if drums else program
                velocity = draw(st.integers(1, 127))
                notes.append(Note(place.bar, place.tick, sound, pitch, length, velocity))
                at += length
        bends = st.builds(Control, st.integers(0, 5000), st.just(PITCH_BEND), st.integers(0, 16383))
        pedals = st.builds(Control, st.integers(0, 5000), st.just(64), st.integers(0, 127))
        controls = draw(st.lists(bends | pedals, max_size=3))
        tracks.append(
            MidiTrack(
                draw(st.text("abc äß12", min_size=1).map(lambda t: " ".join(t.split()) or "x")),
                DRUMS if drums else program,
                tuple(sorted(notes)),
                channel,
                program if drums else 0,
                tuple(sorted(controls, key=lambda each: each.tick)),
            )
        )
    ticks = draw(st.lists(st.integers(1, 20_000), max_size=4, unique=True))
    tempos = [Tempo(tick, draw(st.integers(1, 0xFFFFFF))) for tick in (0, *sorted(ticks))]
    length = MidiSong(tuple(tracks), meter_map).end + draw(st.integers(0, 5000))
    length = max(length, 20_000, meter_map.start(21))
    return MidiSong(tuple(tracks), meter_map, tuple(tempos), length)


@settings(max_examples=40, deadline=None)
@given(songs())
def test_what_is_written_reads_back(song: MidiSong) -> None:
    assert midi_reader.parse(midi_writer.dump(song)) == song


@settings(max_examples=40, deadline=None)
@given(songs())
def test_other_readers_see_the_same_notes(song: MidiSong) -> None:
    score = symusic.Score.from_midi(midi_writer.dump(song))
    seen = sorted((n.time, n.pitch, n.duration, n.velocity) for t in score.tracks for n in t.notes)
    assert seen == sorted(
        (song.meter_map.absolute(n.onset), n.pitch, n.duration, n.velocity) for n in song.notes
    )


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_read(body: bytes) -> None:
    for data in (body, midi(body), midi(A_NOTE + body)):
        try:
            midi_reader.parse(data)
        except SidemanError as error:
            assert error.code is Code.BAD_FILE


def test_a_take_becomes_a_file(tmp_path: Path) -> None:
    notes = [Note(1, 0, 32, 40, 960, 90), Note(0, 0, DRUMS, 36, 240, 100), Note(0, 0, 0, 60, 1, 1)]
    song = MidiSong.of_notes(notes, MeterMap([(0, Meter(3, 4))]), bpm=90, length=3 * 2880)
    path = tmp_path / "new" / "take.mid"
    write_midi(path, song, ticks_per_beat=480)
    assert [p.name for p in path.parent.iterdir()] == ["take.mid"]
    file = mido.MidiFile(path)
    assert file.type == 1
    assert file.ticks_per_beat == 480
    assert file.length == pytest.approx(9 * 60 / 90)
    assert [t.name for t in file.tracks[1:]] == ["Drums", "Acoustic Grand Piano", "Acoustic Bass"]
    channels = {m.channel + 1 for t in file.tracks for m in t if m.type == "note_on"}
    assert channels == {1, 2, 10}
    assert read_midi(path).notes == tuple(
        sorted(n if n.duration > 1 else Note(0, 0, 0, 60, 2, 1) for n in notes)
    )


def test_twenty_instruments_share_channels_in_the_right_sound() -> None:
    notes = [Note(program, 0, program, 60, 480, 100) for program in range(20)]
    song = MidiSong.of_notes(notes)
    again = midi_reader.parse(midi_writer.dump(song))
    assert again.notes == song.notes
    assert {track.channel for track in again.tracks} == {*range(1, 17)} - {10}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "take.mid"
    path.write_bytes(b"old")
    with pytest.raises(SidemanError, match="cannot write"):
        write_midi(path / "below.mid", MidiSong.of_notes([Note(0, 0, 0, 60, 1, 1)]))
    with pytest.raises(ValueError, match="range"):
        write_midi(path, MidiSong.of_notes([Note(0, 0, 0, 600, 1, 1)]))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["take.mid"]


def data_folder() -> Path:
    root = Path(__file__).parents[3]
    return Path(os.environ.get("SIDEMAN_DATA", root.parent / "shared" / "data"))


@pytest.mark.parametrize("collection", ["freedoom", "simutrans", "mutopia"])
def test_real_files_read_as_other_readers_read_them(collection: str) -> None:
    files = sorted((data_folder() / "midi" / collection).rglob("*.mid"))[::12]
    if not files:
        pytest.skip("needs the project's music data")
    for path in files[:20]:
        score = symusic.Score(str(path))
        per_beat = score.tpq
        want = sorted(
            ((2 * n.time * 960 + per_beat) // (2 * per_beat), n.pitch, n.velocity)
            for t in score.tracks
            for n in t.notes
            if n.duration > 0
        )
        try:
            song = read_midi(path)
        except SidemanError:
            assert not want
            continue
        assert want == sorted(
            (song.meter_map.absolute(n.onset), n.pitch, n.velocity) for n in song.notes
        )
        again = midi_reader.parse(midi_writer.dump(song))
        assert (again.notes, again.meter_map) == (song.notes, song.meter_map)


def test_a_pitch_that_is_struck_again_ends_first() -> None:
    notes = [Note(0, 0, 33, 29, 4000, 80), Note(0, 960, 33, 29, 500, 90), Note(1, 0, 33, 31, 9, 1)]
    struck = restruck(notes, MeterMap())
    assert struck == (replace(notes[0], duration=960), *notes[1:])
