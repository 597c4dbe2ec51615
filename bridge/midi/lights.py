"""Lights on pads: what each bound pad's action is doing, in the device's own colours.

The table stands on the makers' documents: Novation's *Programmer's Reference Manual* of Launchpad
Mini [MK3], Launchpad X, Launchpad Pro [MK3] and Launchpad MK2, and Akai's *APC mini mk2
Communication Protocol* v1.0. For the first APC mini there is none; its values are those that its
users found. Flashing and pulsing keep time with the MIDI clock that the device gets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bridge import midi_bytes as midi
from engine.triggers import Kind, Trigger


class State(StrEnum):
    """What a light tells."""

    OFF = "off"
    """Nothing is bound here."""
    IDLE = "idle"
    """An action is bound here."""
    LEARNING = "learning"
    """The next message is learned."""
    WAITING = "waiting"
    """The action was set off; its music begins at the bar line."""
    PLAYING = "playing"
    FAILED = "failed"


Look = tuple[tuple[int, int], ...]
"""(channel, value) of the messages that make a light look so, in order; channel 0 is the pad's."""


@dataclass(frozen=True, slots=True)
class Lamps:
    """The lamps of a device that look alike: which notes or controllers they are."""

    kind: Kind
    numbers: range
    looks: Mapping[State, Look]


@dataclass(frozen=True, slots=True)
class Device:
    """A device with lights. A lamp has the number of what its pad sends."""

    name: str
    port: str
    """What its port's name contains, as a regular expression."""
    lamps: tuple[Lamps, ...]
    channel: int | None = None
    """The channel that its pads send on; None for any."""
    hello: bytes = b""
    """Makes it show what it is sent."""
    goodbye: bytes = b""
    """Makes it as it was."""


def _still(channel: int, value: int) -> Look:
    return ((channel, value),)


def _moving(channel: int, value: int) -> Look:
    """Novation's lights flash between a colour and the still one before, which is made dark."""
    return ((1, 0), (channel, value))


_NOVATION: dict[State, Look] = {
    State.OFF: _still(1, 0),
    State.IDLE: _still(1, 1),  # grey
    State.LEARNING: _moving(2, 13),  # flashing yellow
    State.WAITING: _moving(3, 21),  # pulsing green
    State.PLAYING: _still(1, 21),
    State.FAILED: _still(1, 5),  # red
}

_APC_MK2_PADS: dict[State, Look] = {
    State.OFF: _still(1, 0),
    State.IDLE: _still(3, 3),  # white, half bright
    State.LEARNING: _still(14, 13),  # yellow, blinking each eighth
    State.WAITING: _still(10, 21),  # green, pulsing each quarter
    State.PLAYING: _still(7, 21),
    State.FAILED: _still(7, 5),
}

_APC_PADS: dict[State, Look] = {
    State.OFF: _still(1, 0),
    State.IDLE: _still(1, 5),  # yellow
    State.LEARNING: _still(1, 6),  # yellow, blinking
    State.WAITING: _still(1, 2),  # green, blinking
    State.PLAYING: _still(1, 1),
    State.FAILED: _still(1, 3),  # red
}

_APC_BUTTONS: dict[State, Look] = {
    State.OFF: _still(1, 0),
    State.IDLE: _still(1, 0),
    State.LEARNING: _still(1, 2),  # blinking
    State.WAITING: _still(1, 2),
    State.PLAYING: _still(1, 1),
    State.FAILED: _still(1, 0),
}

_PLAIN: dict[State, Look] = {
    State.OFF: _still(0, 0),
    State.IDLE: _still(0, 0),
    State.LEARNING: _still(0, 127),
    State.WAITING: _still(0, 127),
    State.PLAYING: _still(0, 127),
    State.FAILED: _still(0, 0),
}


def _launchpad_mk3(name: str, port: str, model: int) -> Device:
    """In programmer mode, where pads and lights have the same numbers on every model."""
    switch = bytes((midi.SYSEX, 0x00, 0x20, 0x29, 0x02, model, 0x0E))
    return Device(
        name,
        port,
        (
            Lamps(Kind.NOTE, range(11, 89), _NOVATION),
            Lamps(Kind.CC, range(1, 109), _NOVATION),
        ),
        channel=1,
        hello=switch + b"\x01\xf7",
        goodbye=switch + b"\x00\xf7",
    )


DEVICES: tuple[Device, ...] = (
    # Each has a second port for a DAW, named "... DAW"; ALSA cuts "MIDI" short.
    _launchpad_mk3("Launchpad Mini MK3", "LPMiniMK3 MI", 0x0D),
    _launchpad_mk3("Launchpad X", "LPX MI", 0x0C),
    _launchpad_mk3("Launchpad Pro MK3", "LPProMK3 MI", 0x0E),
    Device(
        "Launchpad MK2",
        "Launchpad MK2",
        (
            Lamps(Kind.NOTE, range(11, 90), _NOVATION),
            Lamps(Kind.CC, range(104, 112), _NOVATION),
        ),
        channel=1,
    ),
    Device(
        "APC mini mk2",
        "(?i)APC mini mk2(?!.*Notes)",
        (
            Lamps(Kind.NOTE, range(64), _APC_MK2_PADS),
            Lamps(Kind.NOTE, range(100, 108), _APC_BUTTONS),
            Lamps(Kind.NOTE, range(112, 120), _APC_BUTTONS),
        ),
        channel=1,
    ),
    Device(
        "APC mini",
        "(?i)APC mini(?! mk2)",
        (
            Lamps(Kind.NOTE, range(64), _APC_PADS),
            Lamps(Kind.NOTE, range(64, 72), _APC_BUTTONS),
            Lamps(Kind.NOTE, range(82, 90), _APC_BUTTONS),
        ),
        channel=1,
    ),
)
"""The devices that are known, the first that fits a port's name is meant."""

PLAIN = Device(
    "plain",
    "",
    (Lamps(Kind.NOTE, range(128), _PLAIN), Lamps(Kind.CC, range(128), _PLAIN)),
)
"""On or off by what the pad itself sends. Only for a port that is known to be a controller's: a
synthesiser would play these notes."""


def device_for(port: str) -> Device | None:
    """The device behind a port of that name, where it is one of :data:`DEVICES`."""
    return next((device for device in DEVICES if re.search(device.port, port)), None)


class Lights:
    """The lights of one device. What it returns is to be sent, in order; mostly that is nothing."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._shown: dict[Trigger, State] = {}

    def open(self) -> list[bytes]:
        """For a device that was just connected: everything that is to be seen on it."""
        shown = [message for at in self._shown.items() for message in self._messages(*at)]
        return [self.device.hello, *shown] if self.device.hello else shown

    def show(self, trigger: Trigger, state: State) -> list[bytes]:
        """Let a pad's light tell ``state``; nothing where it does so, or the pad has no light."""
        if self._shown.get(trigger, State.OFF) is state:
            return []
        messages = self._messages(trigger, state)
        if messages and state is State.OFF:
            self._shown.pop(trigger, None)
        elif messages:
            self._shown[trigger] = state
        return messages

    def bound(self, triggers: Iterable[Trigger]) -> list[bytes]:
        """These are the triggers in force: others go dark, and new ones are seen to be bound."""
        wanted = set(triggers)
        gone = [self.show(trigger, State.OFF) for trigger in sorted(self._shown.keys() - wanted)]
        new = [self.show(trigger, State.IDLE) for trigger in sorted(wanted - self._shown.keys())]
        return [message for messages in gone + new for message in messages]

    def close(self) -> list[bytes]:
        """All dark, and the device as it was."""
        dark = self.bound(())
        return [*dark, self.device.goodbye] if self.device.goodbye else dark

    def _messages(self, trigger: Trigger, state: State) -> list[bytes]:
        lamps = self._lamps(trigger)
        if lamps is None:
            return []
        light = midi.note_on if trigger.kind is Kind.NOTE else midi.control
        return [
            light(channel or trigger.channel, trigger.number, value)
            for channel, value in lamps.looks[state]
        ]

    def _lamps(self, trigger: Trigger) -> Lamps | None:
        if self.device.channel not in (None, trigger.channel):
            return None
        fits = (
            lamps
            for lamps in self.device.lamps
            if lamps.kind is trigger.kind and trigger.number in lamps.numbers
        )
        return next(fits, None)
