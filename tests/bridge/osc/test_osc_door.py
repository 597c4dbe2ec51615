"""Packets in, commands out; replies in, packets out. No socket, and a clock moved by hand."""

import json

import pytest

from bridge.osc.bundles import TimeTags, time_tag
from bridge.osc.clients import Clients, Endpoint
from bridge.osc.codec import decode, encode, encode_bundle
from bridge.osc.door import OscDoor
from engine import __version__
from engine.errors import Code, SidemanError
from engine.messages import commands as c
from engine.messages.replies import Done, Pong, Value

A = Endpoint("udp", "127.0.0.1", 5001)
B = Endpoint("udp", "127.0.0.1", 5002)
WALL = 1_800_000_000.0


class Room:
    """A door with a server that keeps what was sent and a conductor that keeps what it was told."""

    def __init__(self, token=None, horizon=16.0):
        self.sent = []
        self.commands = []
        self.error = None
        self.door = OscDoor(
            self, Clients(token), self.handle, lambda: horizon, TimeTags(lambda: WALL)
        )

    def send(self, endpoint, packet):
        ((_, address, args),) = decode(packet)
        self.sent.append((endpoint, address, *args))
        return True

    def handle(self, command, client_id, when):
        if self.error:
            raise self.error
        self.commands.append((command, client_id, when))

    def say(self, endpoint, address, *args, at=100.0):
        self.door.receive(encode(address, args), endpoint, at)

    def later(self, endpoint, moment, *messages, at=100.0):
        packet = encode_bundle(time_tag(WALL + moment), [encode(a, v) for a, *v in messages])
        self.door.receive(packet, endpoint, at)

    def heard(self):
        sent, self.sent = self.sent, []
        return sent


@pytest.fixture
def room():
    return Room()


def test_a_command_reaches_the_conductor_with_its_client_and_time(room):
    room.say(A, "/sideman/ping", 1)
    room.say(B, "/sideman/track/3/undo", at=101.0)
    assert room.commands == [(c.Ping(1), 1, 100.0), (c.Undo(3), 2, 101.0)]
    assert room.heard() == []


def test_hello_gives_a_number_and_registers_the_return_port(room):
    room.say(A, "/sideman/hello", 1, "Live", 9001)
    back = Endpoint("udp", "127.0.0.1", 9001)
    hello = ("/sideman/done", "/sideman/hello", 1, __version__, 1)
    assert room.heard() == [(A, *hello), (back, *hello)]
    room.door.reply(1, Pong(7, 1.5))
    assert room.heard() == [(A, "/sideman/pong", 7, 1.5), (back, "/sideman/pong", 7, 1.5)]


@pytest.mark.parametrize(
    ("address", "args", "req", "code"),
    [
        ("/sideman/nothing", (), 0, "unknown-address"),
        ("/sideman/ping", (), 0, "bad-arguments"),
        ("/sideman/continue", (7, 3, "bars", 0), 7, "bad-arguments"),
        ("/sideman/track/3/continue", (7.0, "bars", 0), 7, "bad-arguments"),
        ("/sideman/set", ("playing", 1), 0, "not-allowed"),
    ],
)
def test_what_is_wrong_is_told_to_its_sender_alone(room, address, args, req, code):
    room.say(B, "/sideman/notify", 1)
    room.heard()
    room.say(A, address, *args)
    ((to, reply, its_req, its_code, _, about),) = room.heard()
    assert (to, reply, its_req, its_code, about) == (A, "/sideman/fail", req, code, address)
    assert room.commands == []


def test_a_packet_that_is_none(room):
    room.door.receive(b"GET / HTTP/1.1", A, 100.0)
    ((to, reply, req, code, _, about),) = room.heard()
    assert (to, reply, req, code, about) == (A, "/sideman/fail", 0, "bad-arguments", "")


def test_what_the_conductor_refuses_is_told_with_its_request(room):
    room.error = SidemanError(Code.UNKNOWN_TRACK, "no track 3")
    room.say(A, "/sideman/continue", 7, 3)
    assert room.heard() == [
        (A, "/sideman/fail", 7, "unknown-track", "no track 3", "/sideman/continue")
    ]


def test_one_wrong_message_in_a_bundle_does_not_hold_up_the_others(room):
    room.later(A, 0, ("/sideman/ping", 1), ("/sideman/ping",), ("/sideman/ping", 2))
    assert [command.n for command, *_ in room.commands] == [1, 2]
    assert len(room.heard()) == 1


def test_time_tagged_messages_wait_for_their_moment(room):
    room.later(A, 102.0, ("/sideman/ping", 2))
    room.later(A, 101.0, ("/sideman/ping", 1))
    room.say(A, "/sideman/ping", 0)
    assert [command.n for command, *_ in room.commands] == [0]
    assert room.door.tick(100.5) == pytest.approx(101.0, abs=1e-6)
    assert room.door.tick(101.5) == pytest.approx(102.0, abs=1e-6)
    assert room.door.tick(102.5) is None
    assert [command.n for command, *_ in room.commands] == [0, 1, 2]
    assert [when for *_, when in room.commands[1:]] == pytest.approx([101.0, 102.0], abs=1e-6)


def test_a_tag_just_past_tells_when_it_was(room):
    room.later(A, 99.9, ("/sideman/ping", 1))
    assert room.commands[0][2] == pytest.approx(99.9, abs=1e-6)


def test_a_tag_too_far_ahead_is_refused(room):
    room.later(A, 100.0 + 16.5, ("/sideman/continue", 7, 3))
    ((_, _, req, code, *_),) = room.heard()
    assert (req, code) == (7, "bad-arguments")
    assert room.door.tick(1000.0) is None
    assert room.commands == []


def test_sync_waits_for_what_was_sent_before_and_for_no_one_else(room):
    room.later(A, 103.0, ("/sideman/ping", 1))
    room.say(A, "/sideman/sync", 5)
    room.say(B, "/sideman/sync", 6)
    assert [command for command, *_ in room.commands] == [c.Sync(6)]
    room.door.tick(103.1)
    assert [command for command, *_ in room.commands] == [c.Sync(6), c.Ping(1), c.Sync(5)]
    room.say(A, "/sideman/sync", 7, at=104.0)
    assert room.commands[-1][0] == c.Sync(7)


def test_a_refusal_at_its_moment_is_told_too(room):
    room.later(A, 101.0, ("/sideman/continue", 7, 3))
    room.error = SidemanError(Code.NO_CONTEXT, "nothing was played")
    room.door.tick(101.1)
    assert room.heard()[0][:4] == (A, "/sideman/fail", 7, "no-context")


def test_notify_tells_what_others_cause(room):
    room.say(A, "/sideman/notify", 1)
    room.say(B, "/sideman/notify", 1)
    done = ("/sideman/done", "/sideman/notify")
    assert room.heard() == [(A, *done), (B, *done)]
    room.door.broadcast(Done("/sideman/panic"), besides=1)
    assert room.heard() == [(B, "/sideman/done", "/sideman/panic")]
    room.say(B, "/sideman/notify", 0)
    room.heard()
    room.door.broadcast(Done("/sideman/panic"))
    assert room.heard() == [(A, "/sideman/done", "/sideman/panic")]


def test_listen_is_handed_on_and_changes_are_sent(room):
    room.say(A, "/sideman/listen", "tempo", 1)
    assert room.commands[0][0] == c.Listen("tempo", True)
    room.door.changed("tempo", 96.0)
    room.door.changed("bars", 8)
    assert room.heard() == [(A, "/sideman/value", "tempo", 96.0)]
    room.say(A, "/sideman/listen", "tempo", 0)
    room.door.changed("tempo", 97.0)
    assert room.heard() == []


def test_a_listen_that_was_refused_is_not_kept(room):
    room.error = SidemanError(Code.BUSY, "not now")
    room.say(A, "/sideman/listen", "tempo", 1)
    room.heard()
    room.door.changed("tempo", 96.0)
    assert room.heard() == []


def test_strangers_are_let_in_by_the_token_alone():
    room = Room(token="secret")
    for address, args in [
        ("/sideman/ping", (1,)),
        ("/sideman/nothing", ()),
        ("/sideman/panic", ()),
        ("/sideman/hello", (1, "x")),
        ("/sideman/hello", (1, "x", 0, "Secret")),
    ]:
        room.say(A, address, *args)
        ((_, reply, _, code, *_),) = room.heard()
        assert (reply, code) == ("/sideman/fail", "not-allowed"), address
    assert room.commands == []
    room.say(A, "/sideman/hello", 1, "x", 0, "secret")
    assert room.heard()[0][1] == "/sideman/done"
    room.say(A, "/sideman/ping", 1)
    room.say(B, "/sideman/ping", 1)
    assert room.commands == [(c.Ping(1), 1, 100.0)]


def test_who_hung_up_is_forgotten_with_what_it_had_waiting():
    room = Room()
    tcp = Endpoint("tcp", "127.0.0.1", 5003)
    room.say(tcp, "/sideman/notify", 1)
    room.later(tcp, 101.0, ("/sideman/ping", 1))
    room.heard()
    room.door.receive(b"", tcp, 100.5)
    room.door.broadcast(Value("tempo", 96.0))
    room.door.reply(1, Pong(1, 1.0))
    room.door.tick(101.5)
    assert (room.heard(), room.commands) == ([], [])


def test_no_text_that_comes_in_breaks_the_reply(room):
    room.say(A, "/sideman/get", "x" * 3000)
    room.say(A, "/" + json.dumps({"a": ["\n" * 900]}), 1)
    assert [heard[1] for heard in room.heard()] == ["/sideman/fail"] * 2
