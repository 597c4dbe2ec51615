"""Our own notes, come back."""

from __future__ import annotations

from bridge.midi.echo import Echo

ON, OFF = bytes((0x90, 60, 90)), bytes((0x80, 60, 0))


def test_each_message_sent_excuses_one_that_comes_in() -> None:
    echo = Echo(0.1)
    echo.sent(ON, 1.0)
    assert echo.is_echo(ON, 1.02)
    assert not echo.is_echo(ON, 1.03)


def test_what_comes_back_late_is_the_musician() -> None:
    echo = Echo(0.1)
    echo.sent(ON, 1.0)
    assert not echo.is_echo(ON, 1.2)


def test_other_notes_are_the_musician() -> None:
    echo = Echo(0.1)
    echo.sent(ON, 1.0)
    assert not echo.is_echo(bytes((0x90, 61, 90)), 1.01)
    assert not echo.is_echo(bytes((0x90, 60, 91)), 1.01)
    assert not echo.is_echo(bytes((0x91, 60, 90)), 1.01)


def test_a_note_off_may_come_back_in_another_form() -> None:
    echo = Echo(0.1)
    echo.sent(OFF, 1.0)
    assert echo.is_echo(bytes((0x90, 60, 0)), 1.01)
    echo.sent(OFF, 2.0)
    assert echo.is_echo(bytes((0x80, 60, 64)), 2.01)


def test_it_can_be_turned_off() -> None:
    echo = Echo(0.0)
    echo.sent(ON, 1.0)
    assert not echo.is_echo(ON, 1.0)
