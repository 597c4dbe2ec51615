"""OSC by hand, after the OpenSoundControl 1.0 specification.

None of the engine's own code is used here, so that a mistake in its codec cannot hide in its own
client.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import NamedTuple

Scalar = int | float | str

UNIX_TO_NTP = 2_208_988_800
"""Seconds from 1900 to 1970."""


class Message(NamedTuple):
    """One message that came, when (monotonic seconds), and in a datagram of how many bytes."""

    address: str
    args: tuple[Scalar, ...]
    at: float = 0.0
    size: int = 0


def text(value: str) -> bytes:
    """A string with one to four zeros behind it, up to a multiple of four bytes."""
    data = value.encode()
    return data + b"\0" * (4 - len(data) % 4)


def pack(address: str, *args: Scalar) -> bytes:
    """A message of ints, floats and strings."""
    tags, data = ",", b""
    for value in args:
        if isinstance(value, str):
            tags, data = tags + "s", data + text(value)
        elif isinstance(value, float):
            tags, data = tags + "f", data + struct.pack(">f", value)
        else:
            tags, data = tags + "i", data + struct.pack(">i", value)
    return text(address) + text(tags) + data


def unpack(packet: bytes, at: float = 0.0) -> Message:
    """The one message of a packet; fails on anything that the specification does not allow."""
    assert len(packet) % 4 == 0, f"{len(packet)} bytes are no OSC packet"
    address, rest = _text(packet)
    tags, rest = _text(rest)
    assert address.startswith("/") and tags.startswith(","), packet
    args: list[Scalar] = []
    for tag in tags[1:]:
        if tag == "s":
            value, rest = _text(rest)
            args.append(value)
        else:
            assert tag in "if", f"the contract knows i, f and s only, not {tag}"
            args.append(struct.unpack_from(f">{tag}", rest)[0])
            rest = rest[4:]
    assert rest == b"", f"{len(rest)} bytes too many"
    return Message(address, tuple(args), at, len(packet))


def _text(data: bytes) -> tuple[str, bytes]:
    end = data.index(b"\0")
    padded = end + 4 - end % 4
    assert data[end:padded].strip(b"\0") == b""
    return data[:end].decode(), data[padded:]


def bundle(tag: int, *packets: bytes) -> bytes:
    """Messages that take effect together, at an NTP time tag (1 is at once)."""
    elements = b"".join(struct.pack(">i", len(packet)) + packet for packet in packets)
    return b"#bundle\0" + struct.pack(">Q", tag) + elements


def tag_in(seconds: float) -> int:
    """The NTP time tag of a moment that lies so many seconds ahead."""
    return round((time.time() + seconds + UNIX_TO_NTP) * 2**32)


class Wire:
    """A socket to an engine: by UDP a packet is a datagram, by TCP it has its length before it."""

    def __init__(self, host: str, port: int, *, tcp: bool = False) -> None:
        self.tcp = tcp
        kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 2**20)
        self._socket.connect((host, port))
        self._stream = b""

    @property
    def port(self) -> int:
        """The port of this end."""
        port: int = self._socket.getsockname()[1]
        return port

    def write(self, packet: bytes) -> None:
        """Send one packet."""
        self._socket.sendall(struct.pack(">i", len(packet)) + packet if self.tcp else packet)

    def read(self, patience: float) -> list[Message]:
        """What comes next; nothing where that takes longer than ``patience`` seconds."""
        self._socket.settimeout(max(patience, 1e-4))
        try:
            data = self._socket.recv(2**16)
        except (TimeoutError, BlockingIOError):
            return []
        at = time.monotonic()
        if not self.tcp:
            return [unpack(data, at)]
        assert data, "the engine closed the connection"
        self._stream += data
        messages = []
        while len(self._stream) >= 4:
            (size,) = struct.unpack_from(">i", self._stream)
            if len(self._stream) < 4 + size:
                break
            messages.append(unpack(self._stream[4 : 4 + size], at))
            self._stream = self._stream[4 + size :]
        return messages

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
