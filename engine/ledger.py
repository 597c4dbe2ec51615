"""Requests that live and how they end: saved, closed, answered, or failed. For all kinds of music.

One thread only, the conductor's. A take is closed once it is on disk and the journal says where it
lies; a request is done once all its takes are closed.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from engine.brief import Place
from engine.delivery import Delivery
from engine.errors import Code, SidemanError
from engine.messages.replies import ClipClose, Done, Fail
from engine.music import Meter
from engine.ports import Maker, Outbox, Store
from engine.request import Asked
from engine.session import Session
from engine.takes import Take
from engine.timing import Clock
from engine.worker import wire

log = logging.getLogger(__name__)

DECIDE_AHEAD = 0.010
"""Seconds before a bar line at which it is settled that it will be missed."""

MOST_REQUESTS = 64
"""Requests that may be under way at once; one more is told `busy`."""

A = TypeVar("A", bound=Asked)


@dataclass(slots=True)
class Book:
    """What requests of all kinds share: their numbers, and who lives."""

    job: int = 0
    """The last number on a worker's line."""
    take: int = 0
    """The last take's number."""
    closed: int = 0
    """How many takes were closed."""
    living: dict[tuple[int, int], Asked] = field(default_factory=dict)
    """By client and the client's own number."""

    def known_take(self, number: int) -> None:
        """A take of that number exists already, from before a restart."""
        self.take = max(self.take, number)

    def next_take(self) -> int:
        """The number of a take that begins."""
        self.take += 1
        return self.take

    def next_job(self) -> int:
        """A number for a worker's line."""
        self.job += 1
        return self.job

    def check_room(self) -> None:
        """Raise ``busy`` where no further request is taken on."""
        if len(self.living) >= MOST_REQUESTS:
            raise SidemanError(
                Code.BUSY, f"{MOST_REQUESTS} requests are under way: wait, or cancel some"
            )


class Ledger(ABC, Generic[A]):
    """Requests of one kind, by their job."""

    def __init__(
        self,
        session: Session,
        clock: Clock,
        outbox: Outbox,
        store: Store,
        maker: Maker,
        delivery: Delivery,
        book: Book,
    ) -> None:
        self._session = session
        self._clock = clock
        self._outbox = outbox
        self._store = store
        self._maker = maker
        self.delivery = delivery
        self._book = book
        self._live: dict[int, A] = {}

    # What others want to know

    def __len__(self) -> int:
        return len(self._live)

    @property
    def queued(self) -> int:
        """How many wait."""
        return sum(not r.started for r in self._live.values())

    @property
    def generating(self) -> int:
        """How many are being made."""
        return sum(r.started for r in self._live.values())

    # In

    def _enter(self, request: A) -> None:
        self._live[request.job] = request
        self._book.living[request.key] = request

    def _note_down(self, request: A) -> None:
        """Put a request into the journal."""
        take = request.takes[0]
        self._store.write(
            {"event": "request", "client": request.client, "req": request.req,
             "verb": request.ask.verb, "track": take.track,
             "keys": _plain(request.ask.keys.given()), "seed": take.seed,
             "bar": take.bar, "bars": take.bars}
        )  # fmt: skip

    # Time

    @abstractmethod
    def _missed(self, request: A, now: float) -> None:
        """The bar line has come and nothing is there: do what the rule says."""

    def tick(self, now: float) -> None:
        """Look after bar lines that are about to be missed."""
        for request in list(self._live.values()):
            if request.awaited is not None and now >= request.awaited - DECIDE_AHEAD:
                if self._clock.playing:
                    self._missed(request, now)
                else:
                    request.due = None

    def next_moment(self) -> float | None:
        """When :meth:`tick` has something to do."""
        return min(
            (r.awaited - DECIDE_AHEAD for r in self._live.values() if r.awaited is not None),
            default=None,
        )

    def _meters(self, place: Place) -> list[Meter]:
        """Those of the bars of a take."""
        first = place.target.bar
        return [self._clock.meters.at(bar) for bar in range(first, first + place.bars)]

    # Ends

    @abstractmethod
    def _sent(self, request: A, take: Take) -> int:
        """How many notes or chunks of a take were sent."""

    def _saved(self, request: A, variation: int, error: str | None) -> None:
        """A take's files are written, or can't be."""
        if request.job not in self._live:
            return
        take = request.takes[variation]
        if error is not None:
            log.error("take %d could not be saved: %s", take.number, error)
        if variation == 0:
            self._session.place(take)
        else:
            self._session.takes[take.number] = take
        self._book.closed += 1
        event = "alternative" if variation else "placed"
        self._store.write(
            {"event": event, "take": take.number}, lambda error: self._close(request, take)
        )

    def _close(self, request: A, take: Take) -> None:
        """A take is on disk, and the journal says where it is: now it can't be lost."""
        if request.job not in self._live:
            return
        request.saved.add(take.variation)
        self.delivery.say(request, ClipClose(request.req, take.number, self._sent(request, take)))
        self._end(request)

    def _end(self, request: A) -> None:
        if not request.made or len(request.saved) < len(request.takes):
            return
        event = {
            "event": "done", "client": request.client, "req": request.req,
            "takes": [take.number for take in request.takes],
        }  # fmt: skip
        self._forget(request)
        self._store.write(event, lambda error: self.delivery.say(request, Done(request.req)))

    def failed(self, message: wire.JobFailed) -> None:
        """The worker can't make what was asked."""
        request = self._live.get(message.job)
        if request is not None:
            self._fail(request, SidemanError(Code(message.code), message.text))

    def _fail(self, request: A, error: SidemanError) -> None:
        self._forget(request)
        self._store.write(
            {"event": "fail", "client": request.client, "req": request.req,
             "code": str(error.code), "text": error.text}
        )  # fmt: skip
        self.delivery.say(request, Fail.of(error, request.req, request.ask.address))

    def _forget(self, request: A) -> None:
        del self._live[request.job]
        self._book.living.pop(request.key, None)

    def model_failed(self, failed: wire.Failed) -> None:
        """A model could not be loaded: whoever asked for it is told."""
        for request in list(self._live.values()):
            if request.takes[0].model == failed.model:
                self._fail(request, SidemanError(Code(failed.code), failed.text))

    def cancel(self, client: int, req: int, now: float) -> None:
        """End one request of a client, or with 0 all of them."""
        for request in list(self._live.values()):
            if request.client == client and req in (0, request.req):
                self._maker.send(wire.Cancel(request.job))
                self._fail(request, SidemanError(Code.CANCELLED, "cancelled, as you asked"))
                self._was_cancelled(request, now)

    @abstractmethod
    def _was_cancelled(self, request: A, now: float) -> None:
        """A request has ended in the middle, at its client's wish."""


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    """Keys as JSON can hold them."""
    return {k: "+".join(sorted(v)) if isinstance(v, frozenset) else v for k, v in given.items()}
