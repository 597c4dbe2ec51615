"""Triggers and actions as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.triggers import ACTIONS, Action, Argument, Kind, Range, Trigger


@given(st.integers(1, 16), st.sampled_from(Kind), st.integers(0, 127))
def test_triggers_survive_the_way_through_text(channel: int, kind: Kind, number: int) -> None:
    trigger = Trigger(channel, kind, number)
    assert Trigger.parse(str(trigger)) == trigger


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "CHANNEL KIND NUMBER"),
        ("16 note", "CHANNEL KIND NUMBER"),
        ("0 note 36", "channel"),
        ("17 note 36", "channel"),
        ("-1 note 36", "channel"),
        ("1 nota 36", "note, cc, program"),
        ("1 note 128", "0 to 127"),
        ("1 note 3.5", "0 to 127"),
        ("1 note ²", "0 to 127"),
    ],
)
def test_what_is_no_trigger(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Trigger.parse(text)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("continue", Action("continue")),
        ("continue piano left", Action("continue", track="piano left")),
        ("panic", Action("panic")),
        ("preset trio", Action("preset", preset="trio")),
        ("temperature 0.6..1.4", Action("temperature", range=Range(0.6, 1.4))),
        ("temperature 1.4 .. 0.6", Action("temperature", range=Range(1.4, 0.6))),
        ("density 2", Action("density", range=Range(2, 2))),
    ],
)
def test_actions(text: str, action: Action) -> None:
    assert Action.parse(text) == action


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("contine", "nearest is 'continue'"),
        ("", "no action"),
        ("panic now", "panic"),
        ("preset", "preset NAME"),
        ("temperature", "LOW..HIGH"),
        ("temperature hot", "LOW..HIGH"),
        ("temperature 0.6..14", "0 to 2"),
        ("temperature nan..1", "LOW..HIGH"),
    ],
)
def test_what_is_no_action(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Action.parse(text)


def test_ranges_spread_a_controller_over_themselves() -> None:
    spread = Range(0.6, 1.4)
    assert (spread.at(0), spread.at(127)) == (0.6, pytest.approx(1.4))
    assert [spread.at(value) for value in range(128)] == sorted(map(spread.at, range(128)))


def test_every_number_that_can_be_set_can_be_moved() -> None:
    moved = {name for name, argument in ACTIONS.items() if argument is Argument.RANGE}
    assert {"temperature", "top_p", "density", "bars"} <= moved
