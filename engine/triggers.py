"""What a MIDI message may be made to do: ``"16 note 36" = "continue"``, as value types.

Presets and the config file hold triggers as text. Whoever receives MIDI matches messages against
:class:`Trigger` and carries out the :class:`Action`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.errors import Code, SidemanError
from engine.messages.parameters import PARAMETERS
from engine.toml import nearest


class Kind(StrEnum):
    """Which MIDI message sets a trigger off."""

    NOTE = "note"
    CC = "cc"
    PROGRAM = "program"
    BEND = "bend"
    """Pitch bend of a whole channel."""
    PRESSURE = "pressure"
    """Channel aftertouch."""
    POLYTOUCH = "polytouch"
    """Aftertouch of one key."""


OF_THE_CHANNEL = (Kind.BEND, Kind.PRESSURE)
"""Kinds of which a channel has one only, so that they need no number; theirs is 0."""


@dataclass(frozen=True, slots=True, order=True)
class Trigger:
    """A message on one channel, 1 to 16: note, controller or program number, 0 to 127."""

    channel: int
    kind: Kind
    number: int = 0

    @classmethod
    def parse(cls, text: str) -> Trigger:
        """From ``CHANNEL KIND NUMBER``; raises ValueError that says what is expected."""
        parts = text.split()
        if len(parts) == 2 and parts[1] in OF_THE_CHANNEL:
            parts.append("0")
        if len(parts) != 3:
            raise ValueError(f"{text!r} is not CHANNEL KIND NUMBER, such as '16 note 36'")
        channel, kind, number = parts
        if kind not in [*Kind]:
            raise ValueError(f"{kind!r} in {text!r} is not one of {', '.join(Kind)}")
        if not re.fullmatch(r"[0-9]{1,2}", channel) or not 1 <= int(channel) <= 16:
            raise ValueError(f"the channel in {text!r} is 1 to 16, not {channel!r}")
        highest = 0 if kind in OF_THE_CHANNEL else 127
        if not re.fullmatch(r"[0-9]{1,3}", number) or int(number) > highest:
            allowed = "0 to 127" if highest else f"left out, as a channel has one {kind} only"
            raise ValueError(f"the number in {text!r} is {allowed}, not {number!r}")
        return cls(int(channel), Kind(kind), int(number))

    def __str__(self) -> str:
        number = "" if self.kind in OF_THE_CHANNEL else f" {self.number}"
        return f"{self.channel} {self.kind}{number}"


class Taper(StrEnum):
    """How a controller's way is spread over a range, as the taper of a potentiometer."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    """Slow at first: the middle of the way is a tenth of the range, as on a volume knob."""
    LOGARITHMIC = "logarithmic"
    """Fast at first: the exponential one, the other way round."""


_STEEP = 81.0
"""Makes (81^x - 1) / 80, which is 0.1 at 0.5: an audio taper."""

_TAPERS: dict[Taper, Callable[[float], float]] = {
    Taper.LINEAR: lambda share: share,
    Taper.EXPONENTIAL: lambda share: (_STEEP**share - 1.0) / (_STEEP - 1.0),
    Taper.LOGARITHMIC: lambda share: math.log(1.0 + (_STEEP - 1.0) * share) / math.log(_STEEP),
}
"""0 to 1 onto 0 to 1, rising, with exact ends."""


@dataclass(frozen=True, slots=True)
class Range:
    """What a controller's way is spread over, falling where ``low`` is the larger number.

    A fixed value has both ends equal.
    """

    low: float
    high: float
    taper: Taper = Taper.LINEAR

    def at(self, share: float) -> float:
        """The value at a share of the way, 0 to 1; never outside the range."""
        way = _TAPERS[self.taper](min(max(share, 0.0), 1.0))
        value = self.low * (1.0 - way) + self.high * way
        return min(max(value, min(self.low, self.high)), max(self.low, self.high))

    @property
    def fixed(self) -> bool:
        """Whether it is one value only."""
        return self.low == self.high


class Argument(StrEnum):
    """What stands after an action's name."""

    NOTHING = ""
    TRACK = "[TRACK]"
    PRESET = "NAME or NUMBER"
    RANGE = "LOW..HIGH"
    SWITCH = "on, off or toggle"


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
    "preset": Argument.PRESET,
    **{
        name: Argument.SWITCH if parameter.arg.kind == "bool" else Argument.RANGE
        for name, parameter in PARAMETERS.items()
        if parameter.writable and parameter.arg.kind in ("int", "float", "bool") and name != "seed"
    },
}
"""Every action and its argument; each parameter that is a number can be moved by a controller."""

SWITCHES = ("on", "off", "toggle")

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"


@dataclass(frozen=True, slots=True)
class Action:
    """One of :data:`ACTIONS` with its argument."""

    name: str
    track: str | None = None
    preset: str | None = None
    """A preset's name, or its number as :func:`preset_meant` counts."""
    range: Range | None = None
    switch: str | None = None

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
            case Argument.PRESET if rest:
                return cls(name, preset=rest)
            case Argument.RANGE:
                return cls(name, range=_range(name, rest))
            case Argument.SWITCH if rest in SWITCHES:
                return cls(name, switch=rest)
        raise ValueError(f"{text!r} is not {f'{name} {argument}'.strip()!r}")

    @property
    def follows(self) -> bool:
        """Whether it follows every value of a controller; the others are set off like a button."""
        return self.range is not None and not self.range.fixed

    def value(self, share: float, current: object = None) -> float | bool:
        """What a parameter is set to, in its own type, with the controller at ``share``, 0 to 1.

        ``current`` is the present value, which ``toggle`` turns round. For actions that set no
        parameter it raises ValueError.
        """
        if self.switch is not None:
            return not current if self.switch == "toggle" else self.switch == "on"
        if self.range is None:
            raise ValueError(f"the action {self.name!r} sets no parameter")
        value = self.range.at(share)
        return round(value) if PARAMETERS[self.name].arg.kind == "int" else value


def preset_meant(name: str, names: Sequence[str]) -> str:
    """The preset that ``preset NAME`` or ``preset NUMBER`` chooses out of all their ``names``.

    A number counts the names in alphabetical order from 1, as ``sideman presets`` lists them; a
    preset that is itself called by a number is chosen by its name. Raises ``unknown-preset`` for a
    number beyond the last; other names are returned as they are.
    """
    if name in names or not re.fullmatch(r"[0-9]{1,9}", name):
        return name
    if not 1 <= int(name) <= len(names):
        raise SidemanError(
            Code.UNKNOWN_PRESET,
            f"there is no preset {name}: they are counted 1 to {len(names)}, in the order of "
            "`sideman presets`",
        )
    return sorted(names)[int(name) - 1]


def _range(name: str, rest: str) -> Range:
    found = re.fullmatch(rf"({_NUMBER})(?:\s*\.\.\s*({_NUMBER})(?:\s+(\w+))?)?", rest)
    if not found:
        raise ValueError(f"{name!r} wants LOW..HIGH or one number, such as '0.6..1.4'")
    low = float(found[1])
    high = float(found[2]) if found[2] else low
    for end in (low, high):
        try:
            PARAMETERS[name].arg.check(end)
        except ValueError as problem:
            raise ValueError(f"{name} {problem}") from None
    taper = found[3] or Taper.LINEAR
    if taper not in [*Taper]:
        raise ValueError(f"{taper!r} after {name!r} is not one of {', '.join(Taper)}")
    return Range(low, high, Taper(taper))
