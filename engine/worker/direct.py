"""A worker without a process: the same messages, handled when :meth:`DirectLine.pump` is called.

For offline use, where nothing is urgent, and for tests, where everything has to be repeatable.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from engine.worker import wire
from engine.worker.process import Worker


class AnyWorker(Protocol):
    """What a worker is, for the one who has it work."""

    def handle(self, message: Any) -> None:
        """Take in one message."""

    def work(self) -> bool:
        """Do the most urgent small thing. False where there is nothing to do."""
        ...


def notes(send: Callable[[wire.Message], None]) -> AnyWorker:
    """The worker that makes notes."""
    return Worker(send, patient=True)


def sound(send: Callable[[wire.Message], None]) -> AnyWorker:
    """The worker that makes sound; imported only where it is used."""
    from engine.worker.sound import SoundWorker

    return SoundWorker(send, patient=True)


class DirectLine:
    """Stands in for :class:`engine.worker.link.Line`. One thread only."""

    pid = os.getpid()

    def __init__(
        self, worker: Callable[[Callable[[wire.Message], None]], AnyWorker] = notes
    ) -> None:
        self._said: deque[wire.FromWorker] = deque()
        self._worker = worker(self._hear)
        self.alive = True

    def _hear(self, message: wire.Message) -> None:
        self._said.append(wire.from_worker(wire.frame(message)[4:]))

    def send(self, message: wire.Message) -> None:
        """Handle a message at once."""
        if self.alive:
            self._worker.handle(wire.for_worker(wire.frame(message)[4:]))

    def pump(self) -> wire.FromWorker | None:
        """Work until there is something to be said, and say it; None once all is done."""
        while not self._said and self.alive and self._worker.work():
            pass
        return self._said.popleft() if self._said else None

    def kill(self) -> None:
        """Say nothing any more."""
        self.alive = False
        self._said.clear()

    def close(self, timeout: float = 1.0) -> None:
        """End."""
        self.kill()
