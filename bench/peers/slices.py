"""What the senders share that are compared: a slice of a song at a time, played by the clock.

A sender is a module that is run by ``python -m bench.peers.NAME`` and calls :func:`serve`. Nothing
of Sideman is imported here, so that a sender may live in an environment of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

TICKS_PER_BEAT = 960


class Event(NamedTuple):
    """A note on, or with velocity 0 its off. Ticks are the song's; channels are 0 to 15."""

    tick: int
    channel: int
    pitch: int
    velocity: int


class Slice(NamedTuple):
    """Some events and when they are due."""

    start: float
    """Tick 0, in seconds of ``time.monotonic``."""
    bpm: float
    events: list[Event]

    def seconds(self, event: Event) -> float:
        """When an event is due."""
        return self.start + event.tick * 60.0 / (self.bpm * TICKS_PER_BEAT)


Play = Callable[[Slice], tuple[float, list[float]]]
"""Plays a slice; returns where its tick 0 really was, and when each note on had been sent."""


def serve(prepare: Callable[[str], tuple[str, Play]]) -> None:
    """Say who this is, then play slices until stdin ends.

    ``prepare`` gets the MIDI system in RtMidi's spelling, or nothing where there is none.
    """
    # What a library prints must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    about, play = prepare(json.loads(sys.stdin.readline())["system"])
    print(json.dumps({"about": about}), file=answers, flush=True)
    for line in sys.stdin:
        piece = json.loads(line)
        events = [Event(*event) for event in piece["events"]]
        begun, sent = play(Slice(piece["start"], piece["bpm"], events))
        print(json.dumps({"begun": begun, "sent": sent}), file=answers, flush=True)


class Nowhere:
    """An output for machines without a MIDI system."""

    def send(self, message: Any) -> None:
        """Let it go."""
