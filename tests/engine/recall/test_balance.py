"""Pitch classes that a take has too much of get less likely."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from engine.music import DRUMS
from engine.recall.balance import (
    ENOUGH,
    ROW,
    Balance,
    Counts,
    Scales,
    longest_rows,
    pitch_classes,
)
from engine.recall.bars import Struck
from engine.tokens.vocabulary import Vocabulary
from tests.support.tiny_model import TOKENIZER

V = Vocabulary.load(TOKENIZER)
PIANO, DRUM = V.program_ids[0], V.program_ids[DRUMS]


def struck(pitch: int, program: int = 0) -> Struck:
    token = V.pitch_id(program, pitch)
    assert token is not None
    return Struck(V.position[0], program, token, V.velocity[8], V.duration[3])


def song(*pitches: int) -> list[dict[int, Counts]]:
    return [pitch_classes(V, [struck(pitch) for pitch in pitches])] * 4


def play(balance: Balance, pitch: int, program: int = PIANO) -> None:
    """Two tokens: an instrument, and what it strikes."""
    balance.accept(program)
    balance.accept(pitch)


def urge(balance: Balance, row: np.ndarray, program: int = PIANO) -> None:
    """What comes of a row of log-probabilities when an instrument has been named."""
    named = copy.deepcopy(balance)
    named.accept(program)
    named.urge(row)


def leaned(balance: Balance, program: int = PIANO) -> np.ndarray:
    """The odds by pitch class of one octave, from a network without an opinion."""
    row = np.zeros(len(V.music), dtype=np.float32)
    urge(balance, row, program)
    first = V.pitch_id(0, 60)
    assert first is not None
    odds = np.exp(row[first : first + 12].astype(np.float64))
    shares: np.ndarray = odds / odds.sum()
    return shares


def test_counting() -> None:
    found = pitch_classes(V, [struck(60), struck(72), struck(61), struck(36, DRUMS)])
    assert list(found) == [0]
    assert found[0].tolist() == [2, 1] + [0] * 10


def test_what_the_song_plays_is_likely() -> None:
    balance = Balance(Scales(V, song(60, 60, 64, 67), [0]), 1.0)
    odds = leaned(balance)
    assert odds.argsort()[-3:].tolist() in ([4, 7, 0], [7, 4, 0])
    assert odds[[0, 4, 7]].sum() > 0.5


def test_what_was_had_too_much_of_is_not() -> None:
    balance = Balance(Scales(V, song(60, 64, 67), [0]), 1.0)
    before = leaned(balance)
    token = V.pitch_id(0, 48)
    assert token is not None
    for _ in range(12):
        play(balance, token)
    after = leaned(balance)
    assert after[0] < 0.5 * before[0]
    assert after[4] > before[4]


def test_a_take_like_the_song_stays_free() -> None:
    """Where all is played as often as in the song, no share changes."""
    balance = Balance(Scales(V, song(60, 64, 67), [0]), 1.0)
    before = leaned(balance)
    for pitch in (60, 64, 67) * 20:
        token = V.pitch_id(0, pitch)
        assert token is not None
        play(balance, token)
    after = leaned(balance)
    assert after[[0, 4, 7]] / after[0] == pytest.approx(before[[0, 4, 7]] / before[0], rel=0.05)


def test_no_strength_and_no_song() -> None:
    row = np.zeros(len(V.music), dtype=np.float32)
    urge(Balance(Scales(V, song(60), [0]), 0.0), row)
    urge(Balance(Scales(V, [], [0]), 1.0), row)
    urge(Balance(Scales(V, song(60), [0, DRUMS]), 1.0), row, DRUM)
    assert not row.any()


def test_other_kinds_of_tokens_are_left_alone() -> None:
    row = np.zeros(len(V.music), dtype=np.float32)
    urge(Balance(Scales(V, song(60, 61), [0]), 1.0), row)
    row[V.pitch.start : V.pitch.stop] = 0
    assert not row.any()


def test_rows() -> None:
    bars = [[struck(60), struck(60)], [struck(36, DRUMS), struck(60)], [struck(61), struck(60)]]
    assert longest_rows(bars) == {0: 3, DRUMS: 1}
    assert longest_rows([]) == {}


@pytest.mark.parametrize("known", [0, 40])
def test_no_note_for_ever(known: int) -> None:
    balance = Balance(Scales(V, song(60), [0], {0: known}), 1.0)
    token, octave = V.pitch_id(0, 60), V.pitch_id(0, 72)
    assert token is not None
    assert octave is not None
    rows = []
    for _ in range(1 + max(ROW, known)):
        row = np.zeros(len(V.music), dtype=np.float32)
        urge(balance, row)
        rows.append(float(row[octave] - row[token]))
        play(balance, token)
    assert rows[:-1] == [0.0] * max(ROW, known)
    assert rows[-1] == pytest.approx(ENOUGH)
    play(balance, octave)
    row = np.zeros(len(V.music), dtype=np.float32)
    urge(balance, row)
    assert row[token] == row[octave]
