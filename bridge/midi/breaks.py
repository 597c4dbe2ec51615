"""Breaks: nothing is to be sent for a while, so what would hold the sender up can be done.

A MIDI system that is asked for its ports keeps the interpreter to itself, with JACK for a
millisecond or two, and 20 to 60 ms while it opens or closes one. Notes would wait for it.
"""

from __future__ import annotations

import threading
from math import inf

PATIENCE = 1.0
"""Seconds; where no break is long enough for so long, it has to be done all the same."""


class Breaks:
    """Where the thread that sends, and one that has something long to do, meet."""

    def __init__(self) -> None:
        self._wanted = inf
        self._there = threading.Event()

    def begin(self, seconds: float) -> None:
        """There is nothing to send for so long. On the thread that sends."""
        if seconds >= self._wanted:
            self._wanted = inf
            self._there.set()

    def wait(self, seconds: float, patience: float = PATIENCE) -> bool:
        """Wait for a break of so many seconds to begin; False where none came in time."""
        self._there.clear()
        self._wanted = seconds
        came = self._there.wait(patience)
        self._wanted = inf
        return came
