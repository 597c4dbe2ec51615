"""A step of MusicGen: ours, transformers' ``generate``, and the bound, side by side.

    python bench/audio_step.py [--device cuda] [--sizes small medium large]

The bound is the time in which the device reads what a step has to read, at the rate at which it
copies memory in the same run: no step that reads its weights once can be much faster.

On a GPU the models have the published sizes. On the processor they are as deep as those and very
narrow, so that only what the processor does beside the mathematics is seen, which is what a GPU
waits for. There is no bound then, for such a model lies in the caches.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from bench.audio_models import (
    SIZES,
    TINY,
    claimed,
    forget_peak,
    make,
    now,
    peak,
    process_peak,
    sizes,
)
from bench.tools import SPREAD, machine, number, spread, table, verdict
from engine.models.audio import Sampling
from engine.models.musicgen.checkpoint import quiet
from engine.models.musicgen.model import MusicGen

PROMPTS = ("dry funk drums, 100 bpm",)
WARM_UP = 20
ROUNDS = 3
SETTINGS = {
    "guided, drawn": Sampling(),
    "no guidance, greedy": Sampling(temperature=0, guidance=1.0),
}


@dataclass(frozen=True, slots=True)
class Target:
    """What is claimed of a size; the figures are of medians."""

    faster: float
    """Times transformers."""

    of_bound: float | None
    """Most times the bound, with guidance."""


TARGETS = {name: Target(4, None) for name in TINY} | {
    "small": Target(8, 4),
    "medium": Target(5, 2),
    "large": Target(5, 1.6),
}


class Clock(StoppingCriteria):  # type: ignore[misc]
    """Notes when ``generate`` has made a step, and stops nothing."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        """Called after every step, with all codes so far."""
        self.moments.append(now(ids.device))
        return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)


def ours(model: MusicGen, frames: int, sampling: Sampling) -> list[float]:
    """Seconds of each step."""
    stream = model.open(len(PROMPTS), frames=frames, sampling=sampling)
    stream.prime(None, PROMPTS)
    moments = [now(model.device)]
    for _ in range(stream.remaining):
        stream.step()
        moments.append(now(model.device))
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


def bytes_of_step(model: MusicGen, frames: int, sampling: Sampling) -> int:
    """What a step reads at least, halfway: each weight once, and the keys and values of each row.

    Keys and values of the prompt were made before; of the embeddings a step reads a few rows.
    """
    packed, batch = model.packed, len(PROMPTS)
    weights = packed.head.numel()
    for layer in packed.layers:
        matrices = (layer.qkv, layer.self_out, layer.text_q, layer.text_out)
        weights += sum(m.numel() for m in (*matrices, layer.feed_in, layer.feed_out))
    rows = batch if sampling.guidance == 1 else 2 * batch
    past = rows * model.delay.places(frames) // 2
    text = sum(len(model.text.tokens(prompt)) for prompt in PROMPTS)
    kept = 2 * len(packed.layers) * packed.width * (past + text)
    return (weights + kept) * packed.head.element_size()


def bandwidth(device: torch.device) -> float:
    """Bytes a second, read and written, as the device copies a large array; the best of 20."""
    size = 2**31 if device.type == "cuda" else 2**28
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    copy = torch.empty_like(source)
    seconds = []
    for _ in range(20):
        begun = now(device)
        copy.copy_(source)
        seconds.append(now(device) - begun)
    return 2 * size / min(seconds)


def measure(name: str, device: str, frames: int, rate: float) -> list[list[str]]:
    """Rows of the table; says whether the targets hold."""
    model = make(name, device)
    target, rows = TARGETS[name], []
    weights = sum(parameter.numel() for parameter in model.network.decoder.parameters())
    print(f"- {name}: {weights / 1e6:.0f} million weights in the decoder, {model.packed.dtype}")
    for what, sampling in SETTINGS.items():
        mine, other = [], []
        # A first one of each, for what is captured or allocated once; then by turns, so that both
        # meet the same machine.
        for run in (ours, theirs):
            forget_peak(model.device)
            run(model, frames, sampling)
            if most := peak(model.device):
                print(f"- {name}, {what}: {run.__name__}: {most}")
        for _ in range(ROUNDS):
            mine += ours(model, frames, sampling)
            other += theirs(model, frames, sampling)
        read = bytes_of_step(model, frames, sampling)
        faster = float(np.median(other) / np.median(mine))
        of_bound = float(np.median(mine)) * rate / read
        holds = {f"{name}, {what}: {target.faster:g} times transformers": faster >= target.faster}
        if target.of_bound and sampling.guidance != 1:
            within = f"{name}, {what}: within {target.of_bound:g} times the bound"
            holds[within] = of_bound <= target.of_bound
        for claim, held in holds.items() if claimed(name, device) else ():
            verdict(claim, held)
        bounded = SIZES[name].whole
        times = number(of_bound) if bounded else "-"
        rows.append([f"{name}; {what}: ours", *spread(mine), number(faster), times])
        rows.append([f"{name}; {what}: transformers", *spread(other), "1", "-"])
        if bounded:
            bound = number(1000 * read / rate)
            what += f": the bound, {read / 1e6:.0f} MB"
            rows.append([f"{name}; {what}", "-", "-", bound, "-", "-", "-", "-", "1"])
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, metavar="SIZE")
    parser.add_argument("--frames", type=int, default=500)
    a = parser.parse_args()
    torch.set_num_threads(1)
    print("\n".join(f"- {name}: {value}" for name, value in machine().items()))
    device = torch.device(a.device)
    rate = bandwidth(device)
    print(f"- memory, copying: {rate / 1e9:.0f} GB/s\n")
    rows = []
    with quiet():
        for name in a.sizes or sizes(a.device):
            rows += measure(name, a.device, a.frames, rate)
    print(f"- {process_peak()}")
    print(f"\nA step of one sequence, ms, on {a.device}, random weights, {a.frames} frames\n")
    print(table(["step", *SPREAD, "times transformers", "of the bound"], rows))


if __name__ == "__main__":
    main()
