"""What clients set and what the engine tells: parameters, facts, and triggers that were learned.

One thread only, the conductor's.
"""

from __future__ import annotations

from typing import Any

from engine.messages.commands import Learn
from engine.messages.parameters import PARAMETERS
from engine.messages.replies import Done
from engine.messages.spec import Scalar
from engine.ports import Outbox, Store


class Settings:
    """Values by their name on the wire; who listens to one hears of each change."""

    def __init__(self, outbox: Outbox, store: Store) -> None:
        self._outbox = outbox
        self._store = store
        self.values: dict[str, Any] = {}
        """Parameters that were set. What is not in here is the default's, or the preset's."""
        self.facts: dict[str, str] = {}
        """What is told and cannot be set; see :meth:`tell`."""
        self.learned: dict[str, str] = {}
        """Triggers that were learned, and their actions, as text."""

    def value(self, name: str) -> Any:
        """A parameter's value; None leaves it to the preset."""
        if name in self.facts:
            return self.facts[name]
        return self.values.get(name, PARAMETERS[name].arg.default)

    def put(self, name: str, value: Any) -> None:
        """A parameter has this value from now on."""
        self.values[name] = value
        self._outbox.changed(name, plain(value))

    def tell(self, name: str, value: str) -> None:
        """Whoever leads the clock or has the ports says how things stand."""
        if self.facts.get(name) != value:
            self.facts[name] = value
            self._outbox.changed(name, value)

    def was_learned(self, trigger: str, action: str) -> None:
        """A MIDI message was bound to an action: all are told, and a restart finds it."""
        self.learned[trigger] = action
        self._store.write({"event": "trigger", "trigger": trigger, "action": action})
        self.tell("learned", f"{trigger} = {action}")
        self._outbox.broadcast(Done(Learn.address, (action, trigger)))


def plain(value: Any) -> Scalar | None:
    """A value as OSC can say it."""
    found: Scalar | None = int(value) if isinstance(value, bool) else value
    return found
