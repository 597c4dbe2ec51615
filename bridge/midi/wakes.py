"""How long before its moment a sleeper asks to be woken, learned from how late it is woken."""

from __future__ import annotations

LEAST, MOST = 0.0002, 0.002
"""Seconds. What is slept less is spun more, and costs that much of a processor for each note."""

FORGET = 0.99
"""What is left of a lateness after each further wake."""


class Wakes:
    """Keeps :attr:`margin` above the lateness that is usual at present."""

    def __init__(self) -> None:
        self.margin = 0.001
        """Seconds between the moment to wake at and the one that counts."""

    def woke(self, asked: float, woken: float) -> None:
        """A sleeper that asked for ``asked`` ran at ``woken``; earlier means: something came."""
        late = woken - asked
        if late > 0:
            self.margin = min(MOST, max(LEAST, 1.2 * late, self.margin * FORGET))
