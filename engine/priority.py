"""Who goes first where there are too few processors: who carries notes, before who makes them."""

from __future__ import annotations

import os
from contextlib import suppress

STEPS = 5
"""Of the system's niceness, between one and the next."""


def come_first() -> None:
    """Go before other programs where the system lets us: what we do is short, and somebody plays.

    Whatever is started from now on inherits it.
    """
    if hasattr(os, "nice"):
        with suppress(OSError):  # most users may not
            os.nice(-STEPS)


def give_way() -> None:
    """Stand behind whoever started this process."""
    if hasattr(os, "nice"):
        os.nice(STEPS)
