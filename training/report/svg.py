"""Markup, and the few pieces that every plot is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

Attribute = str | float


class Markup(str):
    """Text that is markup already, and is not escaped again."""

    __slots__ = ()


def tag(name: str, *inner: str, **attributes: Attribute) -> Markup:
    """An element. ``class_`` is the class; an underscore inside a name is a hyphen."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
    )
    content = "".join(part if isinstance(part, Markup) else escape(part) for part in inner)
    return Markup(f"<{name}{given}>{content}</{name}>")


def join(parts: Iterable[Markup]) -> Markup:
    """Pieces of markup, one after another."""
    return Markup("".join(parts))


def plot(width: float, height: float, label: str, *inner: Markup) -> Markup:
    """A drawing as wide as its place allows; ``label`` says to those who can't see it what it is.

    Coordinates run from 0 to ``width`` and, downwards, to ``height``.
    """
    return tag(
        "svg", *inner, viewBox=f"0 0 {_value(width)} {_value(height)}", role="img", aria_label=label
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "middle") -> Markup:
    """Words whose base line is at ``y``."""
    return tag("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def steps(most: float, about: int = 4) -> list[float]:
    """Round numbers from 0 to at least ``most``, about so many steps apart."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / about
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [step * i for i in range(math.ceil(most / step - 1e-9) + 1)]


def number(value: float) -> str:
    """A number as a person writes it: three digits are enough."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _value(value: Attribute) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
