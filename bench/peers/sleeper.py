"""What the machine's timer is worth: sleep until each deadline, look at the clock, do nothing."""

from __future__ import annotations

import time

from bench.peers.slices import Play, Slice, serve


def prepare(system: str) -> tuple[str, Play]:
    """Nothing has to be."""

    def play(piece: Slice) -> tuple[float, list[float]]:
        woken = []
        for event in piece.events:
            if (left := piece.seconds(event) - time.monotonic()) > 0:
                time.sleep(left)
            if event.velocity:
                woken.append(time.monotonic())
        return piece.start, woken

    return "the machine's timer: a bare process that sleeps until each deadline", play


if __name__ == "__main__":
    serve(prepare)
