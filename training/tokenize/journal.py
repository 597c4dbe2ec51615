"""Results as they come, kept in one growing file that survives any end of the process.

The file begins with a line of settings; each record is a head, with a checksum of it and of what
follows, and the tokens or the reason. Opening cuts off a record that was not written whole.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from training.tokenize.encode import Encoded, Result, Unusable

FORMAT = 1
_HEAD = struct.Struct("<32s32sIIIB3x")
"""Key, tune, notes, bytes that follow, their checksum with the rest of the head, kind."""

_ENCODED, _UNUSABLE = 1, 2


class Journal:
    """Results by the SHA-256 of the file that they come from. Tokens stay on disk until asked."""

    def __init__(self, path: Path, settings: dict[str, object]) -> None:
        """Opens what is at ``path``; begins anew where that was made with other settings."""
        self._path = path
        self._places: dict[bytes, int] = {}
        first = (json.dumps({"format": FORMAT, **settings}, sort_keys=True) + "\n").encode()
        if not path.exists() or not self._read(first):
            path.write_bytes(first)
        self._file: BinaryIO = path.open("r+b")
        self._file.seek(0, os.SEEK_END)

    def _read(self, first: bytes) -> bool:
        """Find all whole records and cut off the rest; False for a file of other settings."""
        with self._path.open("r+b") as file:
            if file.readline() != first:
                return False
            end = len(first)
            while record := _record(file):
                self._places[record[0]] = end
                end = file.tell()
            file.truncate(end)
        return True

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: bytes) -> Result:
        """The result for a file, read from disk."""
        self._file.seek(self._places[key])
        record = _record(self._file)
        if record is None:
            raise OSError(f"{self._path} has changed since it was read")
        return record[1]

    def add(self, key: bytes, result: Result) -> None:
        """Keep the result for the file whose SHA-256 is ``key``; it is on its way to disk when
        this returns. Raises OSError where the disk is full."""
        if isinstance(result, Encoded):
            kind, tune, notes, body = _ENCODED, result.tune, result.notes, result.tokens.tobytes()
        else:
            kind, tune, notes, body = _UNUSABLE, bytes(32), 0, result.reason.encode()
        bare = _HEAD.pack(key, tune, notes, len(body), 0, kind)
        head = _HEAD.pack(key, tune, notes, len(body), zlib.crc32(body, zlib.crc32(bare)), kind)
        place = self._file.seek(0, os.SEEK_END)
        self._file.write(head + body)
        self._file.flush()
        self._places[key] = place

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _record(file: BinaryIO) -> tuple[bytes, Result] | None:
    """The next record; None at the end, or where the rest is no whole record."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    key, tune, notes, length, checksum, kind = _HEAD.unpack(head)
    body = file.read(length)
    bare = _HEAD.pack(key, tune, notes, length, 0, kind)
    if len(body) < length or zlib.crc32(body, zlib.crc32(bare)) != checksum:
        return None
    if kind == _UNUSABLE:
        return key, Unusable(body.decode())
    return key, Encoded(np.frombuffer(body, dtype=np.uint16), notes, tune)
