"""Who goes first where there are too few processors: who carries notes, before who makes them."""

from __future__ import annotations

import os
from contextlib import suppress

REAL_TIME = 5
"""Of 1 to 99, as a real-time priority: below what carries sound, which JACK puts at 10."""

STEPS = 10
"""Of the system's niceness, between the engine and its workers."""


FURTHER_STEPS = 15
"""For who makes sound: it is made far ahead, and notes are not."""


def give_way(steps: int = STEPS) -> None:
    """Stand behind whoever started this process."""
    if hasattr(os, "nice"):
        os.nice(steps)


def go_first(behind: int = 0) -> bool:
    """Stand before everybody else, where the system allows it; True where it does.

    For a process that sleeps nearly always: in real time it is woken within tens of microseconds,
    whatever else computes. Linux lets members of its audio group do it. Only this thread and those
    that it starts do; ``behind`` is how many steps it stands behind others of its process.
    """
    if not hasattr(os, "sched_setscheduler"):
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REAL_TIME - behind))
    except OSError:
        with suppress(OSError):
            os.nice(-STEPS)
        return False
    return True


def let_others_in() -> None:
    """Let those have this processor that wait for it, once.

    Linux wakes the receiver of a datagram on the sender's processor, and does not stop the sender
    for it: a program that waits for the first note would get it once the last one is sent.
    """
    if hasattr(os, "sched_yield"):
        os.sched_yield()
