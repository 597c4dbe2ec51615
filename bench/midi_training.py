"""Training: tokens per second of our step beside transformers models of the same size.

    python bench/midi_training.py tokens/
    python bench/midi_training.py tokens/ --compile

All hear the same segments of the same data set, in batches of the same size, with the same
optimiser, clipping and precision, on all cores. Ours carries its state from one segment to the
next and averages its weights; the others see no further back than a segment begins. All take
turns, step by step, so that a busy machine is as busy for each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from bench.peers.generate import build
from bench.tools import number, table
from training.data import Lanes, TokenSet
from training.train_midi import TrainConfig, Trainer, bf16

PEERS = {"transformers GPT-2": "gpt2", "transformers Llama": "llama"}

Step = Callable[[], Any]


def ours(config: TrainConfig) -> tuple[Step, int]:
    """The trainer's own step, and how many numbers it trains."""
    trainer = Trainer(config)
    compute = trainer._compiled() if config.compiles else trainer.model
    return lambda: trainer._one_step(compute), trainer.trainable


def peer(kind: str, config: TrainConfig) -> tuple[Step, int]:
    """The same step of a transformers model with as many layers and channels."""
    data = TokenSet(config.data)
    device = torch.device(config.device)
    sizes = asdict(config.shape) | {"vocab": data.vocabulary.size}
    torch.manual_seed(config.seed)
    model = build(kind, sizes, config.ctx).train(mode=False).to(device)  # only without dropout
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW(
        weights, lr=config.peak_rate, betas=config.betas, weight_decay=config.decay, fused=True
    )
    lanes = Lanes(data, config.lanes, config.augment, config.seed)
    compute: Any = torch.compile(model, dynamic=False) if config.compiles else model
    narrow = bf16(config.precision, device)

    def step() -> None:
        rows, _ = lanes.segment(config.ctx)
        segment = torch.from_numpy(rows).to(device)
        with torch.autocast(device.type, torch.bfloat16) if narrow else nullcontext():
            logits = compute(segment[:, :-1].contiguous(), use_cache=False).logits
        loss = F.cross_entropy(logits.float().flatten(0, 1), segment[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, config.clip)
        loss.item()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, sum(weight.numel() for weight in weights)


def in_turns(steps: Mapping[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of each one's steps; the first, which warms up, is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - begun)
    return {name: values[1:] for name, values in seconds.items()}


def main() -> None:
    """Measure, and say whether the target holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tokens", type=Path, help="folder of a token data set")
    parser.add_argument("--steps", type=int, default=8, help="of each")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--ctx", type=int, default=1024)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="takes minutes")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sideman-bench-") as folder:
        config = TrainConfig(
            a.tokens, Path(folder), lanes=a.lanes, ctx=a.ctx, device=a.device, compile=a.compile
        )
        found = {"Sideman, RWKV-7": ours(config)}
        found |= {name: peer(kind, config) for name, kind in PEERS.items()}
        seconds = in_turns({name: step for name, (step, _) in found.items()}, a.steps)
    precision = "bf16" if bf16(config.precision, torch.device(a.device)) else "fp32"
    print(
        f"{a.lanes} x {a.ctx} tokens a step, {precision}, {a.device}, "
        f"{torch.get_num_threads()} threads, {'compiled' if a.compile else 'eager'}\n"
    )
    tokens = a.lanes * a.ctx
    rates = {name: tokens / median(values) for name, values in seconds.items()}
    rows = [
        [name, f"{found[name][1]:,}", number(median(values)), number(rates[name])]
        for name, values in seconds.items()
    ]
    print(table(["trains", "parameters", "s a step, p50", "tokens/s"], rows), "\n")
    own, *others = rates.values()
    print(f"Ours has {own / max(others):.2f} times the tokens per second of the fastest other.")


if __name__ == "__main__":
    main()
