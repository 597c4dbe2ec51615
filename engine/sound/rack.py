"""The models of sound that the worker holds, and the adapters that count on them."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from engine.errors import Code, SidemanError
from engine.models import adapters
from engine.models import store as models
from engine.presets import Preset
from engine.worker import wire
from engine.worker.supervisor import Supervisor

log = logging.getLogger(__name__)

Adapters = dict[str, tuple[str, float]]
"""By name: its folder, and how much it counts."""

Then = Callable[[SidemanError | None], None]

DEFAULT = "loop"
"""The preset of requests for sound while a MIDI preset is in use."""


@dataclass(slots=True)
class Change:
    """Adapters that somebody wants to count, until the worker has said whether they can."""

    model: str
    wanted: Adapters
    then: Then


class Rack:
    """One thread only, the conductor's."""

    def __init__(
        self,
        device: str,
        find_model: Callable[[str], Path] = models.find,
        find_adapter: Callable[[str], Path] = adapters.find,
    ) -> None:
        self._device = device
        self._find = find_model
        self._find_adapter = find_adapter
        self._counting: dict[str, Adapters] = {}
        """What was put on each model by hand."""
        self._changes: list[Change] = []
        self._broken: set[str] = set()
        self.model: str | None = None
        """The one that was played last."""

    def connect(self, worker: Supervisor) -> None:
        """The worker that holds the models; called once."""
        self._worker = worker

    def check(self, preset: Preset) -> None:
        """Raise ``unknown-model`` where this machine has not what a preset plays with."""
        self._find(preset.model)
        if not installed():
            raise SidemanError(
                Code.UNKNOWN_MODEL,
                f"preset {preset.name} makes sound, which needs more than this installation has: "
                "run `make setup-all`, or pip install 'sideman[audio]'",
            )

    def prepare(self, preset: Preset, now: float) -> None:
        """Have the worker hold a preset's model, loaded or on its way."""
        if preset.adapter is not None:
            self._folder(preset.adapter)
        self.ensure(preset.model, now)
        self.model = preset.model

    def ensure(self, model: str, now: float) -> None:
        """Have the worker hold a model, loaded or on its way."""
        self._broken.discard(model)
        self._worker.load(model, str(self._find(model)), self._device, now)

    def unload(self, model: str) -> None:
        """Free a model's memory."""
        self._worker.unload(model)

    def adapters_for(self, preset: Preset) -> list[tuple[str, str, float]]:
        """What counts on a preset's take, its own and by hand: (name, folder, strength)."""
        counting = dict(self._counting.get(preset.model, {}))
        if preset.adapter is not None and preset.strength:
            counting[preset.adapter] = (self._folder(preset.adapter), preset.strength)
        return _listed(counting)

    def adapt(self, name: str, strength: float, now: float, then: Then) -> None:
        """Have an adapter count so much on the model that is played, or with an empty name none.

        ``then`` hears whether it could be done, once the worker has read it. What is being made
        goes on with it from its next bar line. Raises what can be told at once.
        """
        if self.model is None:
            raise SidemanError(
                Code.NOT_ALLOWED, f"adapter {name} is for sound: choose an audio preset first"
            )
        wanted = dict(self._counting.get(self.model, {})) if name else {}
        for change in self._changes:
            if change.model == self.model:
                wanted = dict(change.wanted) if name else {}
        wanted.pop(name, None)
        if name and strength:
            wanted[name] = (self._folder(name), strength)
        self.ensure(self.model, now)
        self._changes.append(Change(self.model, wanted, then))
        self._worker.send(wire.Adapt(self.model, _listed(wanted)))

    def _folder(self, name: str) -> str:
        folder = self._find_adapter(name)
        if not adapters.is_peft(folder):
            raise SidemanError(
                Code.NOT_ALLOWED, f"adapter {name} is for models of notes, not of sound"
            )
        return str(folder)

    # From the worker

    def adapted(self, message: wire.Adapted) -> None:
        """The worker has put adapters on, or says why it can't."""
        change = next((c for c in self._changes if c.model == message.model), None)
        if change is None:
            return
        self._changes.remove(change)
        if message.code:
            change.then(SidemanError(Code(message.code), message.text))
            return
        self._counting[change.model] = change.wanted
        change.then(None)

    def worker_ready(self) -> None:
        """A worker listens that knows of no adapters."""
        for change in self._changes:
            self._worker.send(wire.Adapt(change.model, _listed(change.wanted)))

    def failed(self, failed: wire.Failed) -> None:
        """A model could not be loaded."""
        log.error("model %s: %s", failed.model, failed.text)
        self._broken.add(failed.model)
        error = SidemanError(Code(failed.code), failed.text)
        for change in [c for c in self._changes if c.model == failed.model]:
            self._changes.remove(change)
            change.then(error)

    def loaded(self, model: str) -> wire.Loaded | None:
        """What the worker said of a model that it holds; None where it doesn't."""
        return self._worker.loaded(model)

    def is_broken(self, model: str) -> bool:
        """Whether a model could not be loaded when that was last tried."""
        return model in self._broken


@lru_cache(maxsize=1)
def installed() -> bool:
    """Whether what models of sound need is on this machine. Nothing is imported."""
    return all(importlib.util.find_spec(name) for name in ("torch", "transformers"))


def _listed(counting: Adapters) -> list[tuple[str, str, float]]:
    return [(name, folder, strength) for name, (folder, strength) in sorted(counting.items())]
