"""Long work waits for breaks in the music, and not for ever."""

from __future__ import annotations

import threading

from bridge.midi.breaks import Breaks


def wait_beside(breaks: Breaks, seconds: float, lengths: list[float]) -> list[bool]:
    """What waiting came to, while breaks of these lengths begin again and again."""
    came: list[bool] = []
    waiting = threading.Thread(target=lambda: came.append(breaks.wait(seconds, 0.2)))
    waiting.start()
    while waiting.is_alive():
        for length in lengths:
            breaks.begin(length)
        waiting.join(0.001)
    return came


def test_a_break_that_is_long_enough_is_used() -> None:
    assert wait_beside(Breaks(), 0.05, [0.01, 0.06]) == [True]


def test_a_break_that_is_too_short_is_not() -> None:
    assert wait_beside(Breaks(), 0.05, [0.01, 0.04]) == [False]


def test_a_break_that_nobody_waits_for_is_gone() -> None:
    breaks = Breaks()
    breaks.begin(1.0)
    assert not breaks.wait(0.05, 0.01)
