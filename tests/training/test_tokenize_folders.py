"""Any folder of songs: its split, its wishes, its errors."""

import json
import shutil

import pytest

from engine.errors import Code, SidemanError
from training.data import TokenSet
from training.tokenize import Cleaning, TokenizeConfig, Vocabulary, make


@pytest.fixture
def songs(tmp_path, write_song):
    """Twelve songs of one band, each of its own length, so that each is a tune of its own."""
    folder = tmp_path / "songs"
    for index in range(12):
        write_song(folder / f"song{index}.mid", 55 + index, bars=4 + index)
    return folder


def config(midis, **changes):
    return TokenizeConfig(None, midis, midis.parent / "tokens", **{"jobs": 1, **changes})


def pieces(folder):
    return {piece.path: piece for piece in TokenSet(folder).pieces}


def test_a_folder_is_one_collection_with_a_tenth_held_out(songs):
    made = make(config(songs))
    data = TokenSet(made.output)
    assert {piece.collection for piece in data.pieces} == {"songs"}
    assert (made.pieces, made.heldout, made.skipped) == (12, 1, [])
    assert made.tokens == sum(piece.length for piece in data.pieces)
    assert made.unplayable is None
    assert data.weights == {"songs": 1.0}


@pytest.mark.parametrize(("count", "heldout"), [(1, 0), (2, 1), (12, 1)])
def test_one_of_two_songs_is_held_out_and_never_all(songs, count, heldout):
    for index in range(count, 12):
        (songs / f"song{index}.mid").unlink()
    assert make(config(songs)).heldout == heldout


def test_versions_and_transpositions_of_a_song_stay_on_one_side(songs, write_song):
    write_song(songs / "song3.2.mid", 61, bars=30)
    write_song(songs / "song3 (1).mid", 62, bars=31)
    write_song(songs / "sub" / "in another key.mid", 50, bars=30)
    for seed in range(12):
        held = pieces(make(config(songs, seed=seed)).output)
        names = ("song3.mid", "song3.2.mid", "song3 (1).mid", "sub/in another key.mid")
        assert len({held[name].split for name in names}) == 1


def test_a_copy_under_another_name_is_left_out_with_the_reason(songs):
    shutil.copy(songs / "song1.mid", songs / "the same.mid")
    (skipped,) = make(config(songs)).skipped
    assert skipped["reason"] == "the same piece as another file"
    assert skipped["path"] == "the same.mid"


def test_effects_are_left_out_unless_they_are_asked_for(tmp_path, write_song):
    from symusic import Note, Score

    write_song(tmp_path / "songs" / "a.mid", 60)
    score = Score(tmp_path / "songs" / "a.mid")
    score.tracks[0].program = 125
    score.tracks[0].notes.append(Note(0, 480, 30, 90))
    score.dumps_midi()
    score.dump_midi(tmp_path / "songs" / "a.mid")

    def programs(cleaning):
        data = TokenSet(make(config(tmp_path / "songs", cleaning=cleaning)).output)
        names = {data.vocabulary.names[token] for token in data.tokens(data.pieces[0])}
        return {name for name in names if name.startswith("Program_")}

    assert programs(Cleaning()) == {"Program_-1", "Program_0"}
    assert programs(Cleaning(frozenset(range(17)))) == {"Program_-1", "Program_0", "Program_125"}
    assert programs(Cleaning(frozenset({16}))) == {"Program_-1"}


@pytest.mark.parametrize(
    ("vocabulary", "reason"),
    [
        (Vocabulary(algorithm="MMM"), "MMM, not REMI"),
        (Vocabulary(tempos=True), "use_tempos"),
        (Vocabulary(chords=True), "use_chords"),
        (Vocabulary(size=600), "merged"),
    ],
)
def test_what_the_live_engine_lacks_is_named(songs, vocabulary, reason):
    made = make(config(songs, vocabulary=vocabulary))
    assert reason in made.unplayable
    assert reason in json.loads((made.output / "pieces.json").read_text())["unplayable"]


def test_tempos_and_chords_are_written_where_they_are_asked_for(songs):
    made = make(config(songs, vocabulary=Vocabulary(tempos=True, chords=True)))
    data = TokenSet(made.output)
    kinds = set(data.vocabulary.kind[data.tokens(data.pieces[0])])
    assert {"Tempo", "Chord", "Program", "TimeSig"} <= kinds


def test_mmm_writes_track_after_track(songs):
    data = TokenSet(make(config(songs, vocabulary=Vocabulary(algorithm="MMM"))).output)
    names = [data.vocabulary.names[token] for token in data.tokens(data.pieces[0])]
    assert names[:2] == ["Track_Start", "Program_-1"]
    assert names.count("Track_Start") == names.count("Track_End") == 3
    assert names[-1] == "Track_End"


def test_one_file_and_a_list_of_files_are_enough(songs):
    assert make(config(songs / "song1.mid")).pieces == 1
    listed = songs.parent / "list.txt"
    listed.write_text("songs/song1.mid\n\nsongs/song2.mid\nsongs/gone.mid\n", encoding="utf-8")
    shutil.rmtree(songs.parent / "tokens", ignore_errors=True)
    made = make(TokenizeConfig(None, listed, songs.parent / "tokens"))
    assert made.pieces == 2
    assert made.skipped[0]["reason"] == "cannot be read: No such file or directory"


def refuse(midis, output, code, text):
    with pytest.raises(SidemanError, match=text) as caught:
        make(TokenizeConfig(None, midis, output))
    assert caught.value.code is code
    assert "\n" not in caught.value.text


def test_folders_that_can_not_be_are_refused_in_one_line(songs, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    refuse(empty, tmp_path / "out", Code.BAD_FILE, "no MIDI file")
    refuse(tmp_path / "nowhere", tmp_path / "out", Code.BAD_FILE, "no such folder")
    refuse(songs, songs / "out", Code.BAD_ARGUMENTS, "folder of the songs")
    refuse(songs, songs, Code.NOT_ALLOWED, "choose another name")
    refuse(songs, tmp_path, Code.NOT_ALLOWED, "choose another name")
    (tmp_path / "file").write_text("mine")
    refuse(songs, tmp_path / "file", Code.NOT_ALLOWED, "choose another name")
    assert (tmp_path / "file").read_text() == "mine"
    (empty / "broken.mid").write_bytes(b"nothing")
    refuse(empty, tmp_path / "out", Code.BAD_FILE, "none of its 1 MIDI files.*broken.mid: cannot")
    assert not (tmp_path / "out").exists()


def test_a_data_set_around_the_songs_is_not_replaced(tmp_path, write_song):
    inner = tmp_path / "set" / "songs"
    write_song(inner / "a.mid", 60)
    (tmp_path / "set" / "tokens.npy").write_bytes(b"")
    refuse(inner, tmp_path / "set", Code.BAD_ARGUMENTS, "nor around it")
    assert (inner / "a.mid").exists()


def test_a_data_set_is_replaced_as_a_whole(songs):
    first = make(config(songs))
    (first.output / "notes of mine.txt").write_text("gone with the rest")
    (songs / "song0.mid").unlink()
    assert make(config(songs)).pieces == 11
    assert {path.name for path in first.output.iterdir()} == {
        "tokenizer.json",
        "tokens.npy",
        "pieces.json",
    }


def test_velocity_and_tempo_are_varied_only_where_asked(songs):
    data = TokenSet(make(config(songs, vocabulary=Vocabulary(tempos=True))).output)
    vocabulary, tokens = data.vocabulary, data.tokens(data.pieces[0])

    def values(kind, by):
        stepped = vocabulary.step(kind, tokens, by)
        moved = stepped != tokens
        assert set(vocabulary.kind[tokens[moved]]) <= {kind}
        at = vocabulary.kind[stepped] == kind
        return [float(vocabulary.names[token].partition("_")[2]) for token in stepped[at]]

    for kind in ("Velocity", "Tempo"):
        softer, same, louder = (values(kind, by) for by in (-2, 0, 2))
        assert all(a < b < c for a, b, c in zip(softer, same, louder, strict=True))
        assert len(set(values(kind, 99))) == 1
