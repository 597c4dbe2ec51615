import numpy as np
import pytest

from training.baselines.history import WithHistory, piece_probabilities
from training.baselines.ngrams import NGrams

SIZE, BEGIN = 6, 0


def piece(*tokens):
    return np.array(tokens, dtype=np.uint16)


SONGS = [piece(1, 2, 3, 1, 2, 4, 5), piece(2, 3, 1, 1, 2, 3), piece(5, 5, 4, 1, 2, 3, 3)]


def all_probabilities(predict, heard):
    """P(w | heard) of every token w, by asking for each."""
    return np.array([predict(piece(*heard, w))[-1] for w in range(SIZE)])


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("heard", [(), (1,), (1, 2), (3, 1, 2), (4, 4, 4), (5, 4, 3, 2, 1)])
def test_probabilities_of_all_tokens_sum_to_one(order, heard):
    model = NGrams(SONGS, order, SIZE, BEGIN)
    assert all_probabilities(model.probabilities, heard).sum() == pytest.approx(1)


def test_a_unigram_is_the_share_of_each_token_less_the_discount():
    model = NGrams([piece(1, 1, 1, 2, 2, 3)], 1, SIZE, BEGIN)
    # Counted once: token 3. Twice: token 2. So D = 1 / 3, and three kinds share what is left.
    expected = [(3 - 1 / 3) / 6 + 3 / 3 / 6 / 6, (1 - 1 / 3) / 6 + 3 / 3 / 6 / 6]
    assert all_probabilities(model.probabilities, ())[[1, 3]] == pytest.approx(expected)


def test_a_bigram_counts_what_goes_before_at_its_lower_order():
    """Kneser-Ney's own example: what follows one token only is no likely guess elsewhere."""
    often_after_one = [piece(1, 2)] * 20
    after_many = [piece(1, 3), piece(2, 3), piece(3, 3), piece(4, 3)]
    model = NGrams([*often_after_one, *after_many], 2, SIZE, BEGIN)
    unseen = all_probabilities(model.probabilities, (5,))
    assert unseen[3] > unseen[2]


def test_a_longer_context_foresees_what_always_follows():
    songs = [piece(1, 2, 3, 4), piece(5, 2, 3, 1)] * 20
    assert NGrams(songs, 3, SIZE, BEGIN).probabilities(piece(1, 2, 3, 4))[3] < 0.6
    assert NGrams(songs, 4, SIZE, BEGIN).probabilities(piece(1, 2, 3, 4))[3] > 0.9


def test_too_long_grams_are_refused():
    with pytest.raises(ValueError, match="too many"):
        NGrams(SONGS, 8, 1000, BEGIN)


def test_the_piece_alone_begins_knowing_nothing():
    own, match = piece_probabilities(piece(3, 3, 1), SIZE, 4)
    # Second 3: seen once of one, with one follower: (1 + 1/6) / 2, and no context was heard before.
    assert own[:2] == pytest.approx([1 / 6, (1 + 1 / 6) / 2])
    assert match.tolist() == [0, 0, 1]


def test_the_piece_counts_nothing_that_is_still_to_come():
    whole, early = piece(1, 2, 3, 1, 2, 3, 1, 2), piece(1, 2, 3, 1)
    assert piece_probabilities(whole, SIZE, 8)[0][:4] == pytest.approx(
        piece_probabilities(early, SIZE, 8)[0]
    )


@pytest.mark.parametrize("heard", [(), (1,), (1, 2, 1, 2, 1), (4, 4, 4, 4), (1, 2, 3, 1, 2, 3, 1)])
def test_the_mixture_is_a_distribution_too(heard):
    model = WithHistory(NGrams(SONGS, 3, SIZE, BEGIN), SIZE, longest=4)
    total = all_probabilities(lambda tokens: np.exp(model.log_probs(tokens)), heard).sum()
    assert total == pytest.approx(1)


def test_history_learns_a_loop_that_no_training_piece_has():
    loop = piece(*[5, 1, 4, 4, 2, 5, 3] * 40)
    static = NGrams(SONGS, 3, SIZE, BEGIN)
    late = -WithHistory(static, SIZE).log_probs(loop)[-70:].mean()
    assert late < 0.1 < -static.log_probs(loop)[-70:].mean()


def test_a_piece_without_tokens_has_no_probabilities():
    model = WithHistory(NGrams(SONGS, 3, SIZE, BEGIN), SIZE)
    assert len(model.log_probs(piece())) == 0
