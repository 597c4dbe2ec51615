"""A small blocking client: what the tests, the demo and ``sideman doctor`` talk with."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bridge.osc.bundles import time_tag
from bridge.osc.codec import Received, decode, encode, encode_bundle
from engine.errors import Code, SidemanError
from engine.messages import PROTO, Fail, Keys, Reply, Scalar, TrackRef, Verb, parse_reply
from engine.messages.replies import Done

_RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024


class OscClient:
    """Speaks to one engine by UDP, or by TCP with ``tcp``; use it in a ``with`` block.

    ``timeout`` is in seconds, for each wait that names none. Messages that a wait passes over stay
    in the inbox for later ones. One thread only.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 9700,
        *,
        tcp: bool = False,
        timeout: float = 5.0,
    ) -> None:
        self.timeout = timeout
        self.inbox: deque[Received] = deque()
        self._tcp = tcp
        self._numbers = itertools.count(1)
        self._partial = bytearray()
        kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
        self._socket = socket.socket(socket.AF_INET, kind)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            self._socket.settimeout(timeout)
            self._socket.connect((host, port))
        except OSError as error:
            self._socket.close()
            raise nobody(host, port) from error
        self.host, self.port = self._socket.getpeername()

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def __enter__(self) -> OscClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Out

    def send(self, address: str, *args: Scalar) -> None:
        """Sends one message."""
        self.send_packet(encode(address, args))

    def send_bundle(self, wall_seconds: float, messages: Iterable[Sequence[Scalar]]) -> None:
        """Sends messages ``(address, arg …)`` that take effect at a moment on the wall clock."""
        packets = [encode(str(address), args) for address, *args in messages]
        self.send_packet(encode_bundle(time_tag(wall_seconds), packets))

    def send_packet(self, packet: bytes) -> None:
        """Sends bytes as they are."""
        if self._tcp:
            self._socket.sendall(struct.pack(">i", len(packet)) + packet)
            return
        with contextlib.suppress(ConnectionRefusedError):  # an earlier packet found nobody
            self._socket.send(packet)

    # In

    def receive(self, timeout: float | None = None) -> Received:
        """The next message. Raises :class:`TimeoutError` if none comes in ``timeout`` seconds."""
        return self.wait_until(lambda _: True, "a message", timeout)

    def wait_for(self, *addresses: str, timeout: float | None = None) -> Received:
        """The first message to one of ``addresses``; others stay in the inbox.

        Raises :class:`TimeoutError` if none comes in ``timeout`` seconds.
        """
        wanted = " or ".join(addresses)
        return self.wait_until(lambda message: message.address in addresses, wanted, timeout)

    def wait_until(
        self, fits: Callable[[Received], bool], wanted: str, timeout: float | None = None
    ) -> Received:
        """The first message that ``fits``; others stay in the inbox.

        Raises :class:`TimeoutError`, which names what was ``wanted``, if none comes in ``timeout``
        seconds.
        """
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        seen = 0
        while True:
            for i in range(seen, len(self.inbox)):
                if fits(self.inbox[i]):
                    found = self.inbox[i]
                    del self.inbox[i]
                    return found
            seen = len(self.inbox)
            self._fill(deadline, wanted)

    def ask(self, address: str, *args: Scalar, timeout: float | None = None) -> Reply:
        """Sends a command that has one answer, and waits for it.

        Raises :class:`SidemanError` where the engine refused, :class:`TimeoutError` where it is
        silent.
        """
        answer = _ANSWERS.get(address, "/sideman/done")

        def fits(message: Received) -> bool:
            if message.address == "/sideman/fail":
                return message.args[-1] == address
            ours = message.address != "/sideman/done" or message.args[0] == address
            return message.address == answer and ours

        self.send(address, *args)
        message = self.wait_until(fits, f"the answer to {address}", timeout)
        reply = parse_reply(message.address, message.args)
        if isinstance(reply, Fail):
            raise SidemanError(Code(reply.code), reply.text)
        return reply

    def hello(self, name: str, *, return_port: int = 0, token: str = "") -> int:
        """Says hello; the number that the engine knows this client by."""
        reply = self.ask("/sideman/hello", PROTO, name, return_port, token)
        assert isinstance(reply, Done)
        return int(reply.values[0])

    def sync(self, n: int = 0) -> None:
        """Waits until all that was sent before has taken effect."""
        self.ask("/sideman/sync", n)

    def request(
        self,
        verb: Verb,
        track: TrackRef,
        keys: Keys | None = None,
        *,
        req: int | None = None,
        timeout: float | None = None,
    ) -> list[Reply]:
        """Asks for music and collects all that comes back, up to its ``done`` or ``fail``.

        ``timeout`` is for the whole. Raises :class:`TimeoutError`.
        """
        number = next(self._numbers) if req is None else req
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)

        def fits(message: Received) -> bool:
            return message.address in _OF_REQUESTS and message.args[0] == number

        self.send(f"/sideman/{verb}", number, track, *(keys or Keys()).args())
        replies: list[Reply] = []
        while not replies or not isinstance(replies[-1], Done | Fail):
            left = deadline - time.monotonic()
            message = self.wait_until(fits, f"the end of request {number}", left)
            replies.append(parse_reply(message.address, message.args))
        return replies

    def _fill(self, deadline: float, wanted: str) -> None:
        """Waits for one packet and puts its messages into the inbox."""
        left = deadline - time.monotonic()
        before = len(self.inbox)
        while len(self.inbox) == before:
            if left <= 0:
                raise TimeoutError(f"{wanted} did not come from {self.host}:{self.port}")
            self._socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                for packet in self._packets():
                    self.inbox.extend(decode(packet))
            left = deadline - time.monotonic()

    def _packets(self) -> list[bytes]:
        try:
            data = self._socket.recv(65_536)
        except ConnectionRefusedError:
            raise nobody(self.host, self.port) from None
        if not self._tcp:
            return [data]
        if not data:
            raise ConnectionResetError("the engine closed the connection")
        self._partial += data
        packets = []
        while len(self._partial) >= 4:
            (size,) = struct.unpack_from(">i", self._partial)
            if len(self._partial) < 4 + size:
                break
            packets.append(bytes(self._partial[4 : 4 + size]))
            del self._partial[: 4 + size]
        return packets


_ANSWERS: Final = {
    "/sideman/ping": "/sideman/pong",
    "/sideman/version": "/sideman/version.reply",
    "/sideman/status": "/sideman/status.reply",
    "/sideman/sync": "/sideman/synced",
    "/sideman/get": "/sideman/value",
    "/sideman/set": "/sideman/value",
    "/sideman/listen": "/sideman/value",
}
"""Where a command is answered, other than by done."""

_OF_REQUESTS: Final = (
    "/sideman/accepted", "/sideman/late", "/sideman/clip/open", "/sideman/clip/note",
    "/sideman/clip/audio", "/sideman/clip/close", "/sideman/done", "/sideman/fail",
)  # fmt: skip


def nobody(host: str, port: int) -> SidemanError:
    """The error of a client that finds no engine."""
    return SidemanError(
        Code.UNKNOWN_ADDRESS,
        f"no engine answers at {host}:{port}; start one by `sideman serve`, or name its address",
    )
