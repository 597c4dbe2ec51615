from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SidemanError
from training.data import TRANSPOSITIONS, Augment, Lanes, TokenSet

PLAIN = Augment(transpose=False, thin=0.0, restart=0.0, inside=0.0, tell=0.0)


def names(token_set, tokens):
    return [token_set.vocabulary.names[token] for token in tokens]


@pytest.mark.parametrize("by", TRANSPOSITIONS)
def test_transposing_moves_pitches_and_leaves_drums(token_set, by):
    tokens = token_set.tokens(token_set.pieces[0])
    for before, after in zip(
        names(token_set, tokens),
        names(token_set, token_set.vocabulary.transpose(tokens, by)),
        strict=True,
    ):
        if before.startswith("Pitch_"):
            assert int(after[6:]) == int(before[6:]) + by
        else:
            assert after == before


def test_transposing_past_the_range_keeps_the_pitch_class(token_set):
    vocabulary = token_set.vocabulary
    lowest = np.array([vocabulary.names.index("Pitch_21")], dtype=np.uint16)
    assert names(token_set, vocabulary.transpose(lowest, -6)) == ["Pitch_27"]


@given(keep=st.sets(st.sampled_from(["Program_-1", "Program_0", "Program_33"]), min_size=1))
def test_thinning_keeps_those_programs_and_the_grammar(token_folder, keep):
    token_set = TokenSet(token_folder)
    vocabulary = token_set.vocabulary
    tokens = token_set.tokens(token_set.pieces[0])
    thinned = vocabulary.thin(tokens, {vocabulary.names.index(name) for name in keep})
    kept = names(token_set, thinned)
    assert {name for name in kept if name.startswith("Program")} == keep
    assert kept.count("Bar_None") == names(token_set, tokens).count("Bar_None")
    whole = notes(names(token_set, tokens))
    assert notes(kept) == [note for note in whole if note[2] in keep]
    for here, following in zip(kept, [*kept[1:], "Bar_None"], strict=True):
        if here.startswith("Position"):
            assert following.startswith("Program"), "a position without a note"


def notes(tokens):
    """(bar, position, program, pitch, velocity, duration) of each note."""
    bar, position, found = -1, "", []
    for i, name in enumerate(tokens):
        if name == "Bar_None":
            bar += 1
        elif name.startswith("Position"):
            position = name
        elif name.startswith("Program"):
            found.append((bar, position, *tokens[i : i + 4]))
    return found


def test_lanes_play_pieces_whole_and_in_order(token_set):
    lanes = Lanes(token_set, 2, PLAIN, seed=1)
    rows = [lanes.segment(64) for _ in range(60)]
    assert rows[0][1].all() and not any(fresh.any() for _, fresh in rows[1:])
    known = {token_set.tokens(piece).tobytes() for piece in token_set.select("train")}
    for lane in range(2):
        for (before, _), (after, _) in pairwise(rows):
            assert before[lane, -1] == after[lane, 0]
        stream = np.concatenate([row[lane, :-1] for row, _ in rows]).astype(np.uint16)
        begins = np.flatnonzero(stream == token_set.vocabulary.begin)
        ends = np.flatnonzero(stream == token_set.vocabulary.end)
        assert len(ends) > 3
        for begin, end in zip(begins, ends, strict=False):
            assert stream[begin + 1 : end].tobytes() in known


def test_lanes_start_anew_inside_pieces_at_a_bar(token_set):
    lanes = Lanes(token_set, 1, Augment(restart=1.0, inside=1.0), seed=1)
    bar = token_set.vocabulary.names.index("Bar_None")
    for _ in range(20):
        row, fresh = lanes.segment(16)
        assert fresh.all()
        assert row[0, 0] == token_set.vocabulary.begin
        assert row[0, 1] == bar


def test_held_out_pieces_are_never_heard(token_set):
    heldout = [token_set.tokens(piece).tobytes() for piece in token_set.select("heldout")]
    lanes = Lanes(token_set, 1, PLAIN, seed=3)
    stream = np.concatenate([lanes.segment(256)[0][0, :-1] for _ in range(40)]).astype(np.uint16)
    assert not any(piece in stream.tobytes() for piece in heldout)


def test_the_seed_decides_what_is_heard(token_set):
    def first(seed):
        return Lanes(token_set, 2, Augment(), seed).segment(200)[0]

    assert (first(5) == first(5)).all()
    assert (first(5) != first(6)).any()


def test_a_folder_that_is_no_data_set_is_named(tmp_path):
    with pytest.raises(SidemanError, match=tmp_path.name):
        TokenSet(tmp_path)


def test_lanes_go_on_from_their_state_as_if_never_stopped(token_set):
    lanes = Lanes(token_set, 3, Augment(), seed=5)
    for _ in range(4):
        lanes.segment(40)
    state = lanes.state()
    again = Lanes(token_set, 3, Augment(), seed=99)
    again.restore(state)
    for _ in range(30):
        for mine, other in zip(lanes.segment(40), again.segment(40), strict=True):
            assert np.array_equal(mine, other)
