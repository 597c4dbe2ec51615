"""Who goes first where there are too few processors: who carries notes, before who makes them."""

from __future__ import annotations

import os

STEPS = 10
"""Of the system's niceness, between the engine and its workers."""


def give_way() -> None:
    """Stand behind whoever started this process."""
    if hasattr(os, "nice"):
        os.nice(STEPS)


def let_others_in() -> None:
    """Let those have this processor that wait for it, once.

    Linux wakes the receiver of a datagram on the sender's processor, and does not stop the sender
    for it: a program that waits for the first note would get it once the last one is sent.
    """
    if hasattr(os, "sched_yield"):
        os.sched_yield()
