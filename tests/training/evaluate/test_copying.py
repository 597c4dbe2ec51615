import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.music import COMMON_TIME, DRUMS, Note
from engine.tokens.vocabulary import Vocabulary
from training.evaluate.copying import LONGEST, TrainingLines, lines_of_bars, lines_of_tokens

STEP = 240


def line(*pitches, drums=False, step=STEP):
    return drums, np.arange(len(pitches)) * step, np.array(pitches)


SCALE = (60, 62, 64, 65, 67, 69, 71, 72)
LEAPS = (60, 72, 55, 70, 49, 66)


def test_a_whole_line_of_the_training_set_is_copied_in_any_key():
    known = TrainingLines([line(*LEAPS), line(*SCALE)])
    assert known.longest_run([line(*SCALE)]) == 8
    assert known.longest_run([line(*(pitch + 5 for pitch in SCALE))]) == 8


def test_only_the_run_that_stands_there_counts():
    known = TrainingLines([line(*SCALE)])
    assert known.longest_run([line(40, 43, *SCALE[2:7], 40)]) == 5


def test_other_rhythms_and_other_tunes_are_not_copies():
    known = TrainingLines([line(*SCALE)])
    assert known.longest_run([line(*SCALE, step=STEP // 2)]) == 0
    assert known.longest_run([line(*LEAPS)]) == 0


def test_a_run_never_crosses_from_one_piece_into_the_next():
    known = TrainingLines([line(*SCALE[:4]), line(*SCALE[4:])])
    assert known.longest_run([line(*SCALE)]) == 4


def test_drums_have_no_key():
    known = TrainingLines([line(36, 42, 38, 42, drums=True)])
    assert known.longest_run([line(36, 42, 38, 42, drums=True)]) == 4
    assert known.longest_run([line(38, 44, 40, 44, drums=True)]) == 0
    assert known.longest_run([line(36, 42, 38, 42)]) == 0


@pytest.mark.parametrize("lines", [[], [line()], [line(60)]])
def test_nothing_is_copied_from_nothing(lines):
    assert TrainingLines(lines).longest_run([line(*SCALE)]) == 0
    assert TrainingLines([line(*SCALE)]).longest_run(lines) == 0


def test_runs_are_followed_for_so_long_and_no_longer():
    notes = [60 + i % 7 for i in range(2 * LONGEST)]
    assert TrainingLines([line(*notes)]).longest_run([line(*notes)]) == LONGEST + 1


def longest_common(a, b):
    """By brute force: the longest run of steps that two lists share."""
    return max(
        (n for n in range(1, len(a) + 1) for i in range(len(a) - n + 1)
         if any(a[i : i + n] == b[j : j + n] for j in range(len(b) - n + 1))),
        default=0,
    )  # fmt: skip


tunes = st.lists(st.integers(60, 62), min_size=2, max_size=14)


@given(st.lists(tunes, min_size=1, max_size=4), tunes)
def test_the_longest_run_is_what_brute_force_finds(training, take):
    steps = [np.diff(tune).tolist() for tune in [*training, take]]
    longest = max(longest_common(steps[-1], other) for other in steps[:-1])
    found = TrainingLines([line(*tune) for tune in training]).longest_run([line(*take)])
    assert found == (longest + 1 if longest else 0)


def test_tokens_and_notes_give_the_same_lines(token_set):
    vocabulary = Vocabulary.load(token_set.folder)
    tokens = token_set.tokens(token_set.select("train")[0])
    by_token = lines_of_tokens(vocabulary, tokens)
    assert [drums for drums, *_ in by_token] == [True, False, False]

    from engine.tokens.encode import decode

    notes = decode(vocabulary, tokens.tolist())
    bars = [[n for n in notes if n.bar == bar] for bar in range(8)]
    by_bar = lines_of_bars(vocabulary, [COMMON_TIME] * 8, bars)
    for mine, theirs in zip(by_token, by_bar, strict=True):
        assert mine[0] == theirs[0]
        assert mine[1].tolist() == theirs[1].tolist()
        assert mine[2].tolist() == theirs[2].tolist()


def test_a_held_out_song_in_another_key_is_found_to_be_copied(token_set):
    vocabulary = Vocabulary.load(token_set.folder)
    pieces = [token_set.tokens(piece) for piece in token_set.select("train")]
    known = TrainingLines(line for piece in pieces for line in lines_of_tokens(vocabulary, piece))
    heldout = lines_of_tokens(vocabulary, token_set.tokens(token_set.select("heldout")[0]))
    assert known.longest_run(heldout) == 8 * 4  # four drums in each of eight bars


def test_notes_that_the_vocabulary_lacks_are_left_out(token_set):
    vocabulary = Vocabulary.load(token_set.folder)
    bars = [[Note(0, 0, DRUMS, 5, 60, 80), Note(0, 0, 0, 60, 60, 80)]]
    assert [drums for drums, *_ in lines_of_bars(vocabulary, [COMMON_TIME], bars)] == [False]
