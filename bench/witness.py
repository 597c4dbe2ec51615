"""Whether the machine itself stood still: on each processor somebody who only looks at the clock.

    python -m bench.witness PROCESSOR

sleeps a millisecond at a time, before everybody else where the system allows it, until stdin ends;
then it says when it was not woken in time. A virtual machine whose host has other things to do
stops all of its programs at once, and nobody in it can be on time.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

STEP = 0.001
STALL = 0.001
"""Seconds by which a sleep must be too long to count."""

PRIORITY = 90
"""In real time, of 1 to 99: nothing but the machine keeps it from running."""


class Stall(NamedTuple):
    """A processor did not run what was due; seconds of ``time.monotonic``."""

    begun: float
    ended: float


class Witnesses:
    """One for each processor, until :meth:`stalls` is asked."""

    def __init__(self) -> None:
        affinity = getattr(os, "sched_getaffinity", None)
        processors = sorted(affinity(0)) if affinity is not None else range(os.cpu_count() or 1)
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.witness", str(processor)],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for processor in processors
        ]  # fmt: skip

    def stalls(self) -> list[Stall]:
        """When any of the processors stood still. Ends them."""
        found = []
        for process in self._processes:
            said, _ = process.communicate("")
            found += [Stall(*each) for each in json.loads(said)]
        return sorted(found)


def stood_still(stalls: list[Stall], begun: float, ended: float) -> float:
    """The longest stall that reaches into a time; seconds, 0 for none."""
    overlapping = (s.ended - s.begun for s in stalls if s.begun < ended and s.ended > begun)
    return max(overlapping, default=0.0)


def watch(processor: int) -> list[Stall]:
    """Look at the clock until stdin ends."""
    with suppress(AttributeError, OSError):  # not every system knows these, or lets one
        os.sched_setaffinity(0, {processor})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    stalls = []
    last = time.monotonic()
    while not select.select([sys.stdin], [], [], STEP)[0]:
        now = time.monotonic()
        if now - last - STEP > STALL:
            stalls.append(Stall(last + STEP, now))
        last = now
    return stalls


if __name__ == "__main__":
    print(json.dumps(watch(int(sys.argv[1]))))
