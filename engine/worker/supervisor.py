"""Keeps one worker alive: starts it, watches it, and starts another where it dies or hangs.

One thread only, the conductor's; what workers say comes to :meth:`receive` on that thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from engine.worker import wire

log = logging.getLogger(__name__)

PING_EVERY = 0.5
HANG_SECONDS = 3.0
"""A worker answers between two tokens; one that has not for this long hangs."""

LOAD_SECONDS = 120.0
"""Loading may take as long: a large model, or a first compilation."""

FIRST_GUESS = 1.5
"""Seconds that a start of the worker for notes takes, before one was measured."""

BACK_OFF = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before the next start, by how many starts have failed in a row."""


class AnyLine(Protocol):
    """What a line to a worker is, for the one who watches it."""

    @property
    def pid(self) -> int:
        """The process's number."""
        ...

    def send(self, message: wire.Message) -> None:
        """To the worker, without waiting for it."""

    def kill(self) -> None:
        """End it at once."""

    def close(self, timeout: float = 1.0) -> None:
        """Let it end by itself within ``timeout`` seconds."""


class Listens(Protocol):
    """Who is told what becomes of the worker."""

    def worker_ready(self, loaded: wire.Loaded, now: float) -> None:
        """A worker has the model and must be told what was heard and asked."""

    def worker_faster(self, loaded: wire.Loaded) -> None:
        """The worker computes a model otherwise than before, and has measured how fast."""

    def worker_died(self, now: float) -> None:
        """What was asked of the worker is lost; another one is on its way."""

    def worker_says(self, message: wire.FromWorker, now: float) -> None:
        """Something became of a request."""

    def model_failed(self, failed: wire.Failed, now: float) -> None:
        """A model could not be loaded."""


class Supervisor:
    """The worker, whichever process that is at the moment."""

    def __init__(
        self,
        start: Callable[[], AnyLine],
        listener: Listens,
        *,
        hang_seconds: float = HANG_SECONDS,
        first_guess: float = FIRST_GUESS,
    ) -> None:
        """``first_guess`` is how long a start takes, before one was measured."""
        self._start = start
        self._listener = listener
        self._hang_seconds = hang_seconds
        self._wanted: dict[str, wire.Load] = {}
        self._loaded: dict[str, wire.Loaded] = {}
        self._line: AnyLine | None = None
        self._started_at = 0.0
        self._load_seconds = first_guess
        self._failures = 0
        self._restart_at: float | None = None
        self._asked_at: float | None = None
        self._ping = 0
        self._next_ping = 0.0
        self._now = 0.0
        self._looked_at = 0.0
        self.restarts = 0

    # As a maker

    @property
    def ready(self) -> bool:
        """Whether a model is loaded and listening."""
        return bool(self._loaded) and self._line is not None

    @property
    def step_seconds(self) -> float:
        """Measured time of one decoding step."""
        return min((loaded.step_seconds for loaded in self._loaded.values()), default=0.001)

    @property
    def wait_seconds(self) -> float:
        """What is left of the loading that is under way, by how long the last one took."""
        if self.ready and not self._loading:
            return 0.0
        begin = self._started_at if self._restart_at is None else self._restart_at
        return max(0.05, begin + self._load_seconds - self._now)

    @property
    def _loading(self) -> bool:
        return len(self._loaded) < len(self._wanted)

    @property
    def pid(self) -> int | None:
        """The worker's process, while there is one."""
        return None if self._line is None else self._line.pid

    def send(self, message: wire.ToWorker) -> None:
        """To the worker that listens. While there is none, nothing is lost: whoever is told
        `worker_ready` sends what counts."""
        if self.ready and self._line is not None:
            self._line.send(message)

    # Models

    def loaded(self, model: str) -> wire.Loaded | None:
        """What the worker said of a model that it holds; None where it doesn't."""
        return self._loaded.get(model)

    def load(
        self,
        model: str,
        folder: str,
        device: str,
        now: float,
        *,
        adapter: str = "",
        strength: float = 1.0,
    ) -> None:
        """Have the worker hold this model from now on, in the place of one of the same name."""
        load = wire.Load(model, folder, device, adapter=adapter, strength=strength)
        if self._wanted.get(model) == load:
            return
        self._wanted[model] = load
        if self._line is not None:
            self._started_at = now
            self._line.send(load)
        elif self._restart_at is None:
            self._begin(now)

    def unload(self, model: str) -> None:
        """Have the worker let go of a model."""
        self._wanted.pop(model, None)
        self._loaded.pop(model, None)
        if self._line is not None:
            self._line.send(wire.Unload(model))

    # Life

    def _begin(self, now: float) -> None:
        self._restart_at = None
        self._started_at = self._now = now
        self._asked_at = None
        self._next_ping = now + PING_EVERY
        try:
            self._line = self._start()
        except OSError as error:
            log.error("a worker cannot be started: %s", error)
            self._failures += 1
            self._restart_at = now + self._pause()
            return
        for load in self._wanted.values():
            self._line.send(load)

    def _pause(self) -> float:
        return BACK_OFF[min(self._failures, len(BACK_OFF) - 1)]

    def receive(self, line: AnyLine, message: wire.FromWorker | None, now: float) -> None:
        """Something came from a worker, or with None its end."""
        self._now = now
        if line is not self._line:
            return
        if self._asked_at is not None:
            self._asked_at = now  # whoever speaks does not hang: it was loading, say
        match message:
            case None:
                self._lost(now)
            case wire.Pong():
                self._asked_at = None
            case wire.Loaded() if message.model in self._wanted:
                self._has(message, now)
            case wire.Loaded():
                pass  # nobody wants it any more
            case wire.Failed():
                self._wanted.pop(message.model, None)
                self._listener.model_failed(message, now)
            case wire.Unloaded(model):
                self._wanted.pop(model, None)
                self._loaded.pop(model, None)
                self._listener.worker_says(message, now)
            case _:
                self._listener.worker_says(message, now)

    def _has(self, loaded: wire.Loaded, now: float) -> None:
        self._failures = 0
        fresh, known = not self._loaded, loaded.model in self._loaded
        self._loaded[loaded.model] = loaded
        if not known:
            self._load_seconds = max(0.05, now - self._started_at)
        if fresh:
            self._listener.worker_ready(loaded, now)
        elif known:
            self._listener.worker_faster(loaded)

    def tick(self, now: float) -> None:
        """Start what is to be started, and see whether the worker still answers."""
        if self._asked_at is not None and now - self._looked_at > self._hang_seconds / 2:
            self._asked_at = now  # it is the engine that slept: the answer may lie there unread
        self._now = self._looked_at = now
        if self._line is None:
            if self._restart_at is not None and now >= self._restart_at:
                self._begin(now)
            return
        patience = LOAD_SECONDS if self._loading else self._hang_seconds
        if self._asked_at is not None and now - self._asked_at > patience:
            log.warning("the worker (process %d) does not answer; it is replaced", self._line.pid)
            self._line.kill()
            self._lost(now)
        elif now >= self._next_ping:
            self._next_ping = now + PING_EVERY
            if self._asked_at is None:
                self._asked_at = now
                self._ping += 1
                self._line.send(wire.Ping(self._ping))

    def next_moment(self) -> float | None:
        """When :meth:`tick` has something to do."""
        return self._restart_at if self._line is None else self._next_ping

    def _lost(self, now: float) -> None:
        if not self._loaded:
            self._failures += 1
        self._line = None
        self._loaded.clear()
        self.restarts += 1
        pause = self._pause()
        self._restart_at = now + pause
        log.warning("the worker is gone; the next one starts in %.1f s", pause)
        self._listener.worker_died(now)
        self.tick(now)

    def close(self) -> None:
        """End the worker for good."""
        line, self._line = self._line, None
        self._restart_at = None
        if line is not None:
            line.close()

