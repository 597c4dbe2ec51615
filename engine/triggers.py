"""What a MIDI message may be made to do: ``"16 note 36" = "continue"``, as value types.

Presets and the config file hold triggers as text. Whoever receives MIDI matches messages against
:class:`Trigger` and carries out the :class:`Action`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

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
        if not re.fullmatch(r"\d{1,2}", channel) or not 1 <= int(channel) <= 16:
            raise ValueError(f"the channel in {text!r} is 1 to 16, not {channel!r}")
        if not re.fullmatch(r"\d{1,3}", number) or int(number) > 127:
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


@dataclass(frozen=True, slots=True)
class Rule:
    """What an action takes, and for ranges the bounds of both ends."""

    argument: Argument
    low: float = 0.0
    high: float = 0.0


ACTIONS: dict[str, Rule] = {
    "continue": Rule(Argument.TRACK),
    "variation": Rule(Argument.TRACK),
    "accompany": Rule(Argument.TRACK),
    "undo": Rule(Argument.TRACK),
    "redo": Rule(Argument.TRACK),
    "keep": Rule(Argument.TRACK),
    "discard": Rule(Argument.TRACK),
    "cancel": Rule(Argument.NOTHING),
    "panic": Rule(Argument.NOTHING),
    "preset": Rule(Argument.NAME),
    "temperature": Rule(Argument.RANGE, 0.0, 4.0),
    "top_p": Rule(Argument.RANGE, 0.0, 1.0),
    "density": Rule(Argument.RANGE, 0.0, 16.0),
    "bars": Rule(Argument.RANGE, 1.0, 64.0),
}

_NUMBER = r"\d+(?:\.\d+)?"


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
        rule = ACTIONS[name]
        match rule.argument:
            case Argument.NOTHING if not rest:
                return cls(name)
            case Argument.TRACK:
                return cls(name, track=rest or None)
            case Argument.NAME if rest:
                return cls(name, preset=rest)
            case Argument.RANGE:
                return cls(name, range=_range(text, rest, rule))
        raise ValueError(f"{text!r} is not {f'{name} {rule.argument}'.strip()!r}")


def _range(text: str, rest: str, rule: Rule) -> Range:
    found = re.fullmatch(rf"({_NUMBER})(?:\s*\.\.\s*({_NUMBER}))?", rest)
    if not found:
        raise ValueError(f"{text!r} wants LOW..HIGH or one number, such as '0.6..1.4'")
    low = float(found[1])
    high = float(found[2]) if found[2] else low
    for end in (low, high):
        if not rule.low <= end <= rule.high:
            raise ValueError(f"{end:g} in {text!r} is outside {rule.low:g} to {rule.high:g}")
    return Range(low, high)
