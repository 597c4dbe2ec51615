"""What MIDI messages begin with, and how long they are: the one table of it.

Numbers are those of the MIDI 1.0 specification. Channels count from 1 here, as musicians do, and
from 0 in the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

NOTE_OFF, NOTE_ON, POLYTOUCH, CONTROL, PROGRAM, PRESSURE, BEND = range(0x80, 0xF0, 0x10)
"""What happens on a channel, without the channel."""

SYSEX, SONG_POSITION, SYSEX_END = 0xF0, 0xF2, 0xF7
CLOCK, START, CONTINUE, STOP = 0xF8, 0xFA, 0xFB, 0xFC
META = 0xFF
"""In files only: on a cable it resets whoever hears it."""

DATA_BYTES = {
    NOTE_OFF: 2, NOTE_ON: 2, POLYTOUCH: 2, CONTROL: 2, PROGRAM: 1, PRESSURE: 1, BEND: 2,
}  # fmt: skip
"""How many follow."""

CHANNEL_MODE = range(120, 128)
"""Controllers that are commands."""
ALL_SOUND_OFF, ALL_NOTES_OFF = 120, 123


def of_channel(message: Sequence[int]) -> bool:
    """Whether this is one whole message on a channel, and a legal one."""
    return (
        len(message) > 1
        and 0x80 <= message[0] < SYSEX
        and len(message) == 1 + DATA_BYTES[message[0] & 0xF0]
        and min(message[1:]) >= 0
        and max(message[1:]) < 0x80
    )


def split(status: int) -> tuple[int, int]:
    """What happens, and on which channel."""
    return status & 0xF0, (status & 0x0F) + 1


def begins_note(message: Sequence[int]) -> bool:
    """Whether this is a note on; one of velocity 0 is a note off."""
    return len(message) == 3 and message[0] & 0xF0 == NOTE_ON and message[2] > 0


def ends_note(message: Sequence[int]) -> bool:
    """Whether this is a note off, by either name."""
    return len(message) == 3 and (
        message[0] & 0xF0 == NOTE_OFF or (message[0] & 0xF0 == NOTE_ON and message[2] == 0)
    )


def note_on(channel: int, pitch: int, velocity: int) -> bytes:
    """The begin of a note."""
    return bytes((NOTE_ON | channel - 1, pitch, velocity))


def note_off(channel: int, pitch: int) -> bytes:
    """The end of a note."""
    return bytes((NOTE_OFF | channel - 1, pitch, 0))


def control(channel: int, number: int, value: int) -> bytes:
    """A controller's place."""
    return bytes((CONTROL | channel - 1, number, value))
