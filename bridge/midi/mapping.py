"""Which MIDI messages are triggers, what they set off, and learning new ones.

Knows neither ports nor time; a port is only a name here. What :meth:`Mapping.match` returns None
for is music, or clock, or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.midi.gestures import THROWS, Gesture, read
from bridge.midi_bytes import CHANNEL_MODE
from engine.triggers import Action, Kind, Trigger

Triggers = Table[Trigger, Action]

_LEAST_BEND = 0.25
"""How far from its middle a bend wheel must be for the musician to mean it."""


@dataclass(frozen=True, slots=True)
class Match:
    """A message that is a trigger's, and therefore not music."""

    trigger: Trigger
    share: float
    """How far the controller is on its way, 0 to 1; a note's velocity; 1 for a program change."""
    action: Action | None = None
    """What is to be done now; None where the message is only swallowed, as a note off."""
    learned: Action | None = None
    """What the trigger was just taught to do."""


class Mapping:
    """The triggers in force: the config's, over them the preset's, over them what was learned."""

    def __init__(self, config: Triggers | None = None, preset: Triggers | None = None) -> None:
        self._config = dict(config or {})
        self._preset = dict(preset or {})
        self._learned: dict[Trigger, Action] = {}
        self._to_learn: Action | None = None
        self._down: set[tuple[str, Trigger]] = set()
        """Keys that are held and whose note on was a trigger's."""
        self._pressed: set[tuple[str, Trigger]] = set()
        """Controllers beyond the point where they count as pressed."""
        self._merge()

    def _merge(self) -> None:
        self._table = self._config | self._preset | self._learned

    @property
    def table(self) -> Triggers:
        """Every trigger in force with its action."""
        return self._table

    @property
    def learned(self) -> Triggers:
        """Those that were learned."""
        return self._learned

    @property
    def learning(self) -> Action | None:
        """The action that waits for its message."""
        return self._to_learn

    def use_preset(self, triggers: Triggers) -> None:
        """Another preset is in use."""
        self._preset = dict(triggers)
        self._merge()

    def learn(self, action: Action | None) -> None:
        """The next message that can be a trigger is bound to ``action``; None waits no longer."""
        self._to_learn = action

    def bind(self, trigger: Trigger, action: Action) -> None:
        """Learn at once, as where a session is taken up again."""
        self._learned[trigger] = action
        self._merge()

    def unbind(self, trigger: Trigger) -> None:
        """Forget what was learned for a trigger; what lies under it is in force again."""
        self._learned.pop(trigger, None)
        self._merge()

    def lost(self, port: str) -> None:
        """A port is gone: nothing is held or pressed on it."""
        self._down = {held for held in self._down if held[0] != port}
        self._pressed = {held for held in self._pressed if held[0] != port}

    def match(self, message: Sequence[int], port: str = "") -> Match | None:
        """What one whole MIDI message (its bytes) means; None where it is no trigger's.

        Never raises, whatever the bytes are. A note off goes the way that its note on went, even
        where the trigger was learned, or taken away, in between.
        """
        gesture = read(message)
        if gesture is None:
            return None
        trigger, share = gesture.trigger, gesture.share
        key = (port, trigger)
        if gesture.released:
            return self._release(key)
        if trigger.kind is Kind.POLYTOUCH and trigger not in self._table:
            pad = Trigger(trigger.channel, Kind.NOTE, trigger.number)
            if (port, pad) in self._down:
                return Match(pad, share)
        if self._to_learn is not None and self._is_meant(gesture, port):
            action, self._to_learn = self._to_learn, None
            self.bind(trigger, action)
            self._press(key, gesture)
            return Match(trigger, share, learned=action)
        found = self._table.get(trigger)
        if found is None:
            return None
        fires = self._press(key, gesture) or found.follows
        return Match(trigger, share, found if fires else None)

    def _release(self, key: tuple[str, Trigger]) -> Match | None:
        if key not in self._down:
            return None
        self._down.discard(key)
        return Match(key[1], 0.0)

    def _press(self, key: tuple[str, Trigger], gesture: Gesture) -> bool:
        """Note what is held now; whether this was a press."""
        kind = gesture.trigger.kind
        if kind is Kind.NOTE:
            self._down.add(key)
        if kind not in THROWS:
            return gesture.presses
        if key in self._pressed:
            if gesture.share < THROWS[kind].let_go:
                self._pressed.discard(key)
            return False
        if gesture.presses:
            self._pressed.add(key)
        return gesture.presses

    def _is_meant(self, gesture: Gesture, port: str) -> bool:
        """Whether a musician who was asked for a trigger would mean this."""
        trigger, share = gesture.trigger, gesture.share
        match trigger.kind:
            case Kind.NOTE | Kind.PROGRAM:
                return True
            case Kind.CC:
                return share > 0 and trigger.number not in CHANNEL_MODE
            case Kind.BEND:
                return abs(share - 0.5) > _LEAST_BEND
        # Aftertouch of a pad that was itself learned just now is part of that press.
        held = any(
            where == port and other.channel == trigger.channel for where, other in self._down
        )
        return share > 0 and not held
