"""What the loop that sends did before each note: where a late one came from.

Only written where it is asked for. Times are seconds of ``time.monotonic``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

SCHEDSTAT = "/proc/thread-self/schedstat"
"""What Linux says of a thread: nanoseconds on a processor, and those that it waited for one."""


class Sent(NamedTuple):
    """A note on that went out, and what the loop did since it last slept."""

    deadline: float
    at: float
    """When the call that sends it had returned."""
    woken: float
    """How much later than asked it woke."""
    waited: float
    """What of that it was awake for, and had no processor; nothing where the system can't say."""
    obeyed: float
    """How long it did what the engine told it."""


class Traced(NamedTuple):
    """Everything that was traced."""

    notes: list[Sent]
    looks: list[tuple[float, float]]
    """When ports were looked for, opened or closed: begin and end."""


class Trace:
    """Takes it down. The sending thread's, but for :meth:`looked`."""

    def __init__(self) -> None:
        self._traced = Traced([], [])
        self._woken = self._waited = self._obeyed = 0.0
        self._queued = 0.0
        self._schedstat: int | None = None
        with suppress(OSError):
            self._schedstat = os.open(SCHEDSTAT, os.O_RDONLY)

    def sleeps(self) -> None:
        """The loop goes to sleep."""
        self._queued = self._in_queue()

    def woke(self, asked: float, now: float) -> None:
        """It asked to be woken at ``asked``, or by a message before."""
        self._woken = max(0.0, now - asked)
        self._waited = self._in_queue() - self._queued
        self._obeyed = 0.0

    def obeyed(self, seconds: float) -> None:
        """It did what the engine told it."""
        self._obeyed += seconds

    def sent(self, deadline: float, at: float) -> None:
        """A note on went out."""
        self._traced.notes.append(Sent(deadline, at, self._woken, self._waited, self._obeyed))

    def looked(self, begun: float, ended: float) -> None:
        """Another thread looked after the ports."""
        self._traced.looks.append((begun, ended))

    def _in_queue(self) -> float:
        """Seconds that this thread has waited for a processor."""
        if self._schedstat is None:
            return 0.0
        return int(os.pread(self._schedstat, 128, 0).split()[1]) * 1e-9

    def write(self, path: Path) -> None:
        """Leave it in a file, for :func:`read`."""
        path.write_bytes(msgspec.json.encode(self._traced))


def read(path: Path) -> Traced:
    """What a trace left."""
    return msgspec.json.decode(path.read_bytes(), type=Traced)
