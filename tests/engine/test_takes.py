"""Arrangements of takes, and undo and redo over them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.takes import Arrangement, History, Take, covering

numbers = st.integers(1, 9)
arrangements = st.builds(
    Arrangement, st.lists(numbers, unique=True).map(tuple), st.frozensets(numbers, max_size=3)
)


@given(arrangements, numbers)
def test_a_placed_take_is_on_top_and_there_once(arrangement: Arrangement, take: int) -> None:
    placed = arrangement.placed(take)
    assert placed.active[-1] == take
    assert placed.active.count(take) == 1
    assert [t for t in placed.active if t != take] == [t for t in arrangement.active if t != take]


@given(arrangements, numbers)
def test_a_discarded_take_is_gone_and_not_kept(arrangement: Arrangement, take: int) -> None:
    without = arrangement.without(take)
    assert take not in without.active
    assert take not in without.kept
    assert without.without(take) == without


@given(arrangements, numbers)
def test_keeping_an_alternative_shows_it(arrangement: Arrangement, take: int) -> None:
    kept = arrangement.keeping(take)
    assert take in kept.kept
    if take in arrangement.active:
        assert kept.active == arrangement.active
    else:
        assert kept.active == (*arrangement.active, take)


@given(st.lists(arrangements))
def test_undo_of_everything_is_the_start_and_redo_of_everything_the_end(
    story: list[Arrangement],
) -> None:
    history = History()
    seen = [history.now]
    for arrangement in story:
        history.change(arrangement)
        if history.now != seen[-1]:
            seen.append(history.now)
    end = history.now
    back = []
    while history.undo():
        back.append(history.now)
    assert back == seen[-2::-1]
    assert history.now == Arrangement()
    assert not history.undo()
    while history.redo():
        pass
    assert history.now == end
    assert not history.redo()


def test_a_change_ends_what_could_be_redone() -> None:
    history = History()
    history.change(Arrangement((1,)))
    history.change(Arrangement((1, 2)))
    assert history.undo()
    history.change(Arrangement((1,)))  # no change: redo is still there
    assert history.redo()
    assert history.undo()
    history.change(Arrangement((1, 3)))
    assert not history.redo()


def test_old_steps_are_forgotten_first() -> None:
    history = History(limit=3)
    for take in range(1, 7):
        history.change(Arrangement((take,)))
    steps = []
    while history.undo():
        steps.append(history.now.active[0])
    assert steps == [5, 4, 3]


def take(number: int, bar: int, bars: int) -> Take:
    return Take(number, track=1, bar=bar, bars=bars)


@pytest.mark.parametrize(
    ("bar", "expected"), [(3, None), (4, 1), (5, 2), (6, 2), (7, 1), (8, 3), (9, None)]
)
def test_later_takes_cover_earlier_ones(bar: int, expected: int | None) -> None:
    shown = [take(1, 4, 4), take(2, 5, 2), take(3, 8, 1)]
    found = covering(shown, bar)
    assert (found and found.number) == expected


def test_a_take_knows_its_end_and_channels() -> None:
    one = Take(1, 1, 4, 2, channels={32: 2})
    assert one.end == 6
    assert one.channel(32) == 2
    assert one.channel(0) == 1
