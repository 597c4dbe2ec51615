"""One request from its acceptance to its last word."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from engine.brief import Brief, Place
from engine.lateness import Loop
from engine.messages.commands import Ask
from engine.messages.replies import Accepted
from engine.takes import Take
from engine.worker.wire import NoteRow, Wish


@dataclass(slots=True, kw_only=True)
class Asked(ABC):
    """What is known of a request of any kind while it lives."""

    job: int
    """Its number on the worker's line."""
    client: int
    ask: Ask
    takes: list[Take] = field(default_factory=list)
    asked_at: float
    due: float | None
    """When its first bar line is, in seconds; None where no bar line waits for it."""
    accepted: Accepted
    opened: bool = False
    started: bool = False
    made: bool = False
    saved: set[int] = field(default_factory=set)
    late_bars: set[int] = field(default_factory=set)
    given: bool = False
    """Whether a worker was told of it."""
    remade: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """What makes two messages the same request."""
        return (self.client, self.ask.req)

    @property
    def req(self) -> int:
        """The client's own number of it."""
        return self.ask.req

    @property
    @abstractmethod
    def awaited(self) -> float | None:
        """When the first of it has to be there; None where it is, or nothing waits for it."""


@dataclass(slots=True, kw_only=True)
class Request(Asked):
    """A request for notes."""

    brief: Brief
    place: Place
    wish: Wish
    loop: Loop | None = None
    """What its takes begin with, before the new music enters, where a bar line was missed."""
    from_tick: int = 0
    """Notes before this tick of the first bar come too late to be played (rule ``shorten``)."""
    sent: list[list[NoteRow]] = field(default_factory=list)
    """What the worker has sent of each variation."""
    again: list[int] = field(default_factory=list)
    """How much of it has come once more, where a take is being made again."""
    complete: set[int] = field(default_factory=set)
    first_note_ms: float | None = None

    @property
    def awaited(self) -> float | None:
        """When its first note has to be there; None where it is, or nothing waits for it.

        A loop goes on until then.
        """
        begun = any(self.sent) or self.complete or (self.opened and self.loop is None)
        return None if begun else self.due

    def first_bar(self) -> int:
        """The bar where the music that is being made begins."""
        return self.place.target.bar
