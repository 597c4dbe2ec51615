"""Being a client: section 2's first table, byte by byte."""

from __future__ import annotations

import json
import re
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from engine import __version__
from tests.e2e.client import Client, Refused
from tests.e2e.engine import Engine
from tests.e2e.osc import Wire, bundle, pack, unpack


def test_the_ready_line_names_address_panel_and_preset(engine: Engine) -> None:
    pattern = r"ready osc=127\.0\.0\.1:\d+ panel=\S+ preset=trio\n"
    assert re.fullmatch(pattern, engine.ready_line)


def test_ping_as_bytes_on_a_bare_socket(engine: Engine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(10)
        udp.sendto(b"/sideman/ping\0\0\0,i\0\0\x00\x00\x00\x2a", (engine.host, engine.port))
        answer, sender = udp.recvfrom(2000)
    assert sender == (engine.host, engine.port)
    assert answer[:-4] == b"/sideman/pong\0\0\0,if\0\x00\x00\x00\x2a"
    assert struct.unpack(">f", answer[-4:])[0] > 0


def test_version_as_bytes_over_tcp_in_two_halves(engine: Engine) -> None:
    packet = b"\0\0\0\x18/sideman/version\0\0\0\0,\0\0\0"
    with socket.create_connection((engine.host, engine.port), timeout=10) as tcp:
        tcp.sendall(packet[:9])
        tcp.sendall(packet[9:])
        head = tcp.recv(4, socket.MSG_WAITALL)
        message = unpack(tcp.recv(struct.unpack(">i", head)[0], socket.MSG_WAITALL))
    assert message.address == "/sideman/version.reply"
    name, *numbers = message.args
    assert (name, ".".join(map(str, numbers))) == ("sideman", __version__)


def test_hello_gives_a_number_a_version_and_the_protocol(engine: Engine) -> None:
    with Client(engine) as one, Client(engine, tcp=True) as two:
        first = one.ask("/sideman/hello", 1, "one").args
        second = two.ask("/sideman/hello", 1, "two").args
        again = one.ask("/sideman/hello", 1, "one again").args
    assert first[2:] == second[2:] == (__version__, 1)
    assert isinstance(first[1], int) and first[1] != second[1] and again[1] == first[1]


def test_hello_in_another_protocol_is_refused(client: Client) -> None:
    assert client.refusal("/sideman/hello", 2, "from the future").code == "bad-arguments"


def test_replies_go_to_the_return_port_as_well(engine: Engine) -> None:
    with Client(engine) as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(10)
        client.ask("/sideman/hello", 1, "with an ear", ear.getsockname()[1])
        client.ask("/sideman/ping", 7)
        heard = [unpack(ear.recv(2000)) for _ in range(2)]
    assert [m.address for m in heard] == ["/sideman/done", "/sideman/pong"]
    assert heard[1].args[0] == 7


@pytest.mark.parametrize("n", [0, 1, -5, 2**31 - 1])
def test_ping_comes_back_as_it_went(client: Client, n: int) -> None:
    first, second = client.ask("/sideman/ping", n), client.ask("/sideman/ping", n)
    assert first.args[0] == second.args[0] == n
    assert first.args[1] <= second.args[1]  # the engine's clock goes forward


def test_a_float_is_taken_where_an_int_is_meant(client: Client) -> None:
    answer = client.ask("/sideman/ping", 3.0).args[0]
    assert answer == 3 and isinstance(answer, int)
    assert client.refusal("/sideman/ping", 3.5).code == "bad-arguments"


def test_status_knows_its_clients(client: Client) -> None:
    before = client.status()
    client.hello()
    after = client.status()
    assert after["state"] == "ready" and after["preset"] == "trio"
    assert (after["queued"], after["generating"], after["late"], after["takes"]) == (0, 0, 0, 0)
    assert after["clients"] == before["clients"] + 1


def test_sync_comes_after_all_that_was_sent_before(client: Client) -> None:
    for n in range(50):
        client.send("/sideman/set", "density", n % 16)
        client.send("/sideman/ping", n)
    client.send("/sideman/sync", 77)
    client.next("/sideman/synced", 77)
    came = [m.args[0] for m in client.inbox if m.address == "/sideman/pong"]
    assert came == list(range(50))
    client.ask("/sideman/set", "density", 0)


def test_capabilities_join_to_one_json_object(client: Client) -> None:
    client.send("/sideman/capabilities")
    client.sync()
    replies = [m for m in client.inbox if m.address == "/sideman/capabilities.reply"]
    assert all(message.size < 1400 for message in replies)
    parts = {int(m.args[0]): str(m.args[2]) for m in replies}
    (count,) = {m.args[1] for m in replies}
    assert sorted(parts) == list(range(1, count + 1))
    whole: dict[str, Any] = json.loads("".join(parts[n] for n in sorted(parts)))
    keys = "bars at preset seed temperature top_p variations chords key density program low high"
    assert set(f"{keys} prompt late deliver".split()) <= {key["name"] for key in whole["keys"]}
    addresses = "continue variation infill accompany audio undo keep transport track/note"
    assert {f"/sideman/{a}" for a in addresses.split()} <= set(whole["addresses"])
    assert {"unknown-address", "no-context", "bad-file"} <= set(whole["codes"])


def test_get_set_and_listen(engine: Engine, client: Client) -> None:
    with Client(engine) as other:
        assert other.ask("/sideman/listen", "bars", 1).args == ("bars", 4)
        assert client.ask("/sideman/set", "bars", 2).args == ("bars", 2)
        assert client.ask("/sideman/get", "bars").args == ("bars", 2)
        other.next("/sideman/value", "bars", 2)
        other.ask("/sideman/listen", "bars", 0)
        client.ask("/sideman/set", "bars", 4)
        assert [m for m in other.news() if m.address == "/sideman/value"] == []


def test_what_is_set_holds_for_requests_that_do_not_say(client: Client) -> None:
    client.ask("/sideman/set", "bars", 1)
    client.ask("/sideman/set", "seed", 5)
    try:
        answers = [
            client.request("continue", 9, preset="chords", at=40) for _ in range(2)
        ]
    finally:
        client.ask("/sideman/set", "bars", 4)
        client.ask("/sideman/set", "seed", -1)
    assert [a.clip.bars for a in answers] == [1, 1]
    assert answers[0].notes == answers[1].notes


def test_notify_tells_what_others_cause(engine: Engine, client: Client) -> None:
    with Client(engine) as watcher, Client(engine) as deaf:
        assert watcher.ask("/sideman/notify", 1).args == ("/sideman/notify",)
        deaf.ask("/sideman/ping", 1)
        answer = client.request("continue", 9, preset="chords", bars=1, at=44)
        client.ask("/sideman/keep", answer.clip.take)
        watcher.sync()
        seen = [m.address for m in watcher.inbox]
        assert seen[0] == "/sideman/accepted" and seen[1] == "/sideman/clip/open"
        assert seen.count("/sideman/clip/note") == len(answer.notes)
        assert seen[-3:] == ["/sideman/clip/close", "/sideman/done", "/sideman/done"]
        assert watcher.inbox[-1].args[0] == "/sideman/keep"
        assert [m.address for m in deaf.news()] == []
        watcher.ask("/sideman/notify", 0)
        watcher.news()
        client.ask("/sideman/discard", answer.clip.take)
        assert watcher.news() == []


def test_two_clients_each_with_a_request_1(engine: Engine) -> None:
    with Client(engine) as one, Client(engine, tcp=True) as two:
        first = one.start("continue", 10, preset="chords", bars=1, at=48, seed=1)
        second = two.start("continue", 11, preset="drums", bars=1, at=48, seed=1)
        assert first.req == second.req == 1
        assert two.finish(second).clip.track == "11"
        assert one.finish(first).clip.track == "10"
        assert {note.channel for note in second.notes} == {10}
        assert {note.channel for note in first.notes} != {10}


@pytest.mark.parametrize(
    "packet",
    [
        b"nonsense",
        b"/sideman/ping",
        b"/sideman/ping\0\0\0,ii\0\0\0\0\x01",
        b"/sideman/ping\0\0\0,b\0\0\0\0\0\x01a\0\0\0",
        b"#bundle\0\0\0\0\0\0\0\0\x01\x7f\xff\xff\xff/",
        b"#bundle\0",
    ],
    ids=["no address", "no end", "cut off", "blob", "element too long", "no time tag"],
)
def test_bytes_that_are_no_message_are_refused_and_the_engine_goes_on(
    client: Client, packet: bytes
) -> None:
    client.send_bytes(packet)
    fail = Refused(client.next("/sideman/fail"))
    assert (fail.req, fail.code) == (0, "bad-arguments")
    client.sync()


def test_a_bundle_that_means_at_once(client: Client) -> None:
    client.send_bytes(bundle(1, pack("/sideman/ping", 1), bundle(1, pack("/sideman/ping", 2))))
    assert client.next("/sideman/pong", 1).at <= client.next("/sideman/pong", 2).at


def test_a_connection_that_sends_rubbish_harms_no_other(engine: Engine, client: Client) -> None:
    wire = Wire(engine.host, engine.port, tcp=True)
    wire.write(b"rubbish")
    wire._socket.sendall(b"\xff\xff\xff\xff")
    client.sync()
    wire.close()
    client.sync()


def test_a_client_that_leaves_takes_nothing_with_it(engine: Engine, client: Client) -> None:
    before = int(client.status()["takes"])
    for tcp in (True, False):
        with Client(engine, tcp=tcp) as leaver:
            leaver.start("continue", 12, preset="drums", bars=8, at=60, seed=1)
            leaver.sync()
    client.rest()
    assert client.status()["takes"] == before + 2
    client.ask("/sideman/undo", 12)
    client.ask("/sideman/undo", 12)


def test_from_the_ready_line_on_requests_are_taken(home: Path) -> None:
    engine = Engine(home)
    try:
        with Client(engine) as client:
            answer = client.request("continue", 1, preset="drums", bars=1, seed=1)
            assert answer.code == "done" and answer.notes
        assert engine.stop() == 0
    finally:
        engine.kill()
