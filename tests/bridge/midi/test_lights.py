"""Lights of pads, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.midi.lights import DEVICES, PLAIN, Device, Lights, State, device_for
from engine.triggers import Kind, Trigger

PAD = Trigger(1, Kind.NOTE, 11)


def device(name: str) -> Device:
    return next(known for known in DEVICES if known.name == name)


@pytest.mark.parametrize(
    ("port", "name"),
    [
        ("Launchpad Mini MK3:Launchpad Mini MK3 LPMiniMK3 MI 20:1", "Launchpad Mini MK3"),
        ("Launchpad Mini MK3 LPMiniMK3 MIDI In", "Launchpad Mini MK3"),
        ("MIDIOUT2 (LPMiniMK3 MIDI) 1", "Launchpad Mini MK3"),
        ("Launchpad Mini MK3 LPMiniMK3 DAW In", None),
        ("Launchpad X LPX MIDI In", "Launchpad X"),
        ("Launchpad X LPX DAW In", None),
        ("Launchpad Pro MK3:Launchpad Pro MK3 LPProMK3 MIDI 28:0", "Launchpad Pro MK3"),
        ("Launchpad Pro MK3 LPProMK3 DIN", None),
        ("Launchpad MK2 24:0", "Launchpad MK2"),
        ("APC mini mk2:APC mini mk2 APC mini mk2 Contr 20:0", "APC mini mk2"),
        ("APC mini mk2 Control", "APC mini mk2"),
        ("APC mini mk2 Notes", None),
        ("APC MINI:APC MINI MIDI 1 20:0", "APC mini"),
        ("FLUID Synth", None),
    ],
)
def test_devices_are_known_by_their_ports(port: str, name: str | None) -> None:
    found = device_for(port)
    assert (found and found.name) == name


def test_a_launchpad_is_switched_to_programmer_mode_and_back() -> None:
    lights = Lights(device("Launchpad Mini MK3"))
    assert lights.open() == [bytes.fromhex("f0 00 20 29 02 0d 0e 01 f7")]
    assert lights.show(PAD, State.PLAYING) == [bytes((0x90, 11, 21))]
    assert lights.close() == [bytes((0x90, 11, 0)), bytes.fromhex("f0 00 20 29 02 0d 0e 00 f7")]


def test_a_launchpad_flashes_and_pulses_by_channel() -> None:
    lights = Lights(device("Launchpad X"))
    assert lights.show(PAD, State.LEARNING) == [bytes((0x90, 11, 0)), bytes((0x91, 11, 13))]
    assert lights.show(PAD, State.WAITING) == [bytes((0x90, 11, 0)), bytes((0x92, 11, 21))]
    top = Trigger(1, Kind.CC, 91)
    assert lights.show(top, State.WAITING) == [bytes((0xB0, 91, 0)), bytes((0xB2, 91, 21))]


def test_an_apc_chooses_brightness_by_channel_on_pads_but_not_on_buttons() -> None:
    lights = Lights(device("APC mini mk2"))
    assert lights.show(PAD, State.PLAYING) == [bytes((0x96, 11, 21))]
    assert lights.show(Trigger(1, Kind.NOTE, 112), State.WAITING) == [bytes((0x90, 112, 2))]
    assert lights.show(Trigger(1, Kind.NOTE, 122), State.PLAYING) == [], "shift has no light"
    assert lights.show(Trigger(1, Kind.CC, 48), State.PLAYING) == [], "nor have faders"


def test_the_first_apc_has_three_colours() -> None:
    lights = Lights(device("APC mini"))
    sent = [lights.show(PAD, state)[0][2] for state in State if state is not State.OFF]
    assert sent == [5, 6, 2, 1, 3]


def test_any_other_is_lit_as_its_pads_speak() -> None:
    lights = Lights(PLAIN)
    pad = Trigger(10, Kind.NOTE, 36)
    assert lights.show(pad, State.PLAYING) == [bytes((0x99, 36, 127))]
    assert lights.show(pad, State.IDLE) == [bytes((0x99, 36, 0))]
    assert lights.show(Trigger(10, Kind.BEND), State.PLAYING) == []


def test_pads_of_another_channel_are_not_this_devices() -> None:
    lights = Lights(device("Launchpad X"))
    assert lights.show(Trigger(16, Kind.NOTE, 36), State.PLAYING) == []


def test_only_differences_are_sent() -> None:
    lights = Lights(device("APC mini"))
    assert lights.show(PAD, State.OFF) == []
    assert lights.show(PAD, State.IDLE)
    assert lights.show(PAD, State.IDLE) == []
    assert lights.show(PAD, State.OFF) == [bytes((0x90, 11, 0))]
    assert lights.show(PAD, State.OFF) == []


def test_a_device_that_comes_back_is_shown_everything() -> None:
    lights = Lights(device("APC mini"))
    lights.show(PAD, State.PLAYING)
    assert lights.open() == [bytes((0x90, 11, 1))]


def test_other_triggers_other_lights() -> None:
    lights = Lights(device("APC mini"))
    pads = [Trigger(1, Kind.NOTE, number) for number in range(3)]
    assert lights.bound(pads[:2]) == [bytes((0x90, 0, 5)), bytes((0x90, 1, 5))]
    lights.show(pads[1], State.PLAYING)
    assert lights.bound(pads[1:]) == [bytes((0x90, 0, 0)), bytes((0x90, 2, 5))]
    assert lights.bound(pads[1:]) == []


@given(
    st.sampled_from([*DEVICES, PLAIN]),
    st.lists(
        st.tuples(
            st.builds(Trigger, st.just(1), st.sampled_from(Kind), st.integers(0, 127)),
            st.sampled_from(State),
        )
    ),
)
def test_what_is_sent_is_midi_and_all_is_dark_at_the_end(
    device: Device, steps: list[tuple[Trigger, State]]
) -> None:
    lights = Lights(device)
    lit: dict[tuple[int, int], int] = {}
    sent = [message for step in steps for message in lights.show(*step)]
    for message in [*sent, *lights.close()]:
        if message == device.goodbye:
            continue
        status, number, value = message
        assert status & 0xF0 in (0x90, 0xB0)
        assert number < 128 and value < 128
        lit[status & 0xF0, number] = value
    assert set(lit.values()) <= {0}
