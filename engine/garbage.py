"""Keeps Python's garbage collector out of the music.

A full collection walks through all that lives: tens of milliseconds, at a moment of its own choice.
Young objects are still collected as they come, in a fraction of a millisecond; the full collection
is left to :func:`sweep`, which is called where nobody waits.
"""

from __future__ import annotations

import gc

YOUNG, MIDDLE, FULL = 5_000, 20, 1_000_000
"""Allocations before the youngest are looked at; how often that, before the next older ones are."""


def settle() -> None:
    """What lives now stays: let no collection walk through it again, and none be full."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, FULL)


class Sweeper:
    """Collects in full once in a while, when there is nothing else to do. One thread only."""

    def __init__(self, every: float = 30.0) -> None:
        """``every`` so many seconds at most; time is a parameter."""
        self._every = every
        self._swept_at: float | None = None

    def idle(self, now: float) -> bool:
        """Nobody waits for anything just now. True where that was used."""
        if self._swept_at is None:
            self._swept_at = now
        if now - self._swept_at < self._every:
            return False
        self._swept_at = now
        gc.collect()
        return True
