"""What a piece is told is so, and what is left without it is the piece."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.chords import Chord
from engine.tokens.encode import decode
from engine.tokens.vocabulary import Vocabulary
from training import conditions
from training.conditions import Bars, Teller
from training.data import Augment, Lanes, TokenSet


def music(vocabulary, told):
    """The stream without what was told; and by bar, what was told."""
    kept, tellings, skip, at_head = [], [], "", False
    for token in told.tolist():
        kind = vocabulary.types[token]
        if skip:
            tellings[-1].append(token)
            skip = "" if kind == skip else skip
            continue
        if kind in ("Hear", "Ahead"):
            skip = {"Hear": "Write", "Ahead": "Back"}[kind]
            if kind == "Ahead":
                tellings.append([token])
            else:
                tellings[-1].append(token)
            continue
        if token == vocabulary.bar:
            tellings.append([])
        at_head = kind == "TimeSig" or (at_head and kind not in ("Program", "Bar"))
        if token not in vocabulary.music:
            if kind == "Root" and vocabulary.types[kept[-1]] == "Position":
                tellings[-1].append(kept.pop())
            tellings[-1].append(token)
            continue
        kept.append(token)
    return kept, tellings


@pytest.fixture
def song(token_set):
    return token_set.tokens(token_set.pieces[0])


@pytest.fixture
def vocabulary(token_set):
    return Vocabulary.load(token_set.folder)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_what_is_told_can_be_taken_out_again(token_folder, seed):
    token_set = TokenSet(token_folder)
    vocabulary = Vocabulary.load(token_folder)
    tokens = token_set.tokens(token_set.pieces[0])
    teller = Teller(token_set.folder)
    chords = teller.chords(0, tokens)
    told = teller.tell(tokens, chords, 0, np.random.default_rng(seed))
    kept, _ = music(vocabulary, told)
    assert kept == tokens.tolist()


def test_all_kinds_are_told_and_are_so(token_set, song, vocabulary, monkeypatch):
    monkeypatch.setattr(conditions, "CHANCES", dict.fromkeys(conditions.CHANCES, 1.0))
    monkeypatch.setattr(conditions, "FROM_THE_START", 1.0)
    teller = Teller(token_set.folder)
    told = teller.tell(song, teller.chords(0, song), 0, np.random.default_rng(3))
    _, tellings = music(vocabulary, told)
    bar = next(bar for bar in tellings if vocabulary.types[bar[0]] == "Scale")
    names = [vocabulary.tokens[token] for token in bar]
    # Eight notes in a bar of four beats: piano 3, bass 1, drums 4.
    assert "Density_2" in names
    assert [name for name in names if name.startswith("Cast")] == ["Cast_-1", "Cast_0", "Cast_33"]
    root = min(n.pitch for n in decode(vocabulary, song.tolist()) if n.program == 33) % 12
    assert names[names.index("Cast_33") + 1 :][:2] == [f"Root_{root}", "Quality_maj"]
    assert "Hear_None" in names and names[-1] == "Write_None"


def test_chords_move_with_the_music(token_set, song):
    teller = Teller(token_set.folder)
    chords = teller.chords(0, song)
    assert {chord for bar in chords for chord in bar} <= {chords[0][0], None}  # or all rest
    moved = token_set.vocabulary.transpose(song, 3)
    heard = Bars(Vocabulary.load(token_set.folder), moved).chords()
    assert heard[0][0] == Chord((chords[0][0].root + 3) % 12, chords[0][0].quality)


def test_lanes_tell_what_is_never_predicted(token_set):
    lanes = Lanes(token_set, 4, Augment(tell=1.0), seed=1)
    rows = np.concatenate([lanes.segment(256)[0] for _ in range(8)])
    assert token_set.vocabulary.is_condition[rows].mean() > 0.01
    quiet = Lanes(token_set, 4, Augment(tell=0.0), seed=1)
    assert not token_set.vocabulary.is_condition[quiet.segment(256)[0]].any()
