"""What stands in for clients, files and loaders where the engine runs without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bridge.config import ContinueOptions
from engine import presets
from engine.errors import Code, SidemanError
from engine.messages import Reply, Scalar
from engine.messages.replies import Fail
from engine.models import store
from engine.music import MeterMap
from engine.ports import Chunk
from engine.presets import Preset
from engine.takes import Take

TRACK = 1
CLIENT = 1
MIDI_SUFFIXES = (".mid", ".midi")


class Replies:
    """Stands in for the clients: a fail becomes the error that it is."""

    def __init__(self) -> None:
        self.error: SidemanError | None = None

    def reply(self, client_id: int, reply: Reply) -> None:
        """Keeps what went wrong; the takes themselves are in the session."""
        if isinstance(reply, Fail):
            self.error = SidemanError(Code(reply.code), reply.text)

    def hear(self, error: SidemanError | None) -> None:
        """Keeps an error that came otherwise."""
        self.error = error

    def broadcast(self, reply: Reply, besides: int | None = None) -> None:
        """Nobody else listens."""

    def changed(self, name: str, value: Scalar | None) -> None:
        """Nobody else listens."""

    def flush(self) -> None:
        """Nobody waits."""

    def client_count(self) -> int:
        """One: whoever ran the command."""
        return 1


class NoStore:
    """Keeps nothing: what is wanted is written to OUT."""

    def save(
        self, take: Take, meters: MeterMap, bpm: float, then: Callable[[str | None], None]
    ) -> None:
        """Done at once."""
        then(None)

    def path(self, take: Take) -> str:
        """Nowhere."""
        return ""

    def sound(self, take: Take, chunk: Chunk, then: Callable[[str | None], None]) -> None:
        """Done at once."""
        then(None)

    def drop(self, take: Take) -> None:
        """Done at once."""

    def write(
        self, event: dict[str, Any], then: Callable[[str | None], None] | None = None
    ) -> None:
        """Done at once."""
        if then is not None:
            then(None)

    def write_all(self, events: Sequence[dict[str, Any]]) -> None:
        """Done at once."""


class NoLoader:
    """Nothing is loaded by address."""

    def load(self, path: str, spot: Any, then: Callable[[Any], None]) -> None:
        """Refused."""
        raise SidemanError(Code.NOT_ALLOWED, "files are named on the command line")


def with_model(preset: Preset, model: str | None) -> Preset:
    """The preset with another model, where one is named."""
    if model is None:
        return preset
    changed = replace(preset, model=model)
    object.__setattr__(changed, "name", preset.name)
    return changed


def is_for_sound(options: ContinueOptions) -> bool:
    """Whether sound is asked for: by IN, by the preset, or by the model."""
    if options.preset is not None:
        return presets.load(options.preset).kind == "audio"
    if options.model is not None:
        return store.entry(store.resolve(options.model)).info.kind == "audio"
    return options.input is not None and options.input.suffix.lower() not in MIDI_SUFFIXES
