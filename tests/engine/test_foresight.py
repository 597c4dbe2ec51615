"""What was made ahead: whose it is, and when it no longer holds."""

from __future__ import annotations

from engine.foresight import Foresight
from engine.worker.wire import Made, Room, Speculate, Wish

ROW = (0, 0, 0, 60, 480, 90)


def wish(seed: int = 1, end: int = 8) -> Wish:
    return Wish(context_end=end, rooms=[Room(4, 4, [], [])], programs=[0], seed=seed)


def begun(foresight: Foresight, *args: object) -> Speculate:
    guess = foresight.begin("m", wish(*args))  # type: ignore[arg-type]
    assert guess is not None
    return guess


def test_what_was_made_is_there_as_the_requests() -> None:
    foresight = Foresight()
    guess = begun(foresight)
    foresight.add(Made(guess.job, 0, [ROW]))
    foresight.add(Made(guess.job, 1, [ROW, ROW]))
    assert foresight.made("m", wish(), 7) == [Made(7, 0, [ROW]), Made(7, 1, [ROW, ROW])]


def test_another_wish_or_model_has_nothing() -> None:
    foresight = Foresight()
    foresight.add(Made(begun(foresight).job, 0, [ROW]))
    assert not foresight.made("m", wish(seed=2), 7)
    assert not foresight.made("m", wish(end=9), 7)
    assert not foresight.made("n", wish(), 7)


def test_the_same_guess_is_not_begun_twice() -> None:
    foresight = Foresight()
    foresight.add(Made(begun(foresight).job, 0, [ROW]))
    assert foresight.begin("m", wish()) is None
    assert foresight.made("m", wish(), 7)


def test_notes_of_an_earlier_guess_are_dropped() -> None:
    foresight = Foresight()
    first, second = begun(foresight, 1), begun(foresight, 2)
    assert second.job < first.job < 0
    foresight.add(Made(first.job, 0, [ROW]))
    assert not foresight.made("m", wish(2), 7)
    assert not foresight.made("m", wish(1), 7)


def test_nothing_holds_once_it_is_void() -> None:
    foresight = Foresight()
    guess = begun(foresight)
    foresight.add(Made(guess.job, 0, [ROW]))
    foresight.void()
    assert not foresight.made("m", wish(), 7)
    foresight.add(Made(guess.job, 0, [ROW]))
    assert not foresight.made("m", wish(), 7)
    assert begun(foresight).job < guess.job
