import numpy as np
import pytest

from training.evaluate import score_with
from training.evaluate.scoring import EDGES, Score, curve


class Coins:
    """Takes every token for one of two that are equally likely."""

    def log_probs(self, tokens):
        return np.full(len(tokens), -np.log(2))


class Improving:
    """Needs 4 bits for each of the first 256 tokens, then 1."""

    def log_probs(self, tokens):
        return -np.log(2) * np.where(np.arange(len(tokens)) < 256, 4.0, 1.0)


def test_a_coin_needs_a_bit_a_token(token_set):
    pieces = token_set.select("heldout", "bands")
    total = score_with(Coins(), token_set, pieces)
    assert total.tokens == sum(piece.length for piece in pieces)
    assert total.notes == sum(piece.notes for piece in pieces)
    assert total.bars == 8 * len(pieces)
    assert total.bits_per_token == pytest.approx(1)
    assert total.bits_per_note == pytest.approx(total.tokens / total.notes)
    assert total.bits_per_bar == pytest.approx(total.tokens / total.bars)


def test_the_curve_says_where_it_gets_easier(token_set):
    piece = token_set.select("heldout", "foreign")[0]
    assert 256 < piece.length < 512
    figures = score_with(Improving(), token_set, [piece]).figures()
    assert figures["bits_per_token_by_token"] == {"0": 4, "256": 1}
    by_bar = figures["bits_per_token_by_bar"]
    assert list(by_bar) == ["0", "4", "8"]
    assert by_bar["0"] == 4 > by_bar["4"] > by_bar["8"] == 1


def test_a_limit_ends_each_piece(token_set):
    pieces = token_set.select("heldout", "bands")
    assert score_with(Coins(), token_set, pieces, limit=50).tokens == 50 * len(pieces)


def test_sums_of_nothing_are_nothing(token_set):
    total = score_with(Coins(), token_set, [])
    assert (total.bits, total.tokens, total.notes, total.bars) == (0, 0, 0, 0)
    assert curve(Score().by_token, EDGES) == {}
