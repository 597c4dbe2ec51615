"""notochord's way to send on time: a function that iipyper's ``@repeat`` calls again and again.

Each call sends what is due, one event at most, and returns how long it is until the next one, at
most 10 ms, as the loops of notochord's ``homunculus`` and ``morse`` do. notochord also computes its
next event in that loop; here nobody does, so that the loop alone is measured.

Where iipyper is not installed, the loop is built after what it documents: sleep until 5 ms before
the moment, spin from there on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import mido

from bench.peers.slices import Event, Nowhere, Play, Slice, serve

LONGEST = 10e-3
"""Seconds that a turn may ask to wait."""

TICK = 5e-3
"""What iipyper spins of each wait, by default."""

Turn = Callable[[], float]


def real(system: str) -> tuple[str, Callable[[Turn], object], Any]:
    """iipyper itself. Raises ImportError, or OSError where it lacks PortAudio."""
    import iipyper

    if system:
        mido.set_backend(f"mido.backends.rtmidi/{system}")
    outputs = 1 if system else 0
    midi = iipyper.MIDI(in_ports=["none"], virtual_in_ports=0, virtual_out_ports=outputs, verbose=0)
    return f"iipyper {version('iipyper')}, `@repeat`", iipyper.repeat(lock=True), midi


def rebuilt(system: str) -> tuple[str, Callable[[Turn], object], Any]:
    """The same as documented."""
    port: Any = Nowhere()
    if system:
        backend = mido.Backend(f"mido.backends.rtmidi/{system}")
        port = backend.open_output("repeat", virtual=True)
    lock = threading.RLock()

    def repeat(turn: Turn) -> None:
        def loop() -> None:
            while True:
                with lock:
                    wait = turn()
                end = time.perf_counter() + wait
                if wait > TICK:
                    time.sleep(wait - TICK)
                while time.perf_counter() < end:
                    pass

        threading.Thread(target=loop, daemon=True).start()

    return "iipyper's `@repeat`, rebuilt after its documentation", repeat, port


def prepare(system: str) -> tuple[str, Play]:
    """Start the loop, which has nothing to do yet."""
    try:
        about, repeat, midi = real(system)
    except (ImportError, OSError):
        about, repeat, midi = rebuilt(system)
    due: deque[tuple[float, Event]] = deque()
    sent: list[float] = []
    given, finished = threading.Event(), threading.Event()

    def turn() -> float:
        given.wait()  # an idle loop would spin half of the time, while others are measured
        if due[0][0] <= time.monotonic():
            _, event = due.popleft()
            midi.send(
                mido.Message(
                    "note_on", channel=event.channel, note=event.pitch, velocity=event.velocity
                )
            )
            if event.velocity:
                sent.append(time.monotonic())
            if not due:
                given.clear()
                finished.set()
                return 0.0
        return max(0.0, min(LONGEST, due[0][0] - time.monotonic()))

    def play(piece: Slice) -> tuple[float, list[float]]:
        sent.clear()
        finished.clear()
        due.extend((piece.seconds(event), event) for event in piece.events)
        given.set()
        finished.wait()
        return piece.start, list(sent)

    repeat(turn)
    return f"{about}, the loop that notochord sends by", play


if __name__ == "__main__":
    serve(prepare)
