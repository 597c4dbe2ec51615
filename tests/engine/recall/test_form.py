"""Bars that come again, as they were or varied."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recall.bars import Picture, likeness
from engine.recall.form import ALIKE, LAST_BARS, Echo, Form, echo, round_of


def bar(*pitches: int, program: int = 0) -> Picture:
    return frozenset((position, program, pitch) for position, pitch in enumerate(pitches))


A, B, C = bar(1, 2, 3, 4), bar(5, 6, 7, 8), bar(9, 9, 9, 9)
ALMOST_A = bar(1, 2, 3, 5)
REST: Picture = frozenset()

pictures = st.lists(
    st.frozensets(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 2))), max_size=40
)


def test_likeness() -> None:
    assert likeness(A, A) == 1.0
    assert likeness(A, B) == likeness(REST, REST) == likeness(A, REST) == 0.0
    assert likeness(A, ALMOST_A) == pytest.approx(3 / 5)


def test_the_nearest_of_equals() -> None:
    assert echo([A, B, A, B, A], 4) == Echo(2)
    assert echo([A, A, B, A], 3) == Echo(2)
    assert echo([A, B, C], 2) is None
    assert echo([REST, REST], 1) is None


def test_what_is_kept_by_whom() -> None:
    both = A | bar(7, 7, 7, 7, program=3)
    again = ALMOST_A | bar(7, 7, 7, 7, program=3)
    found = echo([both, again], 1)
    assert found is not None
    assert not found.exact
    assert found.share(3) == 1.0
    assert found.share(0) == pytest.approx(3 / 4)
    assert found.share(9) == found.kept == pytest.approx(14 / 16)


def test_more_notes_are_another_bar() -> None:
    found = echo([A, A | {(9, 0, 9)}], 1)
    assert found is not None
    assert found.share(0) == 1.0
    assert not found.exact


def test_a_round() -> None:
    song = [bar(i, i, i) for i in range(12)]
    assert round_of(song * 2) == 12
    assert round_of(song) == 8
    assert round_of(song[:11]) == 0


@given(pictures, pictures)
def test_however_it_was_come_by(before: list[Picture], after: list[Picture]) -> None:
    form, fresh = Form(frozenset((0, 1))), Form(frozenset((0, 1)))
    form.follow(before)
    form.echoes()
    form.follow(after)
    fresh.follow(after)
    assert form.echoes() == fresh.echoes()
    assert form.round() == fresh.round()
    assert len(form.echoes()) == min(LAST_BARS, max(0, len(after) - 1))
    for found in form.echoes():
        assert found is None or (found.distance >= 1 and found.kept >= ALIKE)


def test_other_instruments_do_not_count() -> None:
    song = [A | bar(7, program=3), B | bar(7, program=3), A | bar(8, program=3)]
    form, all_of_them = Form(frozenset((0,))), Form(frozenset((0, 3)))
    form.follow(song)
    all_of_them.follow(song)
    assert form.echoes() == [None, Echo(2)]
    found = all_of_them.echoes()[1]
    assert found is not None
    assert not found.exact
