"""The ``rwkv`` package on the same weights, by its own samples: forward, then ``sample_logits``."""

from __future__ import annotations

import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ |= {"RWKV_V7_ON": "1", "RWKV_CUDA_ON": "0", "RWKV_JIT_ON": "1"}

import torch
from rwkv.model import RWKV
from rwkv.utils import PIPELINE
from safetensors.torch import load_file

from bench.peers import Jobs, serve


def prepare(task: dict[str, Any]) -> tuple[str, Jobs]:
    """Load the weights and hear the context once."""
    torch.set_num_threads(1)
    weights = load_file(Path(task["folder"]) / "weights.safetensors")
    size = sum(tensor.numel() for tensor in weights.values())
    for name in ("v0", "v1", "v2"):  # wanted by the package, and not read
        weights[f"blocks.0.att.{name}"] = weights[f"blocks.0.att.a{name[1]}"]
    with tempfile.TemporaryDirectory() as folder:
        torch.save(weights, Path(folder) / "model.pth")
        model = RWKV(model=str(Path(folder) / "model"), strategy="cpu fp32")
    sampler = PIPELINE.__new__(PIPELINE)  # its tokenizer is for text
    context: list[int] = task["context"]
    count: int = task["tokens"]
    kept_logits, kept = model.forward(context, None)

    def play(logits: torch.Tensor, state: list[torch.Tensor]) -> None:
        for i in range(count):
            token = sampler.sample_logits(logits.clone(), 0.95, 0.95)
            if i + 1 < count:
                logits, state = model.forward([int(token)], state)

    def state_kept() -> float:
        begun = time.perf_counter()
        play(kept_logits, [tensor.clone() for tensor in kept])
        return time.perf_counter() - begun

    def prefill() -> float:
        begun = time.perf_counter()
        play(*model.forward(context, None))
        return time.perf_counter() - begun

    return f"rwkv {version('rwkv')}, the same {size / 1e6:.1f} M weights", {
        "state kept": state_kept,
        "prefill": prefill,
    }


if __name__ == "__main__":
    serve(prepare)
