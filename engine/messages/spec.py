"""What a message is made of: arguments with ranges, and classes that know their address.

A message is a frozen dataclass whose fields are its OSC arguments, in order. The decorator
:func:`message` gives it an address and reads the :class:`Arg` of each field, and that is all that
validation, the reference in the docs and ``capabilities`` need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, ClassVar, Final, Literal, Self, TypeVar, dataclass_transform

from engine.errors import Code, SidemanError

Scalar = int | float | str
"""One OSC argument: the wire knows ``i``, ``f`` and ``s``."""

TrackRef = int | str
"""A track, by its number or by its name."""

Kind = Literal["int", "float", "str", "bool", "int|str", "any"]
"""``bool`` travels as 0 or 1; ``int|str`` is a number or a name; ``any`` is whatever came."""

REQUIRED: Final = object()
"""The default of an argument that has none."""

LAST_TRACK: Final = 9999

LONGEST_TEXT: Final = 1000
"""Most characters of a text argument where the table sets no other bound."""

_LETTERS: Final[dict[Kind, str]] = {
    "int": "i", "float": "f", "str": "s", "bool": "i", "int|str": "i or s", "any": "i, f or s",
}  # fmt: skip
_NOUNS: Final[dict[Kind, str]] = {
    "int": "a whole number", "float": "a number", "bool": "0 or 1", "any": "a number or text",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument: its type, what is allowed, and its line in the docs.

    ``low`` and ``high`` bound a number inclusively, and a text by its number of characters;
    ``above`` is an exclusive lower bound. ``choices`` are the texts allowed, and with ``joined``
    any of them, joined by ``+``.
    """

    name: str
    kind: Kind
    doc: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    joined: bool = False
    default: Any = REQUIRED
    unit: str = ""

    @property
    def required(self) -> bool:
        """Whether a message without this argument is refused."""
        return self.default is REQUIRED

    @property
    def letter(self) -> str:
        """The OSC type tag, or tags."""
        return _LETTERS[self.kind]

    def takes(self, value: object) -> bool:
        """Whether the value's type could be meant for this argument, whatever its range."""
        if isinstance(value, str):
            return self.kind in ("str", "int|str", "any")
        return self.kind != "str"

    def check(self, value: object) -> Any:
        """The value in this argument's own type: int, float, str, bool, or a frozenset if joined.

        A whole float passes for an int and an int for a float; text never becomes a number.
        Raises :class:`ValueError` with a phrase that says what is allowed and what came.
        """
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int | float) and self.kind != "str":
            return self._number(value)
        raise self._refused(value)

    def _text(self, value: str) -> str | frozenset[str]:
        if self.kind not in ("str", "int|str", "any"):
            raise self._refused(value)
        if self.joined:
            parts = value.split("+")
            if not set(parts) <= set(self.choices) or len(set(parts)) < len(parts):
                raise self._refused(value)
            return frozenset(parts)
        if self.choices:
            if value not in self.choices:
                raise self._refused(value)
        elif self.kind == "str":
            low, high = self.low or 0, self.high or LONGEST_TEXT
            if not low <= len(value) <= high:
                raise ValueError(f"must have {low:g} to {high:g} characters, it has {len(value)}")
        elif self.kind == "int|str" and not 1 <= len(value) <= LONGEST_TEXT:
            raise self._refused(value)
        return value

    def _number(self, value: int | float) -> int | float | bool:
        if not math.isfinite(value):
            raise self._refused(value)
        if self.kind == "bool":
            if value not in (0, 1):
                raise self._refused(value)
            return bool(value)
        if isinstance(value, bool):
            raise self._refused(value)
        if self.kind == "float":
            value = float(value)
        elif self.kind != "any":
            if value != int(value):
                raise self._refused(value)
            value = int(value)
        if (
            (self.low is not None and value < self.low)
            or (self.high is not None and value > self.high)
            or (self.above is not None and value <= self.above)
        ):
            raise self._refused(value)
        return value

    @property
    def allowed(self) -> str:
        """What is allowed, in words: ``a whole number from 1 to 64``."""
        words = [f'"{choice}"' for choice in self.choices]
        if self.joined:
            return f"any of {', '.join(words)}, joined by +"
        if self.kind == "str":
            return one_of(words) or "text"
        if self.kind == "int|str":
            return f"{one_of(words) or 'a name'} or a whole number{self._range()}"
        return _NOUNS[self.kind] + self._range()

    def _range(self) -> str:
        if self.above is not None:
            return f" above {self.above:g}" + (
                "" if self.high is None else f" and at most {self.high:g}"
            )
        if self.low is not None and self.low == self.high:
            return f", {self.low:g}"
        low = "" if self.low is None else f" from {self.low:.10g}"
        return low + ("" if self.high is None else f" to {self.high:.10g}")

    def _refused(self, value: object) -> ValueError:
        hint = nearest(value, self.choices) if isinstance(value, str) else ""
        return ValueError(f"must be {self.allowed}, not {shown(value)}{hint}")


def one_of(words: Sequence[str]) -> str:
    """``"a", "b" or "c"``, or nothing where there are none."""
    return " or ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)


def shown(value: object) -> str:
    """A value as an error message quotes it: short and on one line."""
    if isinstance(value, str):
        text = value if len(value) <= 40 else value[:37] + "..."
        return '"' + "".join(c if c.isprintable() else "?" for c in text) + '"'
    return str(value)


def nearest(wrong: str, names: Sequence[str]) -> str:
    """`` (did you mean "bars"?)``, or nothing where no name comes near."""
    near = get_close_matches(wrong[:LONGEST_TEXT], names, n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""


def bad_arguments(address: str, text: str) -> SidemanError:
    """The error of a message whose arguments are wrong, with its address in front."""
    return SidemanError(Code.BAD_ARGUMENTS, f"{address}: {text}")


class Message:
    """Base of commands and replies. Subclasses are frozen dataclasses made by :func:`message`."""

    __slots__ = ()

    address: ClassVar[str] = ""
    arguments: ClassVar[tuple[Arg, ...]] = ()
    doc: ClassVar[str] = ""
    answer: ClassVar[str] = ""

    def args(self) -> tuple[Scalar, ...]:
        """The OSC arguments, typed as the table says; what was left out stays out."""
        values: list[Scalar] = []
        for argument in self.arguments:
            value = getattr(self, argument.name)
            if value is None:
                continue
            if argument.kind == "float":
                value = float(value)
            values.append(int(value) if isinstance(value, bool) else value)
        return tuple(values)

    @classmethod
    def from_args(cls, address: str, args: Sequence[object]) -> Self:
        """Checks the arguments of a message that came to ``address`` (used in the error text).

        Raises :class:`SidemanError` with ``bad-arguments``.
        """
        return cls(*checked(address, cls.arguments, args))


def checked(address: str, arguments: Sequence[Arg], args: Sequence[object]) -> list[Any]:
    """The values of ``arguments``, in order, out of what came; defaults where nothing came.

    An optional argument may be left out in the middle too, where the next value's type says so.
    Raises :class:`SidemanError` with ``bad-arguments`` that names the argument.
    """
    values: list[Any] = []
    given = 0
    last = len(arguments) - 1
    for i, argument in enumerate(arguments):
        if given == len(args):
            if argument.required:
                raise bad_arguments(
                    address, f"{argument.name} is missing, it must be {argument.allowed}"
                )
            values.append(argument.default)
            continue
        value = args[given]
        if not argument.required and i < last and not argument.takes(value):
            values.append(argument.default)
            continue
        try:
            values.append(argument.check(value))
        except ValueError as error:
            raise bad_arguments(address, f"{argument.name} {error}") from None
        given += 1
    if given < len(args):
        takes = ", ".join(a.name for a in arguments) or "none"
        raise bad_arguments(address, f"{len(args) - given} argument(s) too many; it takes {takes}")
    return values


def arg(
    kind: Kind,
    doc: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
    joined: bool = False,
    default: Any = REQUIRED,
    unit: str = "",
) -> Any:
    """A dataclass field that is an :class:`Arg`; its name is the field's."""
    spec = Arg("", kind, doc, low, high, above, choices, joined, default, unit)
    if default is REQUIRED:
        return field(metadata={"arg": spec})
    return field(default=default, metadata={"arg": spec})


def track() -> Any:
    """A dataclass field that names a track."""
    return arg("int|str", "number or name", low=0, high=LAST_TRACK)


T = TypeVar("T", bound=type[Message])


@dataclass_transform(frozen_default=True, field_specifiers=(arg, track))
def message(address: str, answer: str = "") -> Callable[[T], T]:
    """Makes a class a frozen, slotted dataclass with an ``address``; its docstring is its doc."""

    def make(cls: T) -> T:
        made: Any = dataclass(frozen=True, slots=True)(cls)
        made.address = address
        made.answer = answer
        made.doc = " ".join((cls.__doc__ or "").split())
        made.arguments = tuple(
            replace(f.metadata["arg"], name=f.name) for f in fields(made) if "arg" in f.metadata
        )
        result: T = made
        return result

    return make
