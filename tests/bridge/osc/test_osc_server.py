"""Real sockets on loopback."""

import os
import queue
import socket
import struct
import threading
import time

import pytest

from bridge.osc import server as server_module
from bridge.osc.client import OscClient
from bridge.osc.clients import Clients, Endpoint
from bridge.osc.codec import encode
from bridge.osc.door import OscDoor
from bridge.osc.listen import listen
from bridge.osc.server import MOST_CONNECTIONS, MOST_PACKET_BYTES, OscServer, is_loopback
from engine.errors import Code, SidemanError
from engine.messages import Keys
from engine.messages import commands as c
from engine.messages.replies import Accepted, ClipClose, ClipOpen, Done, Pong, Synced, Value

PING = encode("/sideman/ping", (1,))


class Ears:
    """Where packets are delivered."""

    def __init__(self):
        self.packets = queue.SimpleQueue()

    def __call__(self, packet, endpoint, at):
        self.packets.put((packet, endpoint, at))

    def next(self):
        return self.packets.get(timeout=5)


@pytest.fixture
def ears():
    return Ears()


@pytest.fixture
def server(ears):
    with OscServer("127.0.0.1", 0, ears) as running:
        yield running


@pytest.fixture
def tcp(server):
    with socket.create_connection((server.host, server.port), timeout=5) as sock:
        yield sock


def framed(packet):
    return struct.pack(">i", len(packet)) + packet


def read(sock, size):
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


def read_packet(sock):
    (size,) = struct.unpack(">i", read(sock, 4))
    return read(sock, size)


def test_udp_in_and_out(server, ears):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        before = time.monotonic()
        sock.sendto(PING, (server.host, server.port))
        packet, endpoint, at = ears.next()
        assert packet == PING
        assert endpoint == Endpoint("udp", "127.0.0.1", sock.getsockname()[1])
        assert before <= at <= time.monotonic()
        assert server.send(endpoint, b"/pong\0\0\0")
        assert sock.recvfrom(100) == (b"/pong\0\0\0", (server.host, server.port))


def test_tcp_in_pieces_and_out(server, ears, tcp):
    stream = framed(PING) * 3
    for i in range(0, len(stream), 5):
        tcp.sendall(stream[i : i + 5])
    got = [ears.next() for _ in range(3)]
    assert [packet for packet, *_ in got] == [PING] * 3
    endpoint = got[0][1]
    assert endpoint == Endpoint("tcp", *tcp.getsockname())
    assert server.send(endpoint, b"/pong\0\0\0")
    assert read_packet(tcp) == b"/pong\0\0\0"
    tcp.close()
    assert ears.next()[:2] == (b"", endpoint)
    assert not server.send(endpoint, b"/pong\0\0\0")
    assert server.unsent == 1


@pytest.mark.parametrize("size", [0, -1, MOST_PACKET_BYTES + 1, 2**31 - 1])
def test_a_tcp_packet_of_a_wrong_size_ends_the_connection(server, ears, tcp, size):
    tcp.sendall(struct.pack(">i", size) + b"xxxx")
    assert ears.next()[0] == b""
    assert tcp.recv(1) == b""


def test_a_peer_that_does_not_read_is_dropped_and_nobody_waits(server, ears, tcp):
    tcp.sendall(framed(PING))
    _, endpoint, _ = ears.next()
    packet = b"/x\0\0" + bytes(60_000)
    begun = time.monotonic()
    sent = 0
    while server.send(endpoint, packet):
        sent += 1
        assert sent < 1000
    assert time.monotonic() - begun < 2
    assert ears.next()[:2] == (b"", endpoint)


def test_a_peer_that_reads_late_gets_all_of_it_in_order(server, ears, tcp):
    tcp.sendall(framed(PING))
    _, endpoint, _ = ears.next()
    packets = [struct.pack(">i", i) + bytes(40_000) for i in range(60)]
    assert all(server.send(endpoint, packet) for packet in packets)
    assert [read_packet(tcp) for _ in packets] == packets


def test_connections_are_bounded(server, ears):
    socks = []
    try:
        for _ in range(MOST_CONNECTIONS + 1):
            socks.append(socket.create_connection((server.host, server.port), timeout=5))
        assert socks[-1].recv(1) == b""
        socks[0].sendall(framed(PING))
        assert ears.next()[0] == PING
    finally:
        for sock in socks:
            sock.close()


def test_a_taken_port_says_by_whom(server):
    with pytest.raises(SidemanError) as caught:
        OscServer("127.0.0.1", server.port, lambda *_: None)
    assert caught.value.code == Code.BUSY
    assert f"port {server.port} is taken by" in caught.value.text
    assert f"(process {os.getpid()})" in caught.value.text


def test_a_port_taken_by_udp_or_tcp_alone_is_taken(ears):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.bind(("127.0.0.1", 0))
            if kind == socket.SOCK_STREAM:
                sock.listen()
            with pytest.raises(SidemanError, match="taken"):
                OscServer("127.0.0.1", sock.getsockname()[1], ears)


def test_a_holder_that_the_system_does_not_tell(server, monkeypatch):
    def denied(_kind):
        raise server_module.psutil.AccessDenied

    monkeypatch.setattr(server_module.psutil, "net_connections", denied)
    with pytest.raises(SidemanError, match="another program"):
        OscServer("127.0.0.1", server.port, lambda *_: None)


@pytest.mark.parametrize(("host", "port"), [("203.0.113.1", 0), ("no such host", 0), ("", 70_000)])
def test_an_address_that_cannot_be_bound(ears, host, port):
    with pytest.raises(SidemanError, match="cannot listen"):
        OscServer(host, port, ears)


def test_a_port_is_free_again_after_stop(ears):
    first = OscServer("127.0.0.1", 0, ears)
    first.start()
    with socket.create_connection((first.host, first.port)):
        first.stop()
    OscServer("127.0.0.1", first.port, ears).stop()


def test_loopback():
    assert is_loopback("127.0.0.1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("192.168.1.5")


class Echo:
    """A door behind a server, with a conductor that answers by rote."""

    def __init__(self):
        self.packets = queue.SimpleQueue()
        self.server = OscServer("127.0.0.1", 0, lambda *packet: self.packets.put(packet))
        self.door = OscDoor(self.server, Clients(), self.handle)
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.server.start()
        self.thread.start()
        return self.server

    def __exit__(self, *_):
        self.packets.put(None)
        self.thread.join()
        self.server.stop()

    def run(self):
        while (packet := self.packets.get()) is not None:
            self.door.receive(*packet)

    def handle(self, command, client_id, when):
        match command:
            case c.Ping(n):
                self.door.reply(client_id, Pong(n, when))
            case c.Sync(n):
                self.door.reply(client_id, Synced(n))
            case c.Get(name) | c.Listen(name):
                self.door.reply(client_id, Value(name, 96.0))
            case c.Ask(req=req):
                self.door.reply(client_id, Accepted(req, 1.0, 4))
                self.door.reply(client_id, ClipOpen(req, 1, "bass", 4, 2))
                self.door.reply(client_id, ClipClose(req, 1, 0))
                self.door.reply(client_id, Done(req))
            case c.Panic():
                self.door.reply(client_id, Done(command.address))
                self.door.broadcast(Done(command.address), besides=client_id)
            case _:
                raise SidemanError(Code.BUSY, "not here")


@pytest.fixture
def echo():
    with Echo() as server:
        yield server


@pytest.mark.parametrize("over_tcp", [False, True], ids=["udp", "tcp"])
def test_a_client_and_a_door(echo, over_tcp):
    with OscClient(echo.host, echo.port, tcp=over_tcp) as client:
        assert client.hello("test") == 1
        client.send("/sideman/ping", 1)
        client.send("/sideman/ping", 2)
        assert isinstance(client.ask("/sideman/get", "tempo"), Value)
        assert [client.receive().args[0] for _ in range(2)] == [1, 2]
        client.sync(3)
        replies = client.request("continue", "bass", Keys(bars=2))
        assert [type(reply) for reply in replies] == [Accepted, ClipOpen, ClipClose, Done]
        with pytest.raises(SidemanError, match="not here"):
            client.ask("/sideman/keep", 1)
        client.send_bundle(time.time(), [("/sideman/ping", 4), ("/sideman/ping", 5)])
        assert [client.wait_for("/sideman/pong").args[0] for _ in range(2)] == [4, 5]
        with pytest.raises(TimeoutError, match="/sideman/late"):
            client.wait_for("/sideman/late", timeout=0.01)


def test_two_clients_do_not_hear_each_other(echo):
    with OscClient(echo.host, echo.port) as a, OscClient(echo.host, echo.port, tcp=True) as b:
        a.ask("/sideman/notify", 1)
        b.ask("/sideman/get", "tempo")
        b.ask("/sideman/panic")
        assert a.receive().args == ("/sideman/panic",)
        a.sync()
        b.sync()
        assert not a.inbox
        assert not b.inbox


def test_the_return_port_gets_a_copy(echo):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
        back.bind(("127.0.0.1", 0))
        back.settimeout(5)
        with OscClient(echo.host, echo.port) as client:
            client.hello("Max", return_port=back.getsockname()[1])
            client.ask("/sideman/ping", 9)
        assert b"/sideman/hello" in back.recv(2000)
        assert back.recv(2000).startswith(b"/sideman/pong")


def test_listen_prints_what_happens(echo):
    lines = queue.SimpleQueue()
    done = threading.Thread(
        target=listen, args=(echo.host, echo.port, lines.put), kwargs={"seconds": 0.5}
    )
    done.start()
    with OscClient(echo.host, echo.port) as client:
        while done.is_alive() and lines.empty():
            client.ask("/sideman/panic")
    done.join()
    assert lines.get(timeout=1).endswith('/sideman/done "/sideman/panic"')


def test_nobody_there():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    for over_tcp in (False, True):
        with pytest.raises(SidemanError, match="no engine answers"):  # noqa: SIM117
            with OscClient("127.0.0.1", port, tcp=over_tcp) as client:
                client.hello("test")
    with pytest.raises(SidemanError, match="no engine answers"):
        listen("127.0.0.1", port, print)


def test_bursts_from_eight_clients_are_received_whole_and_in_order(server, ears):
    clients, bursts, each = 8, 20, 25
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(clients)]
    heard = {}
    for burst in range(bursts):
        for i in range(burst * each, (burst + 1) * each):
            for sock in socks:
                sock.sendto(struct.pack(">i", i), (server.host, server.port))
        for _ in range(clients * each):
            packet, endpoint, _ = ears.next()
            heard.setdefault(endpoint, []).append(struct.unpack(">i", packet)[0])
    for sock in socks:
        sock.close()
    assert list(heard.values()) == [list(range(bursts * each))] * clients
