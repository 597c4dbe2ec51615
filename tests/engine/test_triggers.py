"""Triggers and actions as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Code, SidemanError
from engine.messages.parameters import PARAMETERS
from engine.triggers import (
    ACTIONS,
    OF_THE_CHANNEL,
    Action,
    Argument,
    Kind,
    Range,
    Taper,
    Trigger,
    preset_meant,
)

SHARES = st.floats(0, 1)
ENDS = st.floats(0, 1000)


@given(st.integers(1, 16), st.sampled_from(Kind), st.integers(0, 127))
def test_triggers_survive_the_way_through_text(channel: int, kind: Kind, number: int) -> None:
    trigger = Trigger(channel, kind, 0 if kind in OF_THE_CHANNEL else number)
    assert Trigger.parse(str(trigger)) == trigger


@pytest.mark.parametrize("kind", OF_THE_CHANNEL)
def test_what_a_channel_has_one_of_needs_no_number(kind: Kind) -> None:
    assert Trigger.parse(f"3 {kind}") == Trigger.parse(f"3 {kind} 0") == Trigger(3, kind)
    assert str(Trigger(3, kind)) == f"3 {kind}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "CHANNEL KIND NUMBER"),
        ("16 note", "CHANNEL KIND NUMBER"),
        ("16 polytouch", "CHANNEL KIND NUMBER"),
        ("0 note 36", "channel"),
        ("17 note 36", "channel"),
        ("-1 note 36", "channel"),
        ("1 nota 36", "note, cc, program"),
        ("1 note 128", "0 to 127"),
        ("1 note 3.5", "0 to 127"),
        ("1 note ²", "0 to 127"),
        ("1 bend 3", "left out, as a channel has one bend only"),
        ("1 pressure 64", "left out"),
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
        ("redo", Action("redo")),
        ("cancel", Action("cancel")),
        ("panic", Action("panic")),
        ("preset trio", Action("preset", preset="trio")),
        ("preset 2", Action("preset", preset="2")),
        ("temperature 0.6..1.4", Action("temperature", range=Range(0.6, 1.4))),
        ("temperature 1.4 .. 0.6", Action("temperature", range=Range(1.4, 0.6))),
        (
            "temperature 0.6..1.4 exponential",
            Action("temperature", range=Range(0.6, 1.4, Taper.EXPONENTIAL)),
        ),
        ("density 2", Action("density", range=Range(2, 2))),
        ("speculation toggle", Action("speculation", switch="toggle")),
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
        ("preset", "preset NAME or NUMBER"),
        ("temperature", "LOW..HIGH"),
        ("temperature hot", "LOW..HIGH"),
        ("temperature 0.6..14", "0 to 2"),
        ("temperature nan..1", "LOW..HIGH"),
        ("temperature 0.6..1.4 steep", "linear, exponential, logarithmic"),
        ("temperature 1 exponential", "LOW..HIGH"),
        ("bars 1.5..4", "bars"),
        ("speculation", "on, off or toggle"),
        ("speculation 0..1", "on, off or toggle"),
        ("seed 3", "no action"),
        ("playing on", "no action"),
    ],
)
def test_what_is_no_action(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Action.parse(text)


@given(ENDS, ENDS, st.sampled_from(Taper), SHARES, SHARES)
def test_a_range_goes_from_end_to_end(
    low: float, high: float, taper: Taper, one: float, other: float
) -> None:
    spread = Range(low, high, taper)
    assert (spread.at(0), spread.at(1)) == (low, high)
    first, second = spread.at(min(one, other)), spread.at(max(one, other))
    assert min(low, high) <= first <= max(low, high)
    slack = 1e-12 * max(low, high)
    assert first <= second + slack if low <= high else first >= second - slack


@given(SHARES)
def test_one_taper_undoes_the_other(share: float) -> None:
    slow, fast = Range(0, 1, Taper.EXPONENTIAL), Range(0, 1, Taper.LOGARITHMIC)
    assert fast.at(slow.at(share)) == pytest.approx(share, abs=1e-9)


def test_tapers_bend_to_their_sides() -> None:
    middle = [Range(0, 10, taper).at(0.5) for taper in Taper]
    assert middle == [5.0, pytest.approx(1.0), pytest.approx(8.451, abs=1e-3)]


def test_a_share_outside_the_way_stays_in_the_range() -> None:
    assert (Range(0.6, 1.4).at(-3), Range(0.6, 1.4).at(3)) == (0.6, 1.4)


@given(SHARES, st.sampled_from(Taper))
def test_every_value_of_a_range_can_be_set(share: float, taper: Taper) -> None:
    for text in ("temperature 0..2", "bars 1..64", "top_k 4096..0", "tempo 40..200", "top_p 1"):
        action = Action.parse(text if text[-2] == " " else f"{text} {taper}")
        value = action.value(share)
        assert PARAMETERS[action.name].check(value) == value


def test_whole_numbers_stay_whole() -> None:
    value = Action.parse("bars 1..8").value(0.5)
    assert isinstance(value, int)
    assert value == 4


@pytest.mark.parametrize(
    ("text", "current", "then"),
    [("on", False, True), ("off", True, False), ("toggle", True, False), ("toggle", False, True)],
)
def test_switches(text: str, current: bool, then: bool) -> None:
    assert Action.parse(f"speculation {text}").value(1.0, current) is then


def test_what_sets_no_parameter_has_no_value() -> None:
    with pytest.raises(ValueError, match="continue"):
        Action.parse("continue").value(1.0)


def test_only_a_real_range_follows_a_controller() -> None:
    texts = ("temperature 0..1", "temperature 1", "continue", "speculation on")
    assert [Action.parse(text).follows for text in texts] == [True, False, False, False]


def test_every_number_that_can_be_set_can_be_moved() -> None:
    moved = {name for name, argument in ACTIONS.items() if argument is Argument.RANGE}
    assert {"bars", "variations", "temperature", "top_p", "top_k", "density", "tempo"} <= moved


def test_presets_are_chosen_by_name_or_number() -> None:
    names = ["trio", "bass", "7"]
    assert preset_meant("trio", names) == "trio"
    assert preset_meant("nobody", names) == "nobody"
    assert [preset_meant(str(n), names) for n in (1, 2, 3)] == ["7", "bass", "trio"]
    assert preset_meant("7", names) == "7"


@pytest.mark.parametrize("number", ["0", "4"])
def test_a_preset_beyond_the_last_is_refused(number: str) -> None:
    with pytest.raises(SidemanError, match="1 to 3") as caught:
        preset_meant(number, ["a", "b", "c"])
    assert caught.value.code is Code.UNKNOWN_PRESET
