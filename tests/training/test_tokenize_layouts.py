"""What one layout writes, every other one can be made from."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Code, SidemanError
from training.data import TokenSet
from training.tokenize import TokenizeConfig, Vocabulary, make
from training.tokenize.config import Piece
from training.tokenize.data import TokenData, placed
from training.tokenize.encode import Heads, digest
from training.tokenize.layouts import LAYOUTS, binidx, layout_of
from training.tokenize.layouts.binidx import BinIdx, write_binidx
from training.tokenize.sources import own_recipe
from training.tokenize.tokenizer import describe, make_tokenizer

SETTINGS = describe(make_tokenizer())
SIZE = len(make_tokenizer().vocab)
HEADS = Heads({name: token for token, name in enumerate(SETTINGS["tokens"])})


@pytest.fixture
def songs(tmp_path, write_song):
    folder = tmp_path / "songs"
    for index in range(6):
        write_song(folder / f"Song {index}.mid", 55 + index, bars=4 + index)
    write_song(folder / "sub" / "song 0.MID", 70, bars=20)
    (folder / "broken.mid").write_bytes(b"nothing")
    return folder


def content(folder):
    data = TokenSet(folder)
    return sorted(
        (piece.split, piece.collection, piece.path, piece.notes, data.tokens(piece).tolist())
        for piece in data.pieces
    )


@pytest.mark.parametrize("vocabulary", [Vocabulary(), Vocabulary(size=620)], ids=["plain", "bpe"])
@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"sideman"}))
def test_a_data_set_survives_a_journey_through_any_layout(songs, tmp_path, layout, vocabulary):
    direct = make(TokenizeConfig(None, songs, tmp_path / "direct", vocabulary=vocabulary))
    abroad = make(
        TokenizeConfig(None, songs, tmp_path / "abroad", vocabulary=vocabulary, layout=layout)
    )
    assert layout_of(abroad.output).name == layout
    back = make(TokenizeConfig(None, abroad.output, tmp_path / "back"))
    if layout == "musai" and vocabulary.size:  # what it reads are the plain tokens
        direct = make(TokenizeConfig(None, songs, tmp_path / "plain"))
    assert content(back.output) == content(direct.output)
    assert back.skipped == direct.skipped != []


piece_tokens = st.lists(st.integers(3, SIZE - 1), min_size=1, max_size=40)


@settings(max_examples=30, deadline=None)
@given(
    made=st.lists(
        st.tuples(piece_tokens, st.sampled_from(["train", "heldout"])), min_size=1, max_size=8
    )
)
def test_any_tokens_survive_any_layout(tmp_path_factory, made):
    root = tmp_path_factory.mktemp("layouts")
    parts = [np.array(ids, np.uint16) for ids, _ in made]
    pieces = [
        Piece("songs", f"{index} Ä.mid", digest(part), split, 0, 0, HEADS.notes(part))
        for index, (part, (_, split)) in enumerate(zip(parts, made, strict=True))
    ]
    recipe = {"name": "songs", "collections": [{"name": "songs", "weight": 1.0}]}
    data = TokenData(SETTINGS, recipe, placed(pieces, map(len, parts)), parts, 3)
    for name, layout in LAYOUTS.items():
        folder = root / name
        folder.mkdir()
        layout.write(data, folder)
        read = layout.read(folder)
        assert sorted(
            (piece.path, piece.split, piece.sha256, part.tolist())
            for piece, part in zip(read.pieces, read.parts, strict=True)
        ) == sorted(
            (piece.path, piece.split, piece.sha256, part.tolist())
            for piece, part in zip(data.pieces, parts, strict=True)
        )
        assert (read.recipe, read.seed) == (recipe, 3)


numbers = st.sampled_from(["u1", "i1", "i2", "i4", "i8", "f4", "f8", "u2"])


@settings(max_examples=60, deadline=None)
@given(kind=numbers, sequences=st.lists(st.lists(st.integers(0, 127), max_size=9), max_size=6))
def test_binidx_keeps_sequences_of_every_type(tmp_path_factory, kind, sequences):
    prefix = tmp_path_factory.mktemp("binidx") / "music.v1"
    write_binidx(prefix, [np.array(sequence, kind) for sequence in sequences], kind)
    read = BinIdx(prefix)
    assert [sequence.tolist() for sequence in read] == sequences
    assert read.dtype == np.dtype(kind)
    assert read.documents.tolist() == list(range(len(sequences) + 1))


def test_binidx_is_the_bytes_that_other_trainers_read(tmp_path):
    write_binidx(tmp_path / "a", [np.array([1, 2, 3]), np.array([65535])])
    assert (tmp_path / "a.bin").read_bytes() == struct.pack("<4H", 1, 2, 3, 65535)
    assert (tmp_path / "a.idx").read_bytes() == (
        b"MMIDIDX\0\0"
        + struct.pack("<QBQQ", 1, 8, 2, 3)
        + struct.pack("<2i2q3q", 3, 1, 0, 6, 0, 1, 2)
    )


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"x" + b[1:], lambda b: b[:20]])
def test_a_damaged_index_is_named(tmp_path, damage):
    write_binidx(tmp_path / "a", [np.array([1, 2, 3])])
    index = tmp_path / "a.idx"
    index.write_bytes(damage(index.read_bytes()))
    with pytest.raises(SidemanError, match=r"a\.idx") as caught:
        BinIdx(tmp_path / "a")
    assert caught.value.code is Code.BAD_FILE


def test_an_index_that_points_past_its_bin_is_named(tmp_path):
    write_binidx(tmp_path / "a", [np.array([1, 2, 3])])
    (tmp_path / "a.bin").write_bytes(b"\0\0")
    with pytest.raises(SidemanError, match="past the end"):
        BinIdx(tmp_path / "a")


def test_pieces_in_a_bin_stand_between_their_borders(songs, tmp_path):
    made = make(TokenizeConfig(None, songs, tmp_path / "out", layout="binidx"))
    begin, end = (SETTINGS["tokens"].index(name) for name in ("BOS_None", "EOS_None"))
    for document in BinIdx(made.output / "train"):
        assert (document[0], document[-1]) == (begin, end)
    assert binidx.fits(made.output)


def test_musai_finds_what_it_looks_for(songs, tmp_path):
    made = make(TokenizeConfig(None, songs, tmp_path / "out", layout="musai"))
    params = json.loads((made.output / "token_params.cfg").read_text())
    assert params["tokenization"] == "REMI"
    assert sorted(params["_vocab_base"].values()) == list(range(len(SETTINGS["tokens"])))
    files = {*made.output.glob("*.json"), *(made.output / "heldout").glob("*.json")}
    assert {"song_1_mid.json", "song_0_mid.json", "song_0_mid_2.json"} <= {
        path.name for path in files
    }
    for path in files:
        entry = json.loads(path.read_text())
        assert len(entry["ids"]) == 1 and 0 <= min(entry["ids"][0]) <= max(entry["ids"][0]) < SIZE
        assert entry["programs"] == [-1, 0, 33]
    assert len(list((made.output / "heldout").iterdir())) == made.heldout == 1


def test_musais_merged_copies_lie_in_their_own_folder(songs, tmp_path):
    made = make(
        TokenizeConfig(
            None, songs, tmp_path / "out", layout="musai", vocabulary=Vocabulary(size=620)
        )
    )
    plain = json.loads((made.output / "song_1_mid.json").read_text())["ids"][0]
    merged = json.loads((made.output / "bpe" / "song_1_mid.json").read_text())["ids"][0]
    assert max(plain) < SIZE <= max(merged)
    assert len(merged) < len(plain)


@pytest.fixture
def foreign(tmp_path):
    """A folder as MusAI itself writes one, with an old version of miditok."""
    folder = tmp_path / "musai"
    folder.mkdir()
    names = ["PAD_None", "BOS_None", "EOS_None", "Bar_None", "Position_0", "Program_0"]
    names += ["Pitch_60", "Velocity_63", "Duration_1.0.8", "Chord_maj", "Tempo_120"]
    base = {name: token for token, name in enumerate(names)}
    params = {"tokenization": "REMIPlus", "miditok_version": "2.1.2", "_vocab_base": base}
    (folder / "token_params.cfg").write_text(json.dumps(params))
    for index in range(10):
        ids = [3, *([4, 5, 6, 7, 8] * (index + 1))]
        entry = {"ids": [ids] if index % 2 else ids, "programs": [0]}
        (folder / f"song_{index}_mid.json").write_text(json.dumps(entry))
    return folder


def test_a_folder_of_musai_is_read_and_split(foreign, tmp_path):
    made = make(TokenizeConfig(None, foreign, tmp_path / "out"))
    assert (made.pieces, made.heldout) == (10, 1)
    assert made.unplayable == "its tokenization is REMIPlus, not REMI"
    data = TokenSet(made.output)
    assert data.vocabulary.names[3] == "Bar_None"
    assert sorted(piece.notes for piece in data.pieces) == list(range(1, 11))


@pytest.mark.parametrize(
    "entry", [{}, {"ids": "abc"}, {"ids": [3, 11]}, {"ids": [3, -1]}, {"ids": [[3.5]]}, [1]]
)
def test_a_piece_that_is_none_is_named(foreign, tmp_path, entry):
    (foreign / "song_3_mid.json").write_text(json.dumps(entry))
    with pytest.raises(SidemanError, match=r"song_3_mid\.json") as caught:
        make(TokenizeConfig(None, foreign, tmp_path / "out"))
    assert caught.value.code is Code.BAD_FILE


def test_json_lines_alone_are_enough(tmp_path):
    folder = tmp_path / "lines"
    folder.mkdir()
    text = "Bar_None TimeSig_4/4 Position_0 Program_0 Pitch_60 Velocity_63 Duration_1.0.6"
    (folder / "train.jsonl").write_text(json.dumps({"text": text}) + "\n\n")
    made = make(TokenizeConfig(None, folder, tmp_path / "out"))
    assert (made.pieces, made.tokens) == (1, 7)
    assert TokenSet(made.output).pieces[0].notes == 1


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"text": "Bar_None Pitch_300"}'])
def test_a_line_that_is_no_piece_is_named(tmp_path, line):
    folder = tmp_path / "lines"
    folder.mkdir()
    (folder / "train.jsonl").write_text(line + "\n")
    with pytest.raises(SidemanError, match=r"train\.jsonl, line 1"):
        make(TokenizeConfig(None, folder, tmp_path / "out"))


def test_wishes_for_midi_files_are_refused_for_tokens(foreign, tmp_path):
    with pytest.raises(SidemanError, match="tokens already"):
        make(TokenizeConfig(None, foreign, tmp_path / "out", vocabulary=Vocabulary(tempos=True)))


def test_a_layout_that_there_is_not_is_refused(foreign, tmp_path):
    with pytest.raises(SidemanError, match="sideman, musai, binidx, jsonl"):
        make(TokenizeConfig(None, foreign, tmp_path / "out", layout="parquet"))


def test_a_folder_of_songs_says_that_its_licence_is_not_known(songs):
    (collection,) = own_recipe(songs).collections
    assert (collection.name, collection.licence) == ("songs", "unknown")
