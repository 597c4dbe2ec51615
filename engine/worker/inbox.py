"""What the engine says to a process of its own, read on a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Generic, TypeVar

from msgspec import DecodeError

from engine.worker.wire import read_frame

Heard = TypeVar("Heard")
"""What the process hears."""


class Inbox(Generic[Heard]):
    """Messages from the line, each read by ``decode``. ``closed`` once the engine has gone."""

    def __init__(self, stream: BinaryIO, decode: Callable[[bytes], Heard]) -> None:
        self._stream = stream
        self._decode = decode
        self._messages: deque[Heard] = deque()
        self._arrived = threading.Event()
        self.closed = False
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def _read(self) -> None:
        with suppress(DecodeError):  # a line that says what can't be understood is broken
            while (body := read_frame(self._stream)) is not None:
                self._messages.append(self._decode(body))
                self._arrived.set()
        self.close()

    def close(self) -> None:
        """Take nothing more."""
        self.closed = True
        self._arrived.set()

    def push(self, message: Heard) -> None:
        """Something that goes before all that waits. On any thread."""
        self._messages.appendleft(message)
        self._arrived.set()

    def take(self) -> Heard | None:
        """The next message, if one has come."""
        return self._messages.popleft() if self._messages else None

    def wait(self, seconds: float | None = None) -> None:
        """Sleep until something has arrived, at most for so long."""
        self._arrived.wait(seconds)
        self._arrived.clear()
