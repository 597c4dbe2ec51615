"""Bytes to messages and back; hostile bytes give a SidemanError and nothing else."""

import json
import struct
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.osc.bundles import time_tag
from bridge.osc.codec import (
    IMMEDIATELY,
    MOST_BYTES,
    capability_parts,
    decode,
    encode,
    encode_bundle,
    encode_reply,
)
from engine.errors import SidemanError
from engine.messages import Fail, capabilities
from engine.messages.replies import ClipNote, Done

TAG = time_tag(1_800_000_000.25)
PING = encode("/sideman/ping", (1,))

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30)
ARGS = st.lists(st.integers(-(2**31), 2**31 - 1) | st.floats(width=32, allow_nan=False) | TEXT)


@given(TEXT, ARGS)
def test_a_message_comes_back_as_it_was(name, args):
    ((tag, address, back),) = decode(encode("/" + name, args))
    assert (tag, address, list(back)) == (None, "/" + name, args)
    assert [type(a) for a in back] == [type(a) for a in args]


@given(ARGS)
def test_bundles_keep_the_order_and_the_later_tag(args):
    inner = encode_bundle(IMMEDIATELY, [encode("/b", args), encode("/c")])
    later = encode_bundle(TAG + 5, [encode("/d")])
    found = decode(encode_bundle(TAG, [encode("/a"), inner, later]))
    assert [(m.time_tag, m.address) for m in found] == [
        (TAG, "/a"),
        (TAG, "/b"),
        (TAG, "/c"),
        (TAG + 5, "/d"),
    ]
    assert list(found[1].args) == args


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda b: b"#bundle\0" + b))
@example(b"")
@example(b"/")
@example(b"/a\0\0,i\0\0")
@example(b"#bundle\0")
@example(b"#bundle\0" + bytes(8) + struct.pack(">i", -4) + b"/a\0\0")
@example(b"/\xff\0\0")
def test_hostile_bytes(packet):
    try:
        messages = decode(packet)
    except SidemanError:
        return
    assert all(isinstance(a, int | float | str) for m in messages for a in m.args)


@given(st.data())
def test_a_good_packet_with_flipped_bytes_or_cut_off(data):
    good = encode_bundle(TAG, [encode("/sideman/track/note", (3, 60, 1.5, "bass")), PING])
    packet = bytearray(good)
    for at in data.draw(st.lists(st.integers(0, len(packet) - 1), max_size=4)):
        packet[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(packet)))
    try:
        decode(bytes(packet[:cut]))
    except SidemanError:
        return


@pytest.mark.parametrize("args", [(1, 2.5), ("abc", 1.0), (1.0,), ("abcd",)])
def test_every_cut_within_the_arguments_is_noticed(args):
    whole = encode("/sideman/set", args)
    for end in range(len(b"/sideman/set\0\0\0\0") + 1, len(whole)):
        with pytest.raises(SidemanError):
            decode(whole[:end])


@pytest.mark.parametrize(
    ("value", "kind"),
    [(1.0, "d"), (1, "h"), (b"x", "b"), (True, "T"), (False, "F"), (None, "N"), (7, "r")],
)
def test_other_types_are_refused_by_name(value, kind):
    builder = OscMessageBuilder("/sideman/ping")
    builder.add_arg(value, kind)
    with pytest.raises(SidemanError, match=f"not {kind}"):
        decode(builder.build().dgram)


def test_bundles_within_bundles_have_a_bottom():
    packet = PING
    for _ in range(40):
        packet = encode_bundle(IMMEDIATELY, [packet])
    with pytest.raises(SidemanError, match="nested"):
        decode(packet)


def test_an_element_of_negative_size_does_not_hang_or_fill_the_memory():
    packet = b"#bundle\0" + struct.pack(">Qi", 1, -4) + PING
    tracemalloc.start()
    with pytest.raises(SidemanError):
        decode(packet)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_one_bad_element_spoils_the_whole_packet():
    with pytest.raises(SidemanError):
        decode(encode_bundle(1, [PING, b"nonsense"]))


def test_a_message_without_type_tags_has_no_arguments():
    assert decode(b"/sideman/status\0")[0].args == ()


def test_replies():
    assert decode(encode_reply(Done("/sideman/preset", ("trio",))))[0].args == (
        "/sideman/preset",
        "trio",
    )
    note = ClipNote(7, 1, 17, 0.5, 0.25, 40, 90, 2)
    assert decode(encode_reply(note))[0].args == note.args()


@given(st.text(max_size=4000), st.text(max_size=4000))
def test_a_fail_fits_a_datagram_whatever_it_quotes(text, address):
    packet = encode_reply(Fail(1, "bad-arguments", text, address))
    assert len(packet) < MOST_BYTES
    assert decode(packet)[0].args[0] == 1


def test_capabilities_come_in_parts_that_fit():
    parts = capability_parts(capabilities())
    assert [part.part for part in parts] == list(range(1, len(parts) + 1))
    assert {part.parts for part in parts} == {len(parts)}
    assert all(len(encode_reply(part)) < MOST_BYTES for part in parts)
    assert json.loads("".join(part.json for part in parts)) == capabilities()


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 1e39])
def test_numbers_without_a_place_in_32_bits(value):
    with pytest.raises(ValueError, match="no place"):
        encode("/x", (value,))


def test_text_that_cannot_travel_is_mended():
    assert decode(encode("/x", ("a\0b", "take\udcff.wav")))[0].args == ("ab", "take?.wav")
