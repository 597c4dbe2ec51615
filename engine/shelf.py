"""The preset in use, and the models that the worker holds for the presets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from engine import presets
from engine.errors import Code, SidemanError
from engine.models import adapters, registry
from engine.models import store as models
from engine.models.adapters import Attached
from engine.models.folder import read_info
from engine.presets import Preset
from engine.sound.rack import Rack
from engine.worker.supervisor import Supervisor
from engine.worker.wire import Failed

log = logging.getLogger(__name__)

Wanted = tuple[str, float]
"""The name of an adapter, and how much of it."""


class Shelf:
    """Presets by name, and their models as the worker has them. One thread only."""

    def __init__(
        self,
        preset: Preset,
        device: str,
        load_preset: Callable[[str], Preset] = presets.load,
        find_model: Callable[[str], Path] = models.find,
        find_adapter: Callable[[str], Path] = adapters.find,
    ) -> None:
        self.preset = preset
        self._device = device
        self._load_preset = load_preset
        self._find = find_model
        self._find_adapter = find_adapter
        self._broken: set[str] = set()
        self.rack = Rack(device, find_model, find_adapter)
        """Where models of sound lie."""
        self._attached: dict[str, Wanted | None] = {}
        """What was attached to each model."""
        self._loaded_with: dict[str, Wanted | None] = {}
        """What each model was last loaded with."""

    def connect(self, worker: Supervisor) -> None:
        """The worker that holds the models; called once."""
        self._worker = worker

    def named(self, name: str) -> Preset:
        """The preset of that name, where this engine can play it.

        Raises ``unknown-preset``, ``bad-file``, or ``unknown-model`` for what is not installed.
        """
        preset = self._load_preset(name)
        if preset.kind == "audio":
            self.rack.check(preset)
        return preset

    def choose(self, name: str, now: float) -> Preset:
        """Use a preset from now on."""
        preset = self.named(name)
        self.prepare(preset, now)
        self.preset = preset
        return preset

    def adapt(self, name: str, strength: float, now: float) -> None:
        """Attach an adapter to the model of notes in use, or with an empty name none.

        That holds until told otherwise; a preset with an adapter of its own keeps that. Raises
        ``unknown-model``, ``bad-file``, and ``not-allowed`` for another model's adapter.
        """
        if self.preset.kind == "audio":
            raise SidemanError(
                Code.NOT_ALLOWED,
                f"adapter {name} is for notes, and preset {self.preset.name} makes sound: choose a "
                "MIDI preset first",
            )
        model = self.preset.model
        wanted = (name, strength) if name and strength else None
        if self.preset.adapter is None:
            self._load(model, wanted, now)
        elif wanted is not None:
            self._attachable(self._find(model), wanted)
        self._attached[model] = wanted

    def is_for_sound(self, name: str) -> bool:
        """Whether an adapter's name, or an empty one, means the model of sound in use."""
        if name:
            return adapters.is_peft(self._find_adapter(name))
        return self.preset.kind == "audio"

    def prepare(self, preset: Preset, now: float) -> None:
        """Have the worker hold a preset's model with its adapter, loaded or on its way."""
        if preset.kind == "audio":
            self.rack.prepare(preset, now)
            return
        own = (preset.adapter, preset.strength) if preset.adapter and preset.strength else None
        self._load(preset.model, own or self._attached.get(preset.model), now)

    def ensure(self, model: str, now: float) -> None:
        """Have the worker hold a model, loaded or on its way. Raises ``unknown-model``."""
        if read_info(self._find(model)).kind == "audio":
            self.rack.ensure(model, now)
        elif self._worker.loaded(model) is None:
            self._load(model, self._attached.get(model), now)

    def _load(self, model: str, wanted: Wanted | None, now: float) -> None:
        """The worker holds a model once: with another adapter it takes its own former place.

        What is being made goes on as it began.
        """
        if self._worker.loaded(model) is not None and self._loaded_with.get(model) == wanted:
            return
        folder = self._find(model)
        added = "" if wanted is None else str(self._attachable(folder, wanted).folder)
        self._broken.discard(model)
        self._loaded_with[model] = wanted
        strength = 1.0 if wanted is None else wanted[1]
        self._worker.load(model, str(folder), self._device, now, adapter=added, strength=strength)

    def _attachable(self, model: Path, wanted: Wanted) -> Attached:
        """The adapter, read and found to fit the model in that folder."""
        info = read_info(model)
        attached = adapters.attach(self._find_adapter(wanted[0]), info, wanted[1])
        registry.family(info.family).check_adapter(info, attached)
        return attached

    def unload(self, model: str) -> None:
        """Free a model's memory. Raises ``not-allowed`` for the one that is being played."""
        folder = self._find(model)
        if model == self.preset.model:
            raise SidemanError(
                Code.NOT_ALLOWED, f"preset {self.preset.name} plays {model}: choose another first"
            )
        if read_info(folder).kind == "audio":
            self.rack.unload(model)
            return
        self._loaded_with.pop(model, None)
        self._worker.unload(model)

    def failed(self, failed: Failed) -> None:
        """A model could not be loaded."""
        log.error("model %s: %s", failed.model, failed.text)
        self._broken.add(failed.model)
        self._loaded_with.pop(failed.model, None)

    def holds(self, model: str) -> bool:
        """Whether a worker can play a model now."""
        return (self._worker.loaded(model) or self.rack.loaded(model)) is not None

    def is_broken(self, model: str) -> bool:
        """Whether a model could not be loaded when that was last tried."""
        return model in self._broken or self.rack.is_broken(model)

    def hash_of(self, model: str) -> str:
        """The SHA-256 of a loaded model's weights; nothing for others."""
        loaded = self._worker.loaded(model)
        return "" if loaded is None else loaded.weights_hash
