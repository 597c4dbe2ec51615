"""The worker's line: every message round trip, and frames that are not whole."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.music import Note
from engine.worker import wire

small = st.integers(-(2**40), 2**40)
rows = st.tuples(*[small] * 6)
spans = st.builds(wire.Span, small, small, st.none() | st.lists(st.integers(0, 11)))
rooms = st.builds(wire.Room, small, small, st.lists(rows, max_size=3), st.lists(spans, max_size=2))
real = st.floats(allow_nan=False)
wishes = st.builds(
    wire.Wish,
    context_end=small,
    rooms=st.lists(rooms, max_size=2),
    programs=st.lists(small, max_size=3),
    seed=small,
    variations=small,
    key=st.none() | st.lists(small, max_size=4),
    density=st.none() | real,
    polyphony=st.none() | small,
    reference=st.lists(rows, max_size=3),
    after=st.lists(rooms, max_size=1),
    curve=st.tuples(st.text(max_size=5), real, real, real, real),
)
text = st.text(max_size=20)
pieces = st.lists(st.builds(wire.Piece, text, small, small), max_size=2)
sounds = st.builds(
    wire.SoundWish,
    past=pieces,
    rate=small,
    bpm=real,
    meters=st.lists(st.tuples(small, small, small), max_size=2),
    bar=small,
    bars=small,
    seed=small,
    following=pieces,
    text=text,
)
counting = st.lists(st.tuples(text, text, real), max_size=2)
bars = st.tuples(small, small, small, st.lists(rows, max_size=3))
MESSAGES = {
    wire.Load: st.builds(wire.Load, text, text, text, text),
    wire.Unload: st.builds(wire.Unload, text),
    wire.Hear: st.builds(wire.Hear, st.lists(bars, max_size=3)),
    wire.Forget: st.builds(wire.Forget),
    wire.Make: st.builds(wire.Make, small, text, wishes, st.none() | real),
    wire.MakeSound: st.builds(wire.MakeSound, small, text, sounds, counting, st.none() | real),
    wire.Adapt: st.builds(wire.Adapt, text, counting),
    wire.Speculate: st.builds(wire.Speculate, small, text, wishes),
    wire.Cancel: st.builds(wire.Cancel, small),
    wire.Ping: st.builds(wire.Ping, small),
    wire.Loaded: st.builds(wire.Loaded, text, text, text, text, real),
    wire.Started: st.builds(wire.Started, small, small, st.booleans()),
    wire.Made: st.builds(wire.Made, small, small, st.lists(rows, max_size=4)),
    wire.Finished: st.builds(wire.Finished, small, small, text),
    wire.JobDone: st.builds(wire.JobDone, small, small, real),
    wire.JobFailed: st.builds(wire.JobFailed, small, text, text),
    wire.Sound: st.builds(wire.Sound, small, small, st.binary(max_size=64), text),
    wire.SoundDone: st.builds(
        wire.SoundDone, small, small, real, text, st.dictionaries(text, real | text, max_size=2)
    ),
    wire.Adapted: st.builds(wire.Adapted, text, counting, text, text),
    wire.Unloaded: st.builds(wire.Unloaded, text),
    wire.Pong: st.builds(wire.Pong, small),
    wire.Failed: st.builds(wire.Failed, text, text, text),
}
to_worker = st.one_of(*(MESSAGES[cls] for cls in get_args(wire.ToWorker)))
from_worker = st.one_of(*(MESSAGES[cls] for cls in get_args(wire.FromWorker)))


def body(message: wire.Message) -> bytes:
    found = wire.read_frame(io.BytesIO(wire.frame(message)))
    assert found is not None
    return found


@given(to_worker)
def test_what_the_engine_says_arrives(message: wire.ToWorker) -> None:
    assert wire.for_worker(body(message)) == message


@given(from_worker)
def test_what_the_worker_says_arrives(message: wire.FromWorker) -> None:
    assert wire.from_worker(body(message)) == message


def test_every_message_has_a_direction() -> None:
    both = {*get_args(wire.ToWorker), *get_args(wire.FromWorker)}
    ours = {each for each in wire.Message.__subclasses__() if each.__module__ == wire.__name__}
    assert both == ours == set(MESSAGES)


@given(st.lists(to_worker, max_size=4))
def test_frames_follow_each_other(messages: list[wire.ToWorker]) -> None:
    stream = io.BytesIO(b"".join(map(wire.frame, messages)))
    assert [wire.for_worker(b) for b in iter(lambda: wire.read_frame(stream), None)] == messages


@given(to_worker, st.data())
def test_a_frame_that_is_cut_off_is_the_end(message: wire.ToWorker, data: st.DataObject) -> None:
    whole = wire.frame(message)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert wire.read_frame(io.BytesIO(whole[:cut])) is None


def test_a_frame_longer_than_any_message_is_not_read() -> None:
    stream = io.BytesIO(struct.pack("<I", wire.MAX_FRAME + 1) + b"x" * 64)
    assert wire.read_frame(stream) is None
    assert stream.tell() == 4


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\xc1",
        b"hello",
        msgspec.msgpack.encode({"m": "no-such-message"}),
        msgspec.msgpack.encode({"m": "ping"}),
        msgspec.msgpack.encode({"m": "ping", "n": "three"}),
        msgspec.msgpack.encode({"n": 3}),
        msgspec.msgpack.encode(["ping", 3]),
        msgspec.msgpack.encode({"m": "pong", "n": 3}),
        msgspec.msgpack.encode({"m": "hear", "bars": [[0, 4, 4, [[1, 2, 3]]]]}),
    ],
)
def test_what_is_no_message_is_refused(broken: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.for_worker(broken)


@given(st.binary(max_size=60))
def test_random_bytes_are_a_message_or_an_error(data: bytes) -> None:
    for decode in (wire.for_worker, wire.from_worker):
        with suppress(msgspec.DecodeError):
            assert isinstance(decode(data), wire.Message)


@given(rows)
def test_a_note_travels_in_the_order_of_its_fields(row: wire.NoteRow) -> None:
    assert wire.row(Note(*row)) == row
