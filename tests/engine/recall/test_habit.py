"""Which bars of a take repeat the song, how nearly, and from how far back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from engine.recall.bars import Signs, Struck
from engine.recall.form import Echo
from engine.recall.habit import LOOSE, ONWARD, PHRASE, ROUNDS, VARIED, Habit
from engine.tokens.vocabulary import Vocabulary
from tests.support.tiny_model import TOKENIZER

VOCABULARY = Vocabulary.load(TOKENIZER)
SIGNS = Signs.of(VOCABULARY)


def drawn(
    echoes: Sequence[Echo | None], seed: int, variation: int = 0, bars: int = 16, around: int = 0
) -> list[Echo | None]:
    habit = Habit(echoes, bars, seed, variation, around)
    return [habit.next() for _ in range(bars)]


def exact(found: Sequence[Echo | None]) -> int:
    return sum(echo is not None and echo.exact for echo in found)


def test_a_loop_is_left_in_every_phrase() -> None:
    for variation, repeated in ((0, 3), (1, 3), (2, 2), (5, 1), (6, 0), (15, 0)):
        for seed in range(20):
            found = drawn([Echo(4)] * 16, seed, variation)
            assert all(echo is not None and echo.distance == 4 for echo in found)
            for start in range(0, len(found), PHRASE):
                assert exact(found[start : start + PHRASE]) == repeated
            assert {echo.kept for echo in found if echo} <= {1.0, VARIED}
    assert Habit([Echo(4)] * 16, 16, 1, 0).share == LOOSE


@pytest.mark.parametrize("repeated", [0, 4, 8])
def test_as_often_as_the_song_and_as_far_back(repeated: int) -> None:
    echoes = [None] * (16 - repeated) + [Echo(2), Echo(8)] * (repeated // 2)
    # The beginning goes on from the song's last bar: later ones are drawn freely.
    found = [echo for seed in range(600) for echo in drawn(echoes, seed, bars=32)[16:]]
    assert {echo.distance for echo in found if echo} <= {2, 8}
    for distance in (2, 8):
        share = sum(echo is not None and echo.distance == distance for echo in found) / len(found)
        assert share == pytest.approx(repeated / 32, abs=0.03)
    share = Habit(echoes, 16, 1, 0).share
    assert share == pytest.approx(1 - (1 - LOOSE) * repeated / 16)


def test_bars_in_a_row_repeat_at_one_distance() -> None:
    echoes = [Echo(2), Echo(8), None, None] * 4
    found = [drawn(echoes, seed) for seed in range(400)]
    after = [b for bars in found for a, b in pairwise(bars) if a and a.distance == 8]
    again = sum(echo is not None and echo.distance == 8 for echo in after) / len(after)
    assert again == pytest.approx(ONWARD + (1 - ONWARD) / 4, abs=0.03)


def test_it_goes_on_as_the_song_just_did() -> None:
    echoes = [None] * 12 + [Echo(8)] * 4
    first = [drawn(echoes, seed)[0] for seed in range(400)]
    again = sum(echo is not None for echo in first) / 400
    assert again == pytest.approx(ONWARD + (1 - ONWARD) / 4, abs=0.06)


def test_who_has_repeated_nothing_may_begin() -> None:
    # Its last bar was new, and what comes first mostly is, too.
    drawings = [drawn([None] * 16, seed, bars=32, around=8) for seed in range(600)]
    found = [echo for bars in drawings for echo in bars[16:]]
    share = sum(echo == Echo(8) for echo in found) / len(found)
    assert share == pytest.approx(ROUNDS / (16 + ROUNDS), abs=0.03)


def test_who_has_always_varied_goes_on_varying() -> None:
    song = [Echo(4, 0.7)] * 8 + [None] * 8
    found = [echo for seed in range(50) for echo in drawn(song, seed, around=8)]
    assert {echo.distance for echo in found if echo} == {4, 8}
    assert exact(found) == 0


def test_without_a_past_nothing_is_repeated() -> None:
    assert set(drawn([], 1)) == {None}


def test_the_seed_decides_which() -> None:
    loop = [Echo(1)] * 16
    assert drawn(loop, 7) == drawn(loop, 7)
    assert len({tuple(e.kept for e in drawn(loop, seed) if e) for seed in range(50)}) > 20
    assert drawn(loop, 7, 0) != drawn(loop, 7, 1)


@pytest.mark.parametrize("bars", [1, 2, 3])
def test_a_short_take_has_a_bar_of_its_own(bars: int) -> None:
    for seed in range(50):
        assert exact(drawn([Echo(2)] * 16, seed, bars=bars)) == bars - 1


class TestKept:
    def bar(self) -> list[Struck]:
        v = VOCABULARY
        return [
            Struck(v.position[12 * beat], program, v.pitch[40], v.velocity[8], v.duration[3])
            for beat in range(4)
            for program in (0, 4)
        ]

    def test_all_of_a_bar_that_comes_as_it_was(self) -> None:
        assert all(Habit([], 4, 1, 0).kept(Echo(1), self.bar(), SIGNS))

    def test_of_each_instrument_as_much_as_it_keeps(self) -> None:
        echo = Echo(1, 0.6, {0: 1.0, 4: 0.25})
        kept = {0: 0, 4: 0}
        for seed in range(300):
            flags = Habit([], 4, seed, 0).kept(echo, self.bar(), SIGNS)
            for note, flag in zip(self.bar(), flags, strict=True):
                kept[note.program] += flag
        assert kept[0] == 4 * 300
        assert kept[4] / (4 * 300) == pytest.approx(0.25, abs=0.05)

    def test_something_varies(self) -> None:
        for seed in range(100):
            flags = Habit([], 4, seed, 0).kept(Echo(1, 0.99), self.bar(), SIGNS)
            assert flags.count(False) >= 1
        assert Habit([], 4, 1, 0).kept(Echo(1, 0.5), [], SIGNS) == []
