"""What the grammar's mask costs, and the sampling, beside the model's step.

    python bench/mask.py --takes 10

Takes are written as the engine writes them, with a clock around each part; what reading the clock
costs is taken off.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from bench.tools import heard, number, shipped, table, verdict
from engine import presets
from engine.music import DRUMS, Meter, Note
from engine.sampling import Sampler
from engine.tokens.grammar import Writer
from engine.tokens.plan import BarPlan, ChordSpan, Plan

T = TypeVar("T")

BARS = 8
MOST = 0.05
"""The target: the mask's share of a step."""

C_MAJOR = frozenset({0, 2, 4, 5, 7, 9, 11})
TRIAD = ChordSpan(0, Meter().ticks, frozenset({0, 4, 7}))
HATS = tuple(Note(0, tick, DRUMS, 42, 240, 80) for tick in range(0, Meter().ticks, 480))

PLANS = {
    "piano, free": Plan(tuple(BarPlan() for _ in range(BARS)), (0,)),
    "trio, polyphony 5": Plan(tuple(BarPlan() for _ in range(BARS)), (0, 33, DRUMS), polyphony=5),
    "piano in key, range, density and chords, beside given drums": Plan(
        tuple(BarPlan(Meter(), HATS, (TRIAD,)) for _ in range(BARS)),
        (0,), key=C_MAJOR, low=48, high=84, density=2.0, polyphony=4,
    ),
}  # fmt: skip


class Stopwatch:
    """Adds up what the calls of each part take."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._own = 0.0
        for _ in range(10_000):
            self.time("clock", bool)
        self._own = self.seconds.pop("clock") / 10_000

    def time(self, part: str, call: Callable[..., T], *args: object) -> T:
        """The result of ``call``; its time is added to ``part``, less the clock's own."""
        begun = time.perf_counter()
        result = call(*args)
        self.seconds[part] += time.perf_counter() - begun - self._own
        return result


def measure(plan: Plan, takes: int) -> tuple[dict[str, float], int]:
    """Microseconds a token of each part, and how many tokens that was."""
    model, vocabulary = shipped()
    sampling = presets.load(presets.DEFAULT).sampling
    start = model.open()
    start.feed(heard())
    watch = Stopwatch()
    tokens = 0
    for seed in range(takes):
        stream = start.fork()
        writer = Writer(vocabulary, plan)
        sampler = Sampler(
            seed, sampling.temperature, sampling.top_p, sampling.top_k,
            sampling.repetition_penalty, sampling.decay, sampling.window,
            penalised=vocabulary.pitch,
        )  # fmt: skip
        logits = stream.logits
        while not writer.finished:
            token = watch.time("mask", writer.forced)
            if token is None:
                ids = watch.time("mask", writer.allowed)
                bias = watch.time("mask", writer.bias)
                token = watch.time("sampling", sampler.choose, logits[0], ids, bias)
            watch.time("mask", writer.accept, token)
            logits = watch.time("model", stream.step, [token])
            tokens += 1
    return {part: 1e6 * s / tokens for part, s in watch.seconds.items()}, tokens


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--takes", type=int, default=10)
    a = parser.parse_args()
    measure(PLANS["piano, free"], 1)
    rows, worst = [], 0.0
    for name, plan in PLANS.items():
        us, tokens = measure(plan, a.takes)
        whole = sum(us.values())
        worst = max(worst, us["mask"] / whole)
        rows.append([
            name, str(tokens), *(number(us[part]) for part in ("model", "mask", "sampling")),
            f"{us['mask'] / whole:.1%}", f"{us['sampling'] / whole:.1%}",
        ])  # fmt: skip
    model, _ = shipped()
    print(f"Microseconds a token, one sequence, {model.runtime} {model.precision}\n")
    heads = ["take", "tokens", "model", "mask", "sampling", "mask's share", "sampling's"]
    print(table(heads, rows) + "\n")
    verdict(f"the mask costs less than {MOST:.0%} of a decoding step", worst < MOST)


if __name__ == "__main__":
    main()
