"""The doors that the conductor needs: who gets replies, who keeps files, who makes music.

The bridge and the worker's supervisor stand behind them; tests put plain objects there. Whatever
is called here returns at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.messages.replies import Reply
from engine.messages.spec import Scalar
from engine.music import MeterMap
from engine.past import Past, Spot
from engine.takes import Take
from engine.timing import Course, Timed
from engine.worker.wire import ToWorker


class Outbox(Protocol):
    """Sends replies to clients."""

    def reply(self, client_id: int, reply: Reply) -> None:
        """To one client."""

    def broadcast(self, reply: Reply, besides: int | None = None) -> None:
        """To all that asked to be notified, but for the one that caused it."""

    def changed(self, name: str, value: Scalar | None) -> None:
        """A parameter's new value, to those that listen to it."""

    def flush(self) -> None:
        """Let whoever was sent something have it before more is sent."""

    def client_count(self) -> int:
        """How many clients are known."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some of a take of sound on its way to its file."""

    at: int
    """The sample frame of the take that it begins at."""
    total: int
    """Sample frames of the whole take."""
    rate: int
    channels: int
    data: bytes
    """float32, little-endian, channels by turns."""


class Store(Protocol):
    """Keeps the session on disk, in order, on a thread of its own.

    ``then`` is called on the conductor's thread once it is written, with the error in one line
    where it could not be.
    """

    def save(
        self, take: Take, meters: MeterMap, bpm: float, then: Callable[[str | None], None]
    ) -> None:
        """Write a closed take's files."""

    def path(self, take: Take) -> str:
        """Where a take of sound lies, or will."""
        ...

    def sound(self, take: Take, chunk: Chunk, then: Callable[[str | None], None]) -> None:
        """Write a chunk of a take's sound. From the first one on the file is as long as it is
        going to be, silent where nothing was made yet."""

    def drop(self, take: Take) -> None:
        """Remove the file of a take of sound that nothing came of."""

    def write(
        self, event: dict[str, Any], then: Callable[[str | None], None] | None = None
    ) -> None:
        """Append a line to the journal. The event belongs to the store from now on."""

    def write_all(self, events: Sequence[dict[str, Any]]) -> None:
        """Append many lines, at the cost of one."""


class Loader(Protocol):
    """Reads files that become a track's past."""

    def load(self, path: str, spot: Spot, then: Callable[[Past | Exception], None]) -> None:
        """Read the file and lay it out for ``spot``; call ``then`` on the conductor's thread.

        Raises ``not-allowed`` at once for a path outside the allowed folders.
        """


class Player(Protocol):
    """Plays notes by MIDI when the song reaches them, and ends each of them."""

    def follow(self, course: Course) -> None:
        """The song's course from now on."""

    def play(
        self, track: int, notes: Sequence[Timed], late_seconds: float | None = None
    ) -> None:
        """Play these notes of a track at their moment, or at most so long afterwards."""

    def cut(self, track: int, start: int, end: int | None, *, sounding: bool) -> None:
        """Take back what was to begin from ``start`` up to ``end`` absolute ticks, and end what
        sounds of the track if ``sounding``."""

    def silence(self) -> None:
        """Every note off, everywhere, at once; nothing that was promised is played."""


class Maker(Protocol):
    """The worker, whichever process that is at the moment."""

    @property
    def ready(self) -> bool:
        """Whether a model is loaded and listening."""
        ...

    @property
    def step_seconds(self) -> float:
        """Measured time of one decoding step."""
        ...

    @property
    def wait_seconds(self) -> float:
        """How long it will take until it is ready, as far as is known; 0 when it is."""
        ...

    def send(self, message: ToWorker) -> None:
        """To the worker, if it listens."""
