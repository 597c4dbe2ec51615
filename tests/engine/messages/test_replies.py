"""What the engine sends."""

import pytest

from engine.errors import Code, SidemanError
from engine.messages import REPLIES, parse_reply
from engine.messages.replies import (
    Accepted,
    CapabilitiesReply,
    ClipAudio,
    ClipClose,
    ClipNote,
    ClipOpen,
    Done,
    Fail,
    Late,
    Pong,
    StatusReply,
    Synced,
    Value,
    VersionReply,
)

SAID = [
    (Done(7), "/sideman/done", (7,)),
    (
        Done("/sideman/hello", (1, "0.1.0", 1)),
        "/sideman/done",
        ("/sideman/hello", 1, "0.1.0", 1),
    ),
    (Pong(3, 12.5), "/sideman/pong", (3, 12.5)),
    (VersionReply("sideman", 0, 1, 0), "/sideman/version.reply", ("sideman", 0, 1, 0)),
    (
        StatusReply("ready", "trio", 2, 0, 0, 0, 5),
        "/sideman/status.reply",
        ("ready", "trio", 2, 0, 0, 0, 5),
    ),
    (Synced(3), "/sideman/synced", (3,)),
    (CapabilitiesReply(1, 2, "{"), "/sideman/capabilities.reply", (1, 2, "{")),
    (Value("tempo", 96.0), "/sideman/value", ("tempo", 96.0)),
    (Fail(7, "busy", "wait", "/x"), "/sideman/fail", (7, "busy", "wait", "/x")),
    (Accepted(7, 3.5, 17), "/sideman/accepted", (7, 3.5, 17)),
    (Late(7, 20.0, "move"), "/sideman/late", (7, 20.0, "move")),
    (ClipOpen(7, 1, "bass", 17, 4), "/sideman/clip/open", (7, 1, "bass", 17, 4)),
    (
        ClipNote(7, 1, 17, 0.5, 0.25, 40, 90, 2),
        "/sideman/clip/note",
        (7, 1, 17, 0.5, 0.25, 40, 90, 2),
    ),
    (
        ClipAudio(7, 1, 17, "a.wav", 32000, 64000),
        "/sideman/clip/audio",
        (7, 1, 17, "a.wav", 32000, 64000),
    ),
    (ClipClose(7, 1, 12), "/sideman/clip/close", (7, 1, 12)),
]


@pytest.mark.parametrize(("reply", "address", "args"), SAID)
def test_a_reply_is_an_address_and_arguments_and_back(reply, address, args):
    assert (reply.address, reply.args()) == (address, args)
    assert [type(a) for a in reply.args()] == [type(a) for a in args]
    assert parse_reply(address, args) == reply


def test_every_reply_is_tried_here():
    assert {address for _, address, _ in SAID} == set(REPLIES)


def test_floats_stay_floats_and_switches_are_numbers():
    assert [type(a) for a in Accepted(1, 3, 17).args()] == [int, float, int]
    assert Value("playing", True).args() == ("playing", 1)
    assert Value("top_p", None).args() == ("top_p",)


def test_a_fail_says_what_an_error_says():
    fail = Fail.of(SidemanError(Code.BUSY, "wait"), 7, "/sideman/continue")
    assert fail.args() == (7, "busy", "wait", "/sideman/continue")


@pytest.mark.parametrize("address", ["/sideman/nothing", "/sideman/pong", "/sideman/done"])
def test_what_is_no_reply(address):
    with pytest.raises(SidemanError):
        parse_reply(address, ())
