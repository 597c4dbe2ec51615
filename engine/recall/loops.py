"""The loops of the recall, run by Python or compiled by numba: both give the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.recall import blend, chains, contexts, together

Loop = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Loops:
    """One function of each kind; see the modules of their names for arguments."""

    walk: Loop
    link: Loop
    unlink: Loop
    blend: Loop
    advance: Loop
    mix: Loop


_fastest = Loops(
    contexts.walk, chains.link, chains.unlink, blend.blend, together.advance, together.mix
)


def fastest() -> Loops:
    """The compiled ones where this process has them (see :func:`use_compiled`)."""
    return _fastest


def use_compiled() -> None:
    """Have the compiled ones, out of the cache or compiled now; imports numba."""
    global _fastest
    from engine.recall.compiled import loops

    _fastest = loops()
