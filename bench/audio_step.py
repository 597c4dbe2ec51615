"""A step of MusicGen: ours and transformers' ``generate``, side by side, on tiny random models.

    python bench/audio_step.py [--device cuda]

The models are as deep as the real ones and very narrow, so this measures what the processor does
for a step beside the mathematics: what a GPU waits for. Nothing here is a figure of a real model.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from bench.tools import SPREAD, machine, number, spread, table, verdict
from engine.models.audio import Sampling
from engine.models.musicgen import tiny
from engine.models.musicgen.checkpoint import quiet
from engine.models.musicgen.model import MusicGen

DEPTHS = {2: "2 layers", 24: "24 layers, as in small"}
PROMPTS = ("dry funk drums, 100 bpm",)
WARM_UP = 20
LIMIT = 0.25
"""Ours takes at most this much of transformers' time, at the median."""


class Clock(StoppingCriteria):  # type: ignore[misc]
    """Notes when ``generate`` has made a step, and stops nothing."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        """Called after every step, with all codes so far."""
        self.moments.append(_now(ids.device))
        return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)


def ours(model: MusicGen, frames: int, sampling: Sampling) -> list[float]:
    """Seconds of each step."""
    stream = model.open(len(PROMPTS), frames=frames, sampling=sampling)
    stream.prime(None, PROMPTS)
    moments = [_now(model.device)]
    for _ in range(stream.remaining):
        stream.step()
        moments.append(_now(model.device))
    return _steps(moments)


def theirs(model: MusicGen, frames: int, sampling: Sampling) -> list[float]:
    """The same of ``generate``, with the same settings."""
    clock = Clock()
    chosen = (
        {"do_sample": False}
        if sampling.greedy
        else {"do_sample": True, "top_k": sampling.top_k, "temperature": sampling.temperature}
    )
    model.network.generate(
        input_ids=torch.tensor([model.text.tokens(PROMPTS[0])], device=model.device),
        guidance_scale=sampling.guidance,
        max_length=model.delay.places(frames),
        stopping_criteria=StoppingCriteriaList([clock]),
        **chosen,
    )
    return _steps(clock.moments)


def _steps(moments: Sequence[float]) -> list[float]:
    return [float(step) for step in np.diff(moments)[WARM_UP:]]


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--frames", type=int, default=500)
    a = parser.parse_args()
    torch.set_num_threads(1)
    print("\n".join(f"- {name}: {value}" for name, value in machine().items()) + "\n")
    rows, holds = [], True
    with tempfile.TemporaryDirectory() as parent, quiet():
        for layers, depth in DEPTHS.items():
            model = MusicGen.load(
                tiny.write(Path(parent), layers=layers, card=2048), device=a.device
            )
            for what, sampling in (
                ("guided, drawn", Sampling()),
                ("no guidance, greedy", Sampling(temperature=0, guidance=1.0)),
            ):
                # By turns, so that both meet the same machine.
                mine, other = [], []
                for _ in range(3):
                    mine += ours(model, a.frames, sampling)
                    other += theirs(model, a.frames, sampling)
                share = float(np.median(mine) / np.median(other))
                name = f"{depth}; {what}"
                rows.append([f"{name}: ours", *spread(mine), number(share)])
                rows.append([f"{name}: transformers", *spread(other), "1"])
                holds = holds and share <= LIMIT
    print(f"A step of one sequence, ms, on {a.device} with one thread; tiny random models\n")
    print(table(["step", *SPREAD, "of p50"], rows) + "\n")
    verdict(f"ours takes at most {LIMIT:g} of transformers' time at the median", holds)
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
