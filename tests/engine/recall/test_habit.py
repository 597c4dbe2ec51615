"""Which bars of a take repeat the song."""

from __future__ import annotations

import pytest

from engine.recall.habit import FREE, FREE_OF_LOOP, PHRASE, REPEATED, Habit, Manner


def manners(rate: float, seed: int, variation: int = 0, bars: int = 16) -> list[Manner]:
    habit = Habit(rate, seed, variation)
    found = []
    for _ in range(bars):
        found.append(habit.manner)
        habit.enter_bar()
    return found


def test_a_loop_is_left_in_every_phrase() -> None:
    for variation, repeated in ((0, 3), (1, 3), (2, 2), (5, 1), (6, 0), (15, 0)):
        for seed in range(20):
            found = manners(1.0, seed, variation)
            assert set(found) <= {REPEATED, FREE_OF_LOOP}
            for start in range(0, len(found), PHRASE):
                assert found[start : start + PHRASE].count(REPEATED) == repeated


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5])
def test_as_often_as_the_song(rate: float) -> None:
    found = [manner for seed in range(300) for manner in manners(rate, seed)]
    assert set(found) <= {REPEATED, FREE}
    assert found.count(REPEATED) / len(found) == pytest.approx(rate, abs=0.03)


def test_the_seed_decides_which() -> None:
    assert manners(0.5, 7) == manners(0.5, 7)
    assert len({tuple(manners(1.0, seed)) for seed in range(50)}) > 20
    assert manners(0.5, 7, 0) != manners(0.5, 7, 1)
