"""Where sound is asked for: the requests for it, the models, and the worker that makes it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from engine.delivery import Delivery
from engine.ledger import Book
from engine.messages.commands import Ask
from engine.ports import Outbox, Store
from engine.presets import Preset
from engine.session import Session, Track
from engine.sound.brief import place_for, settle
from engine.sound.rack import Rack
from engine.sound.requests import SoundRequests
from engine.timing import Clock
from engine.worker import wire
from engine.worker.supervisor import Supervisor

log = logging.getLogger(__name__)


class Desk:
    """Listens to the worker that makes sound; see `engine.worker.supervisor.Listens`.

    One thread only, the conductor's.
    """

    def __init__(
        self,
        session: Session,
        clock: Clock,
        outbox: Outbox,
        store: Store,
        delivery: Delivery,
        book: Book,
        rack: Rack,
    ) -> None:
        self._session = session
        self._clock = clock
        self._parts = (session, clock, outbox, store)
        self._delivery, self._book = delivery, book
        self.rack = rack
        self.live = True
        """Whether takes are played while they are made."""

    def connect(self, worker: Supervisor) -> None:
        """The worker that makes the sound; called once, before anything else."""
        self.worker = worker
        self.rack.connect(worker)
        self.requests = SoundRequests(*self._parts, worker, self._delivery, self._book)
        self.requests.model_hash = self._hash_of

    def _hash_of(self, model: str) -> str:
        loaded = self.rack.loaded(model)
        return "" if loaded is None else loaded.weights_hash

    def take_on(
        self,
        ask: Ask,
        track: Track,
        preset: Preset,
        client: int,
        now: float,
        *,
        parameters: Mapping[str, Any],
        seed: int,
    ) -> None:
        """Accept a request for sound. Raises :class:`SidemanError` for what can't be made."""
        brief = settle(ask, track, preset, parameters=parameters, seed=seed, live=self.live)
        place = place_for(ask, brief, track, self._session, self._clock.tick(now))
        self.rack.prepare(preset, now)
        self.requests.accept(client, ask, brief, place, now, self.rack.adapters_for(preset))

    # From the worker

    def worker_ready(self, loaded: wire.Loaded, now: float) -> None:
        """A worker has a model and knows nothing: tell it what was asked."""
        self.requests.speed.stepped(loaded.step_seconds, loaded.frame_seconds)
        self.rack.worker_ready()
        self.requests.worker_ready(now)

    def worker_faster(self, loaded: wire.Loaded) -> None:
        """A model was loaded anew."""
        self.requests.speed.stepped(loaded.step_seconds, loaded.frame_seconds)

    def worker_died(self, now: float) -> None:
        """What was asked of the worker is lost."""
        self.requests.worker_died(now)

    def model_failed(self, failed: wire.Failed, now: float) -> None:
        """A model could not be loaded."""
        self.rack.failed(failed)
        self.requests.model_failed(failed)

    def worker_says(self, message: wire.FromWorker, now: float) -> None:
        """Something became of a request."""
        match message:
            case wire.Sound():
                self.requests.sound(message, now)
            case wire.Started():
                self.requests.started(message)
            case wire.SoundDone():
                self.requests.done(message)
            case wire.JobFailed():
                self.requests.failed(message)
            case wire.Adapted():
                self.rack.adapted(message)
            case wire.Unloaded(model):
                log.info("the model %s made room for another", model)

    # Time

    def tick(self, now: float) -> None:
        """Do what is due."""
        self.worker.tick(now)
        self.requests.tick(now)

    def next_moment(self) -> float | None:
        """When :meth:`tick` has something to do."""
        moments = (self.requests.next_moment(), self.worker.next_moment())
        return min((m for m in moments if m is not None), default=None)
