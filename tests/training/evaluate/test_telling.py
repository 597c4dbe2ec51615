"""What is counted is the same music, told or not."""

import numpy as np
import pytest

from training.evaluate.telling import telling


class Fair:
    """One bit for each token."""

    def log_probs(self, tokens):
        return np.full(len(tokens), -np.log(2))


class Listens:
    """Knows all that comes behind a condition."""

    def __init__(self, vocabulary):
        self._told = vocabulary.is_condition
        self._is_bar = vocabulary.is_bar

    def log_probs(self, tokens):
        known, result = False, []
        for token in tokens.tolist():
            known = (known and not self._is_bar[token]) or bool(self._told[token])
            result.append(0.0 if known else -np.log(2))
        return np.array(result)


@pytest.fixture
def pieces(token_set):
    return token_set.select("heldout", "foreign")


def test_who_gains_nothing_by_it_needs_as_many_bits(token_set, pieces):
    found = telling(Fair(), token_set, pieces)
    assert found
    for worth in found.values():
        assert worth.told == worth.untold > 0
    others = found["others"]
    # Pitch, velocity and duration of each note.
    assert (others.told, others.untold, others.alone) == (3, 3, 3)


def test_who_listens_needs_fewer(token_set, pieces):
    found = telling(Listens(token_set.vocabulary), token_set, pieces)
    for kind in ("density", "cast", "chords", "others"):
        assert found[kind].told == 0 < found[kind].untold


def test_the_same_notes_are_counted(token_set, pieces):
    found = telling(Fair(), token_set, pieces)
    assert found["cast"].notes == found["density"].notes
