"""OSC packets, both ways, and nothing but ``SidemanError`` for bytes that are none.

Messages are parsed and built by python-osc. Bundles are walked here: python-osc loops for ever on a
bundle element of negative size, and rounds time tags to microseconds on the way.
Format: OpenSoundControl specification 1.0.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from pythonosc.osc_message import OscMessage, ParseError
from pythonosc.osc_message_builder import OscMessageBuilder

from engine.errors import Code, SidemanError
from engine.messages import Fail, Reply, Scalar
from engine.messages.replies import CapabilitiesReply

IMMEDIATELY: Final = 1
"""The time tag that means at once."""

MOST_BYTES: Final = 1400
"""A datagram that the engine sends stays under this many bytes."""

_BUNDLE: Final = b"#bundle\x00"
_DEEPEST: Final = 16
_PART_BYTES: Final = 1300
_TEXT_BYTES: Final = 900
_ADDRESS_BYTES: Final = 200


class Received(NamedTuple):
    """One message out of a packet; ``time_tag`` is its bundle's, NTP 32.32, None without one."""

    time_tag: int | None
    address: str
    args: tuple[Scalar, ...]


def decode(packet: bytes) -> list[Received]:
    """All messages of a packet, in order; those of a nested bundle carry the later time tag.

    Raises :class:`SidemanError` with ``bad-arguments`` where any part of it is malformed.
    """
    if packet.startswith(b"/"):
        return [_message(packet, None)]
    if packet.startswith(_BUNDLE):
        messages: list[Received] = []
        _walk(packet, IMMEDIATELY, 0, messages)
        return messages
    raise _malformed("it begins with neither / nor #bundle")


def _walk(bundle: bytes, outer: int, depth: int, into: list[Received]) -> None:
    if depth == _DEEPEST:
        raise _malformed(f"bundles are nested more than {_DEEPEST} deep")
    if len(bundle) < 16:
        raise _malformed("a bundle ends before its time tag")
    (tag,) = struct.unpack_from(">Q", bundle, 8)
    tag = max(tag, outer)
    at = 16
    while at < len(bundle):
        if at + 4 > len(bundle):
            raise _malformed("a bundle ends within an element's size")
        (size,) = struct.unpack_from(">i", bundle, at)
        at += 4
        element = bundle[at : at + max(size, 0)]
        if size <= 0 or len(element) < size:
            raise _malformed(f"a bundle element of {size} bytes does not fit")
        at += size
        if element.startswith(_BUNDLE):
            _walk(element, tag, depth + 1, into)
        elif element.startswith(b"/"):
            into.append(_message(element, tag))
        else:
            raise _malformed("a bundle element is neither a message nor a bundle")


def _message(packet: bytes, time_tag: int | None) -> Received:
    tags = _type_tags(packet)
    if wrong := tags.strip(b"ifs"):
        kind = chr(wrong[0]) if 32 < wrong[0] < 127 else hex(wrong[0])
        raise _malformed(f"arguments are of the types i, f and s, not {kind}")
    try:
        message = OscMessage(packet)
    except (ParseError, ValueError, IndexError, struct.error):
        raise _malformed("its arguments do not match its type tags") from None
    args: list[Any] = message.params
    # python-osc reads a float that is cut off as if zeros followed.
    size = _padded(len(message.address.encode())) + (_padded(len(tags) + 1) if tags else 0)
    size += sum(_padded(len(a.encode())) if isinstance(a, str) else 4 for a in args)
    if size > len(packet):
        raise _malformed("it ends within its arguments")
    return Received(time_tag, message.address, tuple(args))


def _type_tags(packet: bytes) -> bytes:
    """The letters after the comma; none where a message has no type tags at all."""
    start = _padded(packet.find(0))
    if start == 0:
        raise _malformed("its address does not end")
    if start >= len(packet):
        return b""
    end = packet.find(0, start)
    if packet[start] != ord(",") or end < 0:
        raise _malformed("it has no type tags")
    return packet[start + 1 : end]


def _padded(length: int) -> int:
    """Bytes that a string of ``length`` takes on the wire: it ends in one to four zeros."""
    return length + 4 - length % 4 if length >= 0 else 0


def _malformed(what: str) -> SidemanError:
    return SidemanError(Code.BAD_ARGUMENTS, f"not an OSC packet: {what}")


def encode(address: str, args: Sequence[Scalar] = ()) -> bytes:
    """One message. Raises :class:`ValueError` where a number has no place in 32 bits."""
    builder = OscMessageBuilder(address)
    for value in args:
        if isinstance(value, str):
            # Neither zeros nor the lone surrogates of odd file names can travel.
            text = value.replace("\0", "").encode(errors="replace").decode()
            builder.add_arg(text, "s")
        elif isinstance(value, float):
            builder.add_arg(value, "f")
        else:
            builder.add_arg(int(value), "i")
    try:
        data: bytes = builder.build().dgram
    except Exception as error:
        raise ValueError(f"{address} {args!r} has no place in OSC: {error}") from error
    return data


def encode_bundle(time_tag: int, packets: Iterable[bytes]) -> bytes:
    """A bundle of messages and bundles that take effect at ``time_tag`` (NTP 32.32)."""
    elements = b"".join(struct.pack(">i", len(packet)) + packet for packet in packets)
    return _BUNDLE + struct.pack(">Q", time_tag) + elements


def encode_reply(reply: Reply) -> bytes:
    """A reply as a datagram; an error's texts are cut where it would grow too long."""
    if isinstance(reply, Fail):
        text, sent_to = _cut(reply.text, _TEXT_BYTES), _cut(reply.sent_to, _ADDRESS_BYTES)
        reply = Fail(reply.req, reply.code, text, sent_to)
    return encode(reply.address, reply.args())


def capability_parts(capabilities: dict[str, Any]) -> list[CapabilitiesReply]:
    """The capabilities as JSON, in parts that fit a datagram each, counted from 1."""
    text = json.dumps(capabilities, separators=(",", ":"))  # ASCII: a character is a byte
    pieces = [text[i : i + _PART_BYTES] for i in range(0, len(text), _PART_BYTES)]
    return [CapabilitiesReply(n, len(pieces), piece) for n, piece in enumerate(pieces, 1)]


def _cut(text: str, most_bytes: int) -> str:
    return text.encode(errors="replace")[:most_bytes].decode(errors="ignore")
