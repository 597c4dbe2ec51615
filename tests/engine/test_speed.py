"""What a machine is taken to be able to do, from what it has done."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.speed import FIRST_NOTE_TOKENS, NOTE_TOKENS, Speed

amounts = st.floats(1e-5, 1.0)


def test_a_loaded_model_is_a_first_guess() -> None:
    speed = Speed()
    speed.stepped(0.001)
    assert 0.001 < speed.token_seconds < 0.002, "grammar and sampling come on top"
    assert speed.first_note() == FIRST_NOTE_TOKENS * speed.token_seconds


@given(amounts, st.integers(10, 500), st.integers(1, 16), st.integers(1, 8))
def test_it_becomes_what_was_measured(
    token_seconds: float, bar_tokens: int, bars: int, sequences: int
) -> None:
    speed = Speed()
    tokens = bar_tokens * bars * sequences
    for _ in range(100):
        # Sequences side by side: a step of all of them makes a token of each.
        speed.made(tokens, token_seconds * tokens / sequences, bars, sequences)
    assert speed.token_seconds == pytest.approx(token_seconds, rel=1e-3)
    assert speed.bar_tokens == pytest.approx(bar_tokens, rel=1e-3)
    assert speed.take(bars) == pytest.approx(bars * bar_tokens * token_seconds, rel=1e-2)


def test_one_odd_measurement_does_not_change_everything() -> None:
    speed = Speed(0.001, 48.0)
    speed.made(48, 48 * 0.1, 1, 1)
    assert speed.token_seconds < 0.025


@pytest.mark.parametrize("nothing", [(0, 1.0, 4, 1), (10, 1.0, 0, 1)])
def test_nothing_made_is_nothing_learnt(nothing: tuple[int, float, int, int]) -> None:
    speed = Speed()
    speed.made(*nothing)
    assert speed == Speed()


@given(amounts, st.floats(1, 300), st.integers(1, 64), st.floats(0.1, 30))
def test_with_a_head_start_no_later_bar_line_is_missed(
    token_seconds: float, bar_tokens: float, bars: int, bar_seconds: float
) -> None:
    speed = Speed(token_seconds, bar_tokens)
    head = speed.head_start(bars, bar_seconds)
    assert head >= 0
    for bar in range(1, bars + 1):
        assert speed.take(bar) <= head + bar * bar_seconds + 1e-6


def test_who_is_faster_than_the_music_needs_none() -> None:
    assert Speed(0.001, 48.0).head_start(8, 2.0) == 0.0


def test_what_was_told_takes_time_to_be_fed() -> None:
    speed = Speed(token_seconds=0.0016, token_steps=1.6)
    assert speed.backlog(10.0) == 0.0
    speed.told(1000, 10.0)
    backlog = speed.backlog(10.0)
    assert backlog == pytest.approx(1000 * NOTE_TOKENS * 0.001)
    speed.told(1000, 10.0)
    assert speed.backlog(10.0) == pytest.approx(2 * backlog)
    assert speed.backlog(10.0 + backlog) == pytest.approx(backlog)
    assert speed.backlog(99.0) == 0.0
