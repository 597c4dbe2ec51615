"""The torch step, as CUDA uses it: that it computes what the others do, and how fast it is.

    python bench/torch_step.py --device cuda

`bench/gpu.sh` runs it on machines with a GPU. With ``--device cpu`` the same is done without
captured graphs, which only shows that this script works.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from bench.tools import SPREAD, heard, number, spread, table, verdict
from engine import presets
from engine.models import store
from engine.models.base import Model, Stream
from engine.models.rwkv.family import FAMILY

BATCHES = (1, 4, 8, 64)
TOLERANCE = 1e-3
"""Largest difference of a logit; matrix products are summed in another order there."""


def difference(one: Model, other: Model, steps: int) -> dict[str, float]:
    """Largest difference of any logit after feeding, stepping, forking and restoring."""
    rng = np.random.default_rng(0)
    a, b = one.open(), other.open()
    found: dict[str, float] = {}

    def look(what: str, x: Stream, y: Stream) -> None:
        found[what] = max(found.get(what, 0.0), float(np.abs(x.logits - y.logits).max()))

    for stream in (a, b):
        stream.feed(heard())
    look("fed with the context", a, b)
    kept = a.snapshot(), b.snapshot()
    for token in rng.integers(0, one.vocab, steps):
        a.step([token])
        b.step([token])
        look(f"{steps} steps of one", a, b)
    many = a.fork(8), b.fork(8)
    for tokens in rng.integers(0, one.vocab, (steps, 8)):
        for stream in many:
            stream.step(tokens)
        look(f"{steps} steps of a fork of 8", *many)
    a.restore(kept[0])
    b.restore(kept[1])
    look("restored", a, b)
    return found


def step_seconds(model: Model, batch: int, steps: int) -> list[float]:
    """Each step's time, with its logits back in main memory."""
    stream = model.open(batch)
    rows = np.random.default_rng(1).integers(0, model.vocab, (steps + 10, batch))
    seconds = []
    for tokens in rows:
        begun = time.perf_counter()
        stream.step(tokens)
        seconds.append(time.perf_counter() - begun)
    return seconds[10:]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--model", type=Path, default=None)
    a = parser.parse_args()
    folder = a.model or store.find(presets.load(presets.DEFAULT).model)
    torch_model = FAMILY.load(folder, device=a.device, runtime="torch")
    reference = FAMILY.load(folder, precision="float32", runtime="numba")
    for model in (torch_model, reference):
        model.warm_up()

    found = difference(torch_model, reference, 64)
    print(f"Largest difference of a logit, {torch_model.runtime} on {a.device} and numba float32\n")
    print(table(["after", "difference"], [[k, f"{v:.1e}"] for k, v in found.items()]) + "\n")
    agrees = max(found.values()) <= TOLERANCE
    verdict(f"logits agree to {TOLERANCE:g}", agrees)

    rows = []
    for name, model in ((f"{torch_model.runtime}, {a.device}", torch_model), ("numba", reference)):
        for batch in BATCHES:
            seconds = step_seconds(model, batch, a.steps)
            rate = batch / float(np.median(seconds))
            rows.append([f"{name}, {batch} at once", *spread(seconds, 1e6), number(rate)])
    print("\nA step, µs, its logits brought back to main memory\n")
    print(table(["step", *SPREAD, "tokens/s"], rows))
    sys.exit(0 if agrees else 1)


if __name__ == "__main__":
    main()
