"""What a MIDI message may be made to do: ``"16 note 36" = "continue"``, as value types.

Presets and the config file hold triggers as text. Whoever receives MIDI matches messages against
:class:`Trigger` and carries out the :class:`Action`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from engine.messages.parameters import PARAMETERS
from engine.toml import nearest


class Kind(StrEnum):
    """Which MIDI message sets a trigger off."""

    NOTE = "note"
    CC = "cc"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True, order=True)
class Trigger:
    """A message on one channel: note or controller number, or program, 0 to 127."""

    channel: int
    kind: Kind
    number: int

    @classmethod
    def parse(cls, text: str) -> Trigger:
        """From ``CHANNEL KIND NUMBER``; raises ValueError that says what is expected."""
        parts = text.split()
        if len(parts) != 3:
            raise ValueError(f"{text!r} is not CHANNEL KIND NUMBER, such as '16 note 36'")
        channel, kind, number = parts
        if kind not in [*Kind]:
            raise ValueError(f"{kind!r} in {text!r} is not one of {', '.join(Kind)}")
        if not re.fullmatch(r"[0-9]{1,2}", channel) or not 1 <= int(channel) <= 16:
            raise ValueError(f"the channel in {text!r} is 1 to 16, not {channel!r}")
        if not re.fullmatch(r"[0-9]{1,3}", number) or int(number) > 127:
            raise ValueError(f"the number in {text!r} is 0 to 127, not {number!r}")
        return cls(int(channel), Kind(kind), int(number))

    def __str__(self) -> str:
        return f"{self.channel} {self.kind} {self.number}"


@dataclass(frozen=True, slots=True)
class Range:
    """What a controller's 0 to 127 is spread over; a fixed value has both ends equal."""

    low: float
    high: float

    def at(self, value: int) -> float:
        """The value for a controller at ``value`` (0 to 127)."""
        return self.low + (self.high - self.low) * value / 127


class Argument(StrEnum):
    """What stands after an action's name."""

    NOTHING = ""
    TRACK = "[TRACK]"
    NAME = "NAME"
    RANGE = "LOW..HIGH"


ACTIONS: dict[str, Argument] = {
    "continue": Argument.TRACK,
    "variation": Argument.TRACK,
    "accompany": Argument.TRACK,
    "undo": Argument.TRACK,
    "redo": Argument.TRACK,
    "keep": Argument.TRACK,
    "discard": Argument.TRACK,
    "cancel": Argument.NOTHING,
    "panic": Argument.NOTHING,
    "preset": Argument.NAME,
    **{
        name: Argument.RANGE
        for name, parameter in PARAMETERS.items()
        if parameter.writable and parameter.arg.kind in ("int", "float") and name != "seed"
    },
}
"""Every action and its argument; each parameter that is a number can be moved by a controller."""

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"


@dataclass(frozen=True, slots=True)
class Action:
    """One of :data:`ACTIONS` with its argument."""

    name: str
    track: str | None = None
    preset: str | None = None
    range: Range | None = None

    @classmethod
    def parse(cls, text: str) -> Action:
        """From ``NAME [ARGUMENT]``; raises ValueError that says what is expected."""
        name, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        if name not in ACTIONS:
            guess = nearest(name, list(ACTIONS))
            raise ValueError(f"there is no action {name!r}; the nearest is {guess!r}")
        argument = ACTIONS[name]
        match argument:
            case Argument.NOTHING if not rest:
                return cls(name)
            case Argument.TRACK:
                return cls(name, track=rest or None)
            case Argument.NAME if rest:
                return cls(name, preset=rest)
            case Argument.RANGE:
                return cls(name, range=_range(name, rest))
        raise ValueError(f"{text!r} is not {f'{name} {argument}'.strip()!r}")


def _range(name: str, rest: str) -> Range:
    found = re.fullmatch(rf"({_NUMBER})(?:\s*\.\.\s*({_NUMBER}))?", rest)
    if not found:
        raise ValueError(f"{name!r} wants LOW..HIGH or one number, such as '0.6..1.4'")
    low = float(found[1])
    high = float(found[2]) if found[2] else low
    for end in (low, high):
        try:
            PARAMETERS[name].arg.check(end)
        except ValueError as problem:
            raise ValueError(f"{name} {problem}") from None
    return Range(low, high)
