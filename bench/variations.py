"""What 8 variations cost beside one: in the maker alone, and through a real engine.

    python bench/variations.py --requests 40

A request is done when its longest variation is, and the longest of 8 is longer than one of them
usually is. So the cost is shown twice: of a step while none is complete yet, as if all were equally
long, and of the request.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from statistics import mean, median

from bench.tools import (
    SPREAD,
    engine,
    heard,
    number,
    remembered,
    shipped,
    spread,
    table,
    verdict,
)
from bridge.measure import BAND, Rehearsal
from engine import presets
from engine.generate import Making
from engine.worker.wire import Room, Wish

COUNTS = (1, 2, 4, 8)
BARS = 4
MOST = 2.5
"""The target: 8 variations cost at most so many times what one does."""


def wish(seed: int, variations: int) -> Wish:
    """Four bars of piano by the default preset's settings."""
    sampling = presets.load(presets.DEFAULT).sampling
    return Wish(
        context_end=0,
        rooms=[Room(4, 4, [], []) for _ in range(BARS)],
        programs=[BAND["piano"]],
        seed=seed,
        variations=variations,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        repetition_penalty=sampling.repetition_penalty,
        penalty_decay=sampling.decay,
        penalty_window=sampling.window,
    )


def in_process(requests: int) -> dict[int, tuple[list[float], list[float]]]:
    """Seconds of each request, and of its steps that write all variations, by their number."""
    model, vocabulary = shipped()
    stream = model.open()
    stream.feed(heard())
    memory = remembered()
    seconds: dict[int, tuple[list[float], list[float]]] = {n: ([], []) for n in COUNTS}
    for seed in range(-1, requests):  # the first is rehearsal
        for count, (whole, each) in seconds.items():
            begun = time.perf_counter()
            making = Making(vocabulary, stream, wish(max(seed, 0), count), memory)
            side_by_side = []
            while not making.done:
                tokens, start = making.tokens, time.perf_counter()
                making.step()
                if making.tokens - tokens == count:
                    side_by_side.append(time.perf_counter() - start)
            if seed >= 0:
                whole.append(time.perf_counter() - begun)
                each.append(mean(side_by_side))
    return seconds


def over_osc(requests: int) -> dict[int, list[float]]:
    """Seconds from the datagram to ``done``, by the number of variations."""
    seconds: dict[int, list[float]] = {1: [], 8: []}
    with engine() as client:
        client.ask("/sideman/set", "speculation", 0)
        rehearsal = Rehearsal(client)
        rehearsal.play_context()
        for seed in range(-1, requests):
            for count in seconds:
                answer = rehearsal.trigger("bars", BARS, "seed", max(seed, 0), "variations", count)
                rehearsal.discard(answer)
                if seed >= 0:
                    seconds[count].append(answer.done)
    return seconds


def ratio(many: Sequence[float], one: Sequence[float]) -> float:
    """How many times dearer, by the medians."""
    return median(many) / median(one)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=40)
    a = parser.parse_args()
    made = in_process(a.requests)
    answered = over_osc(a.requests)
    rows = []
    for count, (whole, each) in made.items():
        rows.append([f"maker, {count}", *spread(whole), number(ratio(whole, made[1][0]))])
        rows.append([f"- a step of {count}", *spread(each), number(ratio(each, made[1][1]))])
    rows += [
        [f"engine over OSC, {count}", *spread(s), number(ratio(s, answered[1]))]
        for count, s in answered.items()
    ]
    print(f"Variations of a take of {BARS} bars, ms a request\n")
    print(table(["variations", *SPREAD, "p50 / one"], rows) + "\n")
    for text, many, one in (
        ("of equal length, 8 steps side by side", made[8][1], made[1][1]),
        ("of their own lengths, the maker alone", made[8][0], made[1][0]),
        ("of their own lengths, through the engine", answered[8], answered[1]),
    ):
        verdict(f"8 cost at most {MOST} times one: {text}", ratio(many, one) <= MOST)


if __name__ == "__main__":
    main()
