"""Messages that are triggers, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.midi.mapping import Mapping, Match
from engine.triggers import Action, Kind, Trigger

CONTINUE = Action.parse("continue")
UNDO = Action.parse("undo")
WARMTH = Action.parse("temperature 0.6..1.4")


def mapping(**triggers: str) -> Mapping:
    """``_16_note_36="continue"`` and so on, as the config's."""
    return Mapping(
        {Trigger.parse(key.replace("_", " ")): Action.parse(text) for key, text in triggers.items()}
    )


def fired(mapping: Mapping, *messages: bytes) -> list[bool | None]:
    """Of each message: whether it set something off; None where it was music."""
    found = [mapping.match(message) for message in messages]
    return [None if match is None else match.action is not None for match in found]


def note(pitch: int, velocity: int = 100, channel: int = 16) -> bytes:
    return bytes((0x90 | channel - 1, pitch, velocity))


def off(pitch: int, channel: int = 16) -> bytes:
    return bytes((0x80 | channel - 1, pitch, 64))


def cc(number: int, value: int, channel: int = 1) -> bytes:
    return bytes((0xB0 | channel - 1, number, value))


def bend(value: int, channel: int = 1) -> bytes:
    return bytes((0xE0 | channel - 1, value & 127, value >> 7))


def test_a_note_fires_when_it_is_struck_and_its_end_is_swallowed() -> None:
    pads = mapping(_16_note_36="continue")
    match = pads.match(note(36, 127))
    assert match == Match(Trigger(16, Kind.NOTE, 36), 1.0, CONTINUE)
    assert fired(pads, off(36), off(36)) == [False, None]
    assert fired(pads, note(36), note(36, 0), note(36, 0)) == [True, False, None]
    assert fired(pads, note(37), note(36, channel=15), off(37)) == [None, None, None]


def test_a_controller_fires_once_each_time_it_goes_up_through_64() -> None:
    pads = mapping(_1_cc_20="undo")
    values = (10, 63, 64, 127, 64, 63, 64, 0, 127)
    went = [False, False, True, False, False, False, True, False, True]
    assert fired(pads, *(cc(20, value) for value in values)) == went


def test_a_bend_wheel_fires_far_up_and_not_where_it_rests() -> None:
    pads = mapping(_1_bend="undo")
    values = (8192, 8193, 0, 8192, 12200, 12300, 12200, 16383, 10000, 13000)
    went = [False, False, False, False, False, True, False, False, False, True]
    assert fired(pads, *map(bend, values)) == went


def test_aftertouch_fires_on_the_way_up() -> None:
    pads = mapping(_1_pressure="undo", _1_polytouch_60="continue")
    assert fired(pads, b"\xd0\x30", b"\xd0\x50", b"\xd0\x7f", b"\xd0\x00", b"\xd0\x7f") == [
        False, True, False, False, True,
    ]  # fmt: skip
    assert fired(pads, b"\xa0\x3c\x7f", b"\xa0\x3d\x7f") == [True, None]


def test_a_program_change_fires_each_time() -> None:
    pads = mapping(_1_program_3="preset trio")
    match = pads.match(b"\xc0\x03")
    assert match is not None
    assert match.action == Action("preset", preset="trio")
    assert fired(pads, b"\xc0\x03", b"\xc0\x04", b"\xc1\x03") == [True, None, None]


def test_a_range_follows_every_value() -> None:
    pads = mapping(_1_cc_20="temperature 0.6..1.4", _1_bend="temperature 0.6..1.4")
    shares = []
    for message in (cc(20, 0), cc(20, 1), cc(20, 127), bend(0), bend(8192), bend(16383)):
        match = pads.match(message)
        assert match is not None
        assert match.action == WARMTH
        shares.append(match.share)
    assert shares == [0.0, 1 / 127, 1.0, 0.0, 0.5, 1.0]


def test_a_fixed_value_is_a_button() -> None:
    pads = mapping(_1_cc_20="density 2")
    assert fired(pads, cc(20, 1), cc(20, 100), cc(20, 127)) == [False, True, False]


@given(st.integers(0, 16382))
def test_a_bend_is_a_rising_share(value: int) -> None:
    pads = mapping(_1_bend="temperature 0..1")
    lower, higher = pads.match(bend(value)), pads.match(bend(value + 1))
    assert lower is not None
    assert higher is not None
    assert 0 <= lower.share < higher.share <= 1


def test_what_was_learned_wins_over_the_preset_and_that_over_the_config() -> None:
    trigger = Trigger(16, Kind.NOTE, 36)
    pads = Mapping({trigger: CONTINUE})
    assert pads.table[trigger] == CONTINUE
    pads.use_preset({trigger: UNDO})
    assert pads.table[trigger] == UNDO
    pads.bind(trigger, WARMTH)
    assert pads.table[trigger] == WARMTH
    pads.use_preset({})
    assert pads.table[trigger] == WARMTH
    pads.unbind(trigger)
    assert pads.table == {trigger: CONTINUE}


# Learning


def test_the_next_message_is_learned_and_only_that() -> None:
    pads = Mapping()
    pads.learn(CONTINUE)
    assert pads.learning == CONTINUE
    match = pads.match(note(40))
    assert match == Match(Trigger(16, Kind.NOTE, 40), 100 / 127, learned=CONTINUE)
    assert pads.learning is None
    assert pads.learned == {Trigger(16, Kind.NOTE, 40): CONTINUE}
    assert fired(pads, off(40), note(40), note(41)) == [False, True, None]


def test_learning_replaces_what_the_message_did() -> None:
    pads = mapping(_16_note_36="continue")
    pads.learn(UNDO)
    pads.match(note(36))
    match = pads.match(note(36))
    assert match is not None
    assert match.action == UNDO


@pytest.mark.parametrize(
    "message",
    [
        note(36, 0),
        off(36),
        cc(20, 0),
        cc(123, 1),
        bend(8192),
        bend(9000),
        b"\xd0\x00",
        b"\xf8",
        b"\xfa",
        b"\xf2\x01\x02",
        b"\xf0\x7e\xf7",
    ],
)
def test_nobody_means_this(message: bytes) -> None:
    pads = Mapping()
    pads.learn(CONTINUE)
    assert pads.match(message) is None
    assert pads.learning == CONTINUE


@pytest.mark.parametrize(
    ("message", "trigger"),
    [
        (cc(20, 1), "1 cc 20"),
        (b"\xc4\x07", "5 program 7"),
        (bend(16000), "1 bend"),
        (bend(100), "1 bend"),
        (b"\xd1\x01", "2 pressure"),
        (b"\xa1\x30\x05", "2 polytouch 48"),
    ],
)
def test_everything_else_can_be_learned(message: bytes, trigger: str) -> None:
    pads = Mapping()
    pads.learn(CONTINUE)
    match = pads.match(message)
    assert match is not None
    assert match.learned == CONTINUE
    assert [str(known) for known in pads.learned] == [trigger]


def test_the_press_that_was_learned_fires_nothing_until_it_is_let_go() -> None:
    pads = Mapping()
    pads.learn(CONTINUE)
    pads.match(cc(20, 127))
    assert fired(pads, cc(20, 127), cc(20, 0), cc(20, 127)) == [False, False, True]


def test_the_weight_on_a_pad_is_not_learned_as_the_next_trigger() -> None:
    pads = Mapping()
    pads.learn(CONTINUE)
    pads.match(note(40))
    pads.learn(UNDO)
    assert fired(pads, b"\xaf\x28\x50", b"\xdf\x50") == [False, None]
    assert pads.learning == UNDO
    pads.match(off(40))
    assert fired(pads, b"\xdf\x50") == [False]
    assert pads.learned[Trigger(16, Kind.PRESSURE)] == UNDO


def test_a_note_ends_where_it_began() -> None:
    trigger = Trigger(16, Kind.NOTE, 36)
    pads = Mapping()
    assert fired(pads, note(36)) == [None], "music"
    pads.bind(trigger, CONTINUE)
    assert fired(pads, off(36)) == [None], "music, too, or the note would hang"
    assert fired(pads, note(36)) == [True]
    pads.unbind(trigger)
    assert fired(pads, off(36)) == [False], "nobody heard it begin"


# Ports


def test_ports_are_told_apart_and_what_was_held_on_a_lost_one_is_forgotten() -> None:
    pads = mapping(_1_cc_20="undo", _16_note_36="continue")

    def acts(message: bytes, port: str) -> bool | None:
        match = pads.match(message, port)
        return None if match is None else match.action is not None

    assert acts(cc(20, 127), "a") and acts(cc(20, 127), "b")
    assert acts(note(36), "a")
    assert acts(off(36), "b") is None
    pads.lost("a")
    assert acts(cc(20, 127), "a")
    assert not acts(cc(20, 127), "b")
    assert acts(off(36), "a") is None


# What is no message


@given(st.lists(st.one_of(st.binary(max_size=6), st.lists(st.integers(-5, 300)))))
def test_no_bytes_make_it_fall(messages: list[bytes | list[int]]) -> None:
    pads = mapping(_1_cc_20="undo", _1_bend="temperature 0.6..1.4", _16_note_36="continue")
    for message in messages:
        match = pads.match(message)
        assert match is None or 0 <= match.share <= 1


@pytest.mark.parametrize(
    "message",
    [b"", b"\x90", b"\x9f\x24", b"\x9f\x24\x64\x00", b"\x9f\x24\xff", b"\x24\x64", b"\xc0\x03\x00"],
)
def test_half_and_swollen_messages_are_nothing(message: bytes) -> None:
    pads = mapping(_16_note_36="continue", _1_program_3="undo")
    pads.learn(UNDO)
    assert pads.match(message) is None
