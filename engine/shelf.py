"""The preset in use, and the models that the worker holds for the presets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from engine import presets
from engine.errors import Code, SidemanError
from engine.models import store as models
from engine.presets import Preset
from engine.worker.supervisor import Supervisor
from engine.worker.wire import Failed

log = logging.getLogger(__name__)


class Shelf:
    """Presets by name, and their models as the worker has them. One thread only."""

    def __init__(
        self,
        preset: Preset,
        device: str,
        load_preset: Callable[[str], Preset] = presets.load,
        find_model: Callable[[str], Path] = models.find,
    ) -> None:
        self.preset = preset
        self._device = device
        self._load = load_preset
        self._find = find_model
        self._broken: set[str] = set()

    def connect(self, worker: Supervisor) -> None:
        """The worker that holds the models; called once."""
        self._worker = worker

    def named(self, name: str) -> Preset:
        """The preset of that name, where this engine can play it.

        Raises ``unknown-preset``, ``bad-file``, or ``unknown-model`` for what is not installed.
        """
        return playable(self._load(name))

    def choose(self, name: str, now: float) -> Preset:
        """Use a preset from now on."""
        preset = self.named(name)
        self.ensure(preset.model, now)
        self.preset = preset
        return preset

    def ensure(self, model: str, now: float) -> None:
        """Have the worker hold a model, loaded or on its way. Raises ``unknown-model``."""
        if self._worker.loaded(model) is None:
            folder = self._find(model)
            self._broken.discard(model)
            self._worker.load(model, str(folder), self._device, now)

    def unload(self, model: str) -> None:
        """Free a model's memory. Raises ``not-allowed`` for the one that is being played."""
        self._find(model)
        if model == self.preset.model:
            raise SidemanError(
                Code.NOT_ALLOWED, f"preset {self.preset.name} plays {model}: choose another first"
            )
        self._worker.unload(model)

    def failed(self, failed: Failed) -> None:
        """A model could not be loaded."""
        log.error("model %s: %s", failed.model, failed.text)
        self._broken.add(failed.model)

    def holds(self, model: str) -> bool:
        """Whether the worker can play a model now."""
        return self._worker.loaded(model) is not None

    def is_broken(self, model: str) -> bool:
        """Whether a model could not be loaded when that was last tried."""
        return model in self._broken

    def hash_of(self, model: str) -> str:
        """The SHA-256 of a loaded model's weights; nothing for others."""
        loaded = self._worker.loaded(model)
        return "" if loaded is None else loaded.weights_hash


def playable(preset: Preset) -> Preset:
    """The preset itself. Raises ``unknown-model`` where it wants what is not installed."""
    if preset.kind == "audio":
        raise SidemanError(
            Code.UNKNOWN_MODEL, f"preset {preset.name} needs an audio model, and none is installed"
        )
    if preset.adapter is not None:
        raise SidemanError(
            Code.UNKNOWN_MODEL,
            f"preset {preset.name} wants the adapter {preset.adapter!r}, and none is installed",
        )
    return preset
