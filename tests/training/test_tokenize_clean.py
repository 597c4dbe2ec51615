"""Which files and tracks are used, and what they become."""

import pytest
from symusic import Note, Score, TimeSignature, Track

from training.tokenize.clean import UnusableError, read
from training.tokenize.config import Cleaning, Vocabulary
from training.tokenize.encode import Encoded, Encoder, Unusable


def song(*programs, drums=False, beats=8, tpq=480, pitch=60):
    score = Score(tpq)
    score.time_signatures.append(TimeSignature(0, 4, 4))
    for program in programs:
        track = Track("", program, False)
        track.notes.extend([Note(beat * tpq, tpq, pitch, 90) for beat in range(beats)])
        score.tracks.append(track)
    if drums:
        track = Track("", 0, True)
        track.notes.extend([Note(beat * tpq, tpq // 4, 36, 90) for beat in range(beats)])
        score.tracks.append(track)
    return score.dumps_midi()


def programs(data, **cleaning):
    score = read(data, Cleaning(**cleaning))
    return [-1 if track.is_drum else track.program for track in score.tracks]


def test_tracks_stand_drums_first_then_by_program():
    assert programs(song(40, 0, 33, drums=True)) == [-1, 0, 33, 40]


def test_only_chosen_classes_are_kept():
    data = song(0, 33, 40, 96, 120, drums=True)
    assert programs(data, classes=frozenset({0, 4, 16})) == [-1, 0, 33]
    assert programs(data) == [-1, 0, 33, 40, 96, 120]


def test_a_song_without_any_chosen_class_is_left_out():
    with pytest.raises(UnusableError, match="none of the instrument classes"):
        read(song(0, 33), Cleaning(classes=frozenset({16})))


def test_a_song_must_have_every_required_class_even_one_that_is_not_kept():
    assert programs(song(0, drums=True), classes=frozenset({0}), required=frozenset({16})) == [0]
    with pytest.raises(UnusableError, match=r"^has no Bass, Drums$"):
        read(song(0, 24), Cleaning(required=frozenset({0, 4, 16})))


def test_a_required_track_without_notes_does_not_count():
    score = Score.from_midi(song(0))
    score.tracks.append(Track("", 0, True))
    with pytest.raises(UnusableError, match="has no Drums"):
        read(score.dumps_midi(), Cleaning(required=frozenset({16})))


@pytest.mark.parametrize(
    ("given", "merged"),
    [
        ((80, 95), [80, 80]),  # synths
        ((41, 48), [40, 40]),  # strings
        ((30, 38), [25, 25]),  # guitar and bass
        ((8, 115), [11, 11]),  # percussion with pitches
        ((0, 57, 73, 105), [0, 57, 73, 105]),  # classes of no group
    ],
)
def test_related_classes_play_one_instrument(given, merged):
    assert programs(song(*given), merge=True) == merged


def test_merging_leaves_the_drum_kit_alone():
    assert programs(song(12, drums=True), merge=True) == [-1, 11]


def test_the_shortest_length_is_in_beats_to_the_end_of_the_last_note():
    assert programs(song(0, beats=8), length=8) == [0]
    with pytest.raises(UnusableError, match=r"lasts 8 beats, less than 8\.5"):
        read(song(0, beats=8), Cleaning(length=8.5))


def test_a_stray_note_hours_later_is_no_song():
    score = Score.from_midi(song(0))
    score.tracks[0].notes.append(Note(480 * 25_000, 480, 60, 90))
    with pytest.raises(UnusableError, match="lasts 25001 beats"):
        read(score.dumps_midi(), Cleaning())


def test_ticks_that_are_too_coarse_are_an_error():
    assert programs(song(0, tpq=12)) == [0]
    with pytest.raises(UnusableError, match="only 8 ticks"):
        read(song(0, tpq=8), Cleaning())


def test_hats_struck_on_the_edge_are_hats():
    score = Score.from_midi(song(drums=True))
    for note in score.tracks[0].notes:
        note.pitch = 22
    cleaned = read(score.dumps_midi(), Cleaning())
    assert {note.pitch for note in cleaned.tracks[0].notes} == {42}


@pytest.mark.parametrize("data", [b"", b"no music", b"MThd\0\0\0\6\0\1\0", song(0)[:60]])
def test_broken_bytes_are_unusable_with_a_reason(data):
    result = Encoder(Vocabulary(), Cleaning()).encode(data)
    assert isinstance(result, Unusable)
    assert result.reason.startswith("cannot be read: ")


def test_a_tune_is_the_same_in_another_key_by_another_instrument_and_louder():
    encoder = Encoder(Vocabulary(), Cleaning())
    one, other = encoder.encode(song(0)), encoder.encode(song(40, pitch=65))
    longer = encoder.encode(song(0, beats=9))
    assert isinstance(one, Encoded) and isinstance(other, Encoded) and isinstance(longer, Encoded)
    assert one.tune == other.tune != longer.tune
    assert one.tokens.tobytes() != other.tokens.tobytes()
