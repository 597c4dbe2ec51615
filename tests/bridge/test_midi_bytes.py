"""The table of MIDI's messages, beside what mido makes of them."""

from __future__ import annotations

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import midi_bytes

bytes_of_messages = st.binary(max_size=3)


@given(bytes_of_messages)
def test_messages_on_a_channel_are_those_that_mido_takes(data: bytes) -> None:
    try:
        theirs = mido.Message.from_bytes(data) if data else None
    except (ValueError, IndexError):
        theirs = None
    assert midi_bytes.of_channel(data) == (theirs is not None and hasattr(theirs, "channel"))


@given(st.integers(0x80, 0xEF), st.binary(min_size=1, max_size=2))
def test_notes_begin_and_end_as_mido_has_it(status: int, data: bytes) -> None:
    message = bytes((status,)) + bytes(byte & 0x7F for byte in data)
    if not midi_bytes.of_channel(message):
        return
    theirs = mido.Message.from_bytes(message)
    begins = theirs.type == "note_on" and theirs.velocity > 0
    assert midi_bytes.begins_note(message) == begins
    ends = theirs.type == "note_off" or (theirs.type == "note_on" and not begins)
    assert midi_bytes.ends_note(message) == ends
    assert midi_bytes.split(status)[1] == theirs.channel + 1


@pytest.mark.parametrize("channel", [1, 16])
def test_what_is_made_is_what_mido_makes(channel: int) -> None:
    on = mido.Message("note_on", channel=channel - 1, note=60, velocity=90)
    off = mido.Message("note_off", channel=channel - 1, note=60, velocity=0)
    cc = mido.Message("control_change", channel=channel - 1, control=7, value=100)
    assert midi_bytes.note_on(channel, 60, 90) == bytes(on.bytes())
    assert midi_bytes.note_off(channel, 60) == bytes(off.bytes())
    assert midi_bytes.control(channel, 7, 100) == bytes(cc.bytes())
