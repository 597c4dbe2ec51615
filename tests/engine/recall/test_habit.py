"""Which bars of a take repeat the song, and from how far back."""

from __future__ import annotations

import pytest

from engine.recall.habit import LOOSE, PHRASE, Habit


def drawn(distances: list[int], seed: int, variation: int = 0, bars: int = 16) -> list[int]:
    habit = Habit(distances, bars, seed, variation)
    return [habit.next() for _ in range(bars)]


def test_a_loop_is_left_in_every_phrase() -> None:
    for variation, repeated in ((0, 3), (1, 3), (2, 2), (5, 1), (6, 0), (15, 0)):
        for seed in range(20):
            found = drawn([4] * 16, seed, variation)
            assert set(found) <= {0, 4}
            for start in range(0, len(found), PHRASE):
                assert found[start : start + PHRASE].count(4) == repeated
    assert Habit([4] * 16, 16, 1, 0).share == LOOSE


@pytest.mark.parametrize("repeated", [0, 4, 8])
def test_as_often_as_the_song_and_as_far_back(repeated: int) -> None:
    distances = [0] * (16 - repeated) + [2, 8] * (repeated // 2)
    found = [distance for seed in range(300) for distance in drawn(distances, seed)]
    assert set(found) <= {0, 2, 8}
    for distance in (2, 8):
        assert found.count(distance) / len(found) == pytest.approx(repeated / 32, abs=0.03)
    share = Habit(distances, 16, 1, 0).share
    assert share == pytest.approx(1 - (1 - LOOSE) * repeated / 16)


def test_without_a_past_nothing_is_repeated() -> None:
    assert set(drawn([], 1)) == {0}


def test_the_seed_decides_which() -> None:
    assert drawn([1] * 16, 7) == drawn([1] * 16, 7)
    assert len({tuple(drawn([1] * 16, seed)) for seed in range(50)}) > 20
    assert drawn([1] * 16, 7, 0) != drawn([1] * 16, 7, 1)


@pytest.mark.parametrize("bars", [1, 2, 3])
def test_a_short_take_has_a_bar_of_its_own(bars: int) -> None:
    for seed in range(50):
        assert drawn([2] * 16, seed, bars=bars).count(2) == bars - 1
