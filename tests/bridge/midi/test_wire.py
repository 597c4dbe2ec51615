"""What the engine and the process that plays say to each other arrives as it was said."""

from __future__ import annotations

import io
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import DecodeError

from bridge.midi import wire
from engine.timing import Course, Timed
from engine.triggers import Kind, Trigger
from engine.worker.wire import Message, frame, read_frame

TO_PLAYER = [
    wire.Open("auto", [wire.Port("in", "a"), wire.Port("out", "b", True)], True, 0.2, 0.3, True),
    wire.Follow.of(Course(1.5, 960.25, 1920.0, True)),
    wire.Play(3, [Timed(0, 960, 1, 60, 90)]),
    wire.Cut(3, 10, None, True),
    wire.Silence(),
    wire.Release([(1, 60)]),
    wire.Send(b"\x90\x0b\x15"),
    wire.PanicBy([Trigger(16, Kind.NOTE, 41)]),
]
FROM_PLAYER = [
    wire.Heard([(0, 1.25, b"\x90\x3c\x5a")], 2),
    wire.PortState(1, "Sideman Out", "it has vanished"),
    wire.Opened("jack"),
    wire.Sent(10, 1, 0.25),
]


def body(message: Message) -> bytes:
    found = read_frame(io.BytesIO(frame(message)))
    assert found is not None
    return found


@pytest.mark.parametrize("message", TO_PLAYER, ids=lambda m: type(m).__name__)
def test_what_the_engine_says_arrives(message: Any) -> None:
    assert wire.for_player(body(message)) == message


@pytest.mark.parametrize("message", FROM_PLAYER, ids=lambda m: type(m).__name__)
def test_what_the_player_says_arrives(message: Any) -> None:
    assert wire.from_player(body(message)) == message


def test_every_message_has_a_direction() -> None:
    both = {*get_args(wire.ToPlayer), *get_args(wire.FromPlayer)}
    ours = {each for each in Message.__subclasses__() if each.__module__ == wire.__name__}
    assert both == ours == {type(message) for message in TO_PLAYER + FROM_PLAYER}


@given(st.binary(max_size=64))
def test_nonsense_is_refused_and_not_obeyed(data: bytes) -> None:
    try:
        message = wire.for_player(data)
    except DecodeError:
        return
    assert isinstance(message, get_args(wire.ToPlayer))


def test_a_course_travels_whole() -> None:
    course = Course(1.5, 960.25, 1921.5, True)
    assert wire.Follow.of(course).course == course
