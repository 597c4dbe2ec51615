"""The sockets: UDP, and TCP with length-prefixed packets, on one port number.

One thread receives, and does nothing else: a packet goes to ``deliver`` with its arrival time. Any
thread may call :meth:`OscServer.send`, which never waits. What could not be sent is counted.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import psutil

from bridge.osc.clients import Endpoint
from engine.errors import Code, SidemanError

Deliver = Callable[[bytes, Endpoint, float], None]
"""Takes a packet, where it came from, and the monotonic time of its arrival.

Called in the receiving thread, so it may only hand on. An empty packet from a TCP endpoint says
that the connection is closed.
"""

MOST_PACKET_BYTES: Final = 65_536
MOST_CONNECTIONS: Final = 64
MOST_UNSENT_BYTES: Final = 4 * 1024 * 1024
"""A TCP peer that lets this much pile up is dropped."""

_RECEIVE_BUFFER_BYTES: Final = 8 * 1024 * 1024
_SO_RCVBUFFORCE: Final = 33  # Linux; Python has no name for it
_UDP_IN_A_ROW: Final = 256
_TRIES: Final = 50


class _Connection:
    """One TCP peer. ``outgoing`` is touched under ``lock``; all else in the receiving thread."""

    def __init__(self, sock: socket.socket, endpoint: Endpoint) -> None:
        self.sock = sock
        self.endpoint = endpoint
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.lock = threading.Lock()
        self.broken = False

    def packets(self) -> list[bytes]:
        """Takes whole packets out of what came in. Raises :class:`ValueError` on a wrong length."""
        found = []
        while len(self.incoming) >= 4:
            (size,) = struct.unpack_from(">i", self.incoming)
            if not 0 < size <= MOST_PACKET_BYTES:
                raise ValueError(f"a packet of {size} bytes")
            if len(self.incoming) < 4 + size:
                break
            found.append(bytes(self.incoming[4 : 4 + size]))
            del self.incoming[: 4 + size]
        return found

    def put(self, packet: bytes) -> bool:
        """Sends what the socket takes at once and keeps the rest; False if the peer is too slow."""
        with self.lock:
            if self.broken or len(self.outgoing) > MOST_UNSENT_BYTES:
                self.broken = True
                return False
            self.outgoing += struct.pack(">i", len(packet)) + packet
            self._flush()
            return not self.broken

    def flush(self) -> bool:
        """Sends what is left, as far as the socket takes it; False if the peer is gone."""
        with self.lock:
            self._flush()
            return not self.broken

    def _flush(self) -> None:
        try:
            while self.outgoing:
                del self.outgoing[: self.sock.send(self.outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self.broken = True


class OscServer:
    """Binds at once, receives from :meth:`start` to :meth:`stop`.

    ``port`` 0 takes a free one, the same for UDP and TCP; :attr:`port` says which. Raises
    :class:`SidemanError` with ``busy`` where the port is taken.
    """

    def __init__(self, host: str, port: int, deliver: Deliver) -> None:
        self._deliver = deliver
        self._udp, self._listener = _bind(host, port)
        self.host: str = self._udp.getsockname()[0]
        self.port: int = self._udp.getsockname()[1]
        self.received = 0
        self.unsent = 0
        self._connections: dict[Endpoint, _Connection] = {}
        self._running = False
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._selector = selectors.DefaultSelector()
        for sock in (self._udp, self._listener, self._ear):
            self._selector.register(sock, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="osc-receive", daemon=True)

    def start(self) -> None:
        """Begins to receive."""
        self._running = True
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes every socket; no ``deliver`` is called after it."""
        if self._running:
            self._running = False
            self._ring()
            self._thread.join()
        for connection in list(self._connections.values()):
            connection.flush()
            connection.sock.close()
        self._connections.clear()
        self._selector.close()
        for sock in (self._udp, self._listener, self._bell, self._ear):
            sock.close()

    def __enter__(self) -> OscServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def send(self, endpoint: Endpoint, packet: bytes) -> bool:
        """Sends a packet without waiting; False, and :attr:`unsent` grows, where that failed."""
        sent = False
        if endpoint.protocol == "udp":
            with contextlib.suppress(OSError):
                self._udp.sendto(packet, (endpoint.host, endpoint.port))
                sent = True
        elif (connection := self._connections.get(endpoint)) is not None:
            sent = connection.put(packet)
            if not sent or connection.outgoing:
                self._ring()
        self.unsent += not sent
        return sent

    def _ring(self) -> None:
        """Wakes the receiving thread. A bell that is full has been heard already."""
        with contextlib.suppress(OSError):
            self._bell.send(b"!")

    # From here on: the receiving thread.

    def _run(self) -> None:
        while self._running:
            for key, events in self._selector.select():
                if key.fileobj is self._udp:
                    self._receive_udp()
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._ear:
                    with contextlib.suppress(OSError):
                        self._ear.recv(4096)
                    self._look_after_writers()
                else:
                    self._serve(key.data, events)

    def _receive_udp(self) -> None:
        for _ in range(_UDP_IN_A_ROW):
            try:
                packet, (host, port) = self._udp.recvfrom(MOST_PACKET_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue  # Windows reports here that an earlier reply found nobody
            self.received += 1
            if packet:
                self._deliver(packet, Endpoint("udp", host, port), time.monotonic())

    def _accept(self) -> None:
        try:
            sock, (host, port) = self._listener.accept()
        except OSError:
            return
        if len(self._connections) >= MOST_CONNECTIONS:
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(sock, Endpoint("tcp", host, port))
        self._connections[connection.endpoint] = connection
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _serve(self, connection: _Connection, events: int) -> None:
        if self._connections.get(connection.endpoint) is not connection:
            return  # dropped a moment ago, in this same round
        if events & selectors.EVENT_WRITE:
            if not connection.flush():
                self._drop(connection)
                return
            if not connection.outgoing:
                self._selector.modify(connection.sock, selectors.EVENT_READ, connection)
        if events & selectors.EVENT_READ:
            self._read(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(MOST_PACKET_BYTES)
            if not data:
                raise ConnectionResetError
            connection.incoming += data
            packets = connection.packets()
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self._drop(connection)
            return
        now = time.monotonic()
        for packet in packets:
            self.received += 1
            self._deliver(packet, connection.endpoint, now)

    def _look_after_writers(self) -> None:
        for connection in list(self._connections.values()):
            if connection.broken:
                self._drop(connection)
            elif connection.outgoing:
                both = selectors.EVENT_READ | selectors.EVENT_WRITE
                self._selector.modify(connection.sock, both, connection)

    def _drop(self, connection: _Connection) -> None:
        with connection.lock:
            connection.broken = True
        del self._connections[connection.endpoint]
        self._selector.unregister(connection.sock)
        connection.sock.close()
        self._deliver(b"", connection.endpoint, time.monotonic())


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; on any other a token is wanted."""
    try:
        return ipaddress.ip_address(socket.gethostbyname(host)).is_loopback
    except (OSError, ValueError):
        return False


def _bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP socket and a listening TCP socket on the same port number."""
    tries = _TRIES if port == 0 else 1
    while True:
        tries -= 1
        try:
            udp, tcp = _pair(host, port)
        except (OSError, OverflowError) as error:
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            if taken and tries:
                continue
            raise _unbound(host, port, error, taken) from None
        udp.setblocking(False)
        tcp.setblocking(False)
        _widen(udp)
        return udp, tcp


def _pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    with contextlib.ExitStack() as cleanup:
        udp = cleanup.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        tcp = cleanup.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        if sys.platform == "win32":
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # What is left of closed connections does not hold the port of a new listener.
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind((host, port))
        tcp.bind((host, udp.getsockname()[1]))
        tcp.listen()
        cleanup.pop_all()
    return udp, tcp


def _widen(udp: socket.socket) -> None:
    """As large a receive buffer as the system gives: a burst waits there, it is not lost."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # needs CAP_NET_ADMIN
            udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
            return
    with contextlib.suppress(OSError):
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)


def _unbound(host: str, port: int, error: Exception, taken: bool) -> SidemanError:
    if taken:
        text = f"port {port} is taken by {_holder(port)}; stop it or choose another by --osc-port"
        return SidemanError(Code.BUSY, text)
    reason = error.strerror if isinstance(error, OSError) else error
    text = f"cannot listen on {host}:{port}: {reason}; choose another --osc-host or --osc-port"
    return SidemanError(Code.NOT_ALLOWED, text)


def _holder(port: int) -> str:
    """The program that holds a port, as far as the system tells."""
    with contextlib.suppress(psutil.Error, OSError):
        for entry in psutil.net_connections("inet4"):
            waits = entry.type == socket.SOCK_DGRAM or entry.status == psutil.CONN_LISTEN
            if waits and entry.laddr and entry.laddr.port == port and entry.pid:
                return f"{psutil.Process(entry.pid).name()} (process {entry.pid})"
    return "another program"
