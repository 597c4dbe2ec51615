"""Merged tokens: learned by miditok, applied and undone here."""

import numpy as np
import pytest
from miditok import REMI

from engine.errors import SidemanError
from engine.tokens import vocabulary as live
from training.data import Augment, Lanes, TokenSet
from training.tokenize import TokenizeConfig, Vocabulary, make
from training.tokenize.clean import read
from training.tokenize.config import Cleaning
from training.tokenize.merging import Merges
from training.tokenize.tokenizer import describe


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    from tests.training.conftest import _write_song

    folder = tmp_path_factory.mktemp("merging") / "songs"
    for index in range(8):
        _write_song(folder / f"song{index}.mid", 55 + index, bars=4 + index)
    return folder


def merged(songs, merging="BPE", size=640, name="tokens"):
    config = TokenizeConfig(
        None, songs, songs.parent / name, vocabulary=Vocabulary(size=size, merging=merging)
    )
    return TokenSet(make(config).output)


def test_merged_pieces_are_those_that_miditok_writes(songs):
    data = merged(songs)
    tokenizer = REMI(params=data.folder / "tokenizer.json")
    for piece in data.pieces:
        score = read((songs / piece.path).read_bytes(), Cleaning())
        assert data.tokens(piece).tolist() == tokenizer(score).ids


@pytest.mark.parametrize("merging", ["BPE", "Unigram"])
def test_merging_is_undone_exactly_and_shortens(songs, merging):
    data = merged(songs, merging)
    plain = TokenSet(make(TokenizeConfig(None, songs, songs.parent / "plain")).output)
    for one, other in zip(data.pieces, plain.pieces, strict=True):
        assert data.vocabulary.split(data.tokens(one)).tolist() == plain.tokens(other).tolist()
        assert one.length < other.length
        assert one.sha256 == other.sha256
        assert int(data.vocabulary.is_note[data.tokens(one)].sum()) == one.notes


def test_bpe_is_the_same_every_time(songs):
    one, other = merged(songs), merged(songs, name="again")
    assert (one.folder / "tokenizer.json").read_bytes() == (
        other.folder / "tokenizer.json"
    ).read_bytes()
    assert (one.folder / "tokens.npy").read_bytes() == (other.folder / "tokens.npy").read_bytes()


def test_a_bar_is_still_where_a_piece_can_be_entered(songs):
    data = merged(songs)
    plain = data.vocabulary.plain
    for piece in data.pieces:
        tokens = data.tokens(piece)
        bars = int(plain.is_bar[data.vocabulary.split(tokens)].sum())
        assert int(data.vocabulary.is_bar[tokens].sum()) == bars


def test_transposed_pieces_are_merged_anew(songs):
    data = merged(songs)
    vocabulary = data.vocabulary
    tokens = data.tokens(data.pieces[0])
    higher = vocabulary.transpose(tokens, 3)
    assert vocabulary.transpose(higher, -3).tolist() == tokens.tolist()
    assert (
        vocabulary.split(higher).tolist()
        == vocabulary.plain.transpose(vocabulary.split(tokens), 3).tolist()
    )
    rows, _ = Lanes(data, 2, Augment(thin=1.0), seed=1).segment(200)
    assert rows.max() < vocabulary.size


def test_the_live_engine_refuses_merged_tokens_by_name(songs):
    data = merged(songs)
    with pytest.raises(SidemanError, match=r"merged \(BPE\)"):
        live.Vocabulary.load(data.folder)


@pytest.mark.parametrize("size", [10, 1 << 17])
def test_sizes_that_can_not_be_are_refused(songs, size):
    with pytest.raises(SidemanError, match="basic ones are needed"):
        merged(songs, size=size, name="never")


def test_music_of_no_bar_is_merged_too(songs):
    data = merged(songs)
    merges = Merges(describe(REMI(params=data.folder / "tokenizer.json")))
    for ids in ([], [7], [7, 3, 8], [3, 3]):
        tokens = np.array(ids, np.uint16)
        assert merges.split(merges.merge(tokens)).tolist() == ids
