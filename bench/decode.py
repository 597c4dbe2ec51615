"""Tokens per second of every runtime on the same weights, beside what memory allows.

    python bench/decode.py --rounds 100
    python bench/decode.py --model FOLDER

All take turns in one process, on one thread, some steps at a time, so that a busy machine is as
busy for each; by default the clock counts only the time for which the thread has the processor.
The bound is the time in which numpy reads an array of as many bytes as a step's weights have, in
the same rounds: no step that reads its weights once can be much faster. Without ``--model`` the
weights are random, of two sizes; speed does not depend on them.
"""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
os.environ |= {"RWKV_V7_ON": "1", "RWKV_CUDA_ON": "0"}

import argparse
import contextlib
import io
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from bench.tools import machine, number, spread, table, verdict
from engine.models.folder import ModelInfo, Weights, write_model
from engine.models.rwkv.architecture import ARCHITECTURE, Sizes, tensors
from engine.models.rwkv.family import FAMILY, RwkvModel, read

Floats = NDArray[np.float32]
Job = Callable[[int], object]
"""Makes a step with a token."""

SIZES = {
    "4 x 256": Sizes(4, 256, 64, 1024, 560, 32, 32, 32, 64),
    "6 x 384": Sizes(6, 384, 64, 1536, 2048, 32, 32, 32, 64),
}

BATCHES = (2, 4, 8)
FASTER = 10
"""Targets: times the ``rwkv`` package's tokens per second, …"""

SHARE = {"float32": 0.9, "int8": 0.5}
"""… shares of the bound, …"""

MOST = 2.5
"""… and what 8 sequences cost next to one."""


def random_model(folder: Path, sizes: Sizes) -> Path:
    """A model folder of random weights in which nothing grows or dies."""
    rng = np.random.default_rng(0)
    weights = {}
    for name, shape in tensors(sizes).items():
        if len(shape) == 1:
            ones = name.endswith("weight") or name.endswith(("k_k", "k_a"))
            weights[name] = np.full(shape, float(ones), np.float32)
        else:
            fan = shape[1] if name.endswith("weight") else shape[0]
            weights[name] = rng.normal(0, 0.7 * fan**-0.5, shape).astype(np.float32)
    file = Weights("weights.safetensors", "")
    info = ModelInfo(1, "random", "rwkv", "midi", ARCHITECTURE, sizes.to_json(), file)
    write_model(folder, info, weights)
    return folder


def reader(size: int) -> Job:
    """Reads ``size`` bytes as fast as numpy's BLAS does."""
    matrix = np.ones((size // 1024, 256), np.float32)
    vector, out = np.ones(256, np.float32), np.empty(size // 1024, np.float32)
    return lambda token: np.dot(matrix, vector, out=out)


def rwkv_package(weights: dict[str, Floats], folder: Path) -> Job:
    """The ``rwkv`` package, warmed up until its compiler is done."""
    import torch

    torch.set_num_threads(1)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from rwkv.model import RWKV

        unread = {f"blocks.0.att.v{i}": weights[f"blocks.0.att.a{i}"] for i in range(3)}
        saved = {name: torch.from_numpy(array) for name, array in (weights | unread).items()}
        torch.save(saved, folder / "model.pth")
        model = RWKV(model=str(folder / "model"), strategy="cpu fp32")
        state = [None]

        def step(token: int) -> object:
            logits, state[0] = model.forward([token], state[0])
            return logits

        for _ in range(5):
            step(0)
    return step


def ours(folder: Path, runtime: str, precision: str, batch: int = 1) -> tuple[Job, int]:
    """A stepper of ours, and the bytes of weights that it reads."""
    model = FAMILY.load(folder, runtime=runtime, precision=precision)
    assert isinstance(model, RwkvModel)
    stream = model.open(batch)
    return (lambda token: stream.step([token] * batch)), model.weight_bytes


def jobs(folder: Path, scratch: Path) -> tuple[dict[str, Job], dict[str, int]]:
    """Everybody, and the bytes of weights by precision."""
    _, sizes, weights = read(folder)
    todo: dict[str, Job] = {}
    try:
        todo["rwkv package"] = rwkv_package(weights, scratch)
    except ImportError as missing:
        print(f"(no rwkv package: {missing})")
    try:
        from bench.peers.onnx_step import onnx_steps

        for precision, step in onnx_steps(weights, sizes, scratch).items():
            todo[f"onnxruntime {precision}"] = step
    except ImportError as missing:
        print(f"(no onnxruntime: {missing})")
    todo["numpy float32"], _ = ours(folder, "numpy", "float32")
    size = {}
    for precision in SHARE:
        todo[f"numba {precision}"], size[precision] = ours(folder, "numba", precision)
        todo[f"bound {precision}"] = reader(size[precision])
        for batch in BATCHES:
            todo[f"numba {precision}, {batch} at once"], _ = ours(folder, "numba", precision, batch)
    return todo, size


CLOCKS = {"cpu": time.thread_time, "wall": time.perf_counter}


def measure(
    todo: dict[str, Job], rounds: int, clock: Callable[[], float], steps: int = 5
) -> dict[str, list[float]]:
    """Seconds of each step; in turns of some steps, the first of which warms the caches."""
    seconds: dict[str, list[float]] = {name: [] for name in todo}
    for token in range(rounds):
        for name, job in todo.items():
            for step in range(steps):
                begun = clock()
                job(token)
                took = clock() - begun
                if step and token:
                    seconds[name].append(took)
    return seconds


def sequences(name: str) -> int:
    """How many tokens a step of that job makes."""
    return int(name.rpartition(", ")[2].partition(" ")[0]) if name.endswith("at once") else 1


def report(title: str, seconds: dict[str, list[float]], size: dict[str, int]) -> None:
    """The table and the verdicts."""
    p50 = {name: median(values) for name, values in seconds.items()}
    package = p50.get("rwkv package")
    rows = []
    for name, values in seconds.items():
        columns = [name, *spread(values, 1e6)]
        rate = sequences(name) / p50[name]
        columns += ["-"] * 2 if name.startswith("bound") else [
            number(rate), number(rate * package) if package else "-"
        ]  # fmt: skip
        precision = next((p for p in size if name == f"numba {p}"), None)
        columns.append(number(p50[f"bound {precision}"] / p50[name]) if precision else "-")
        rows.append(columns)
    print(f"\n{title}\n")
    heads = ("µs a step", "n", "min", "p50", "p95", "p99", "max")
    print(table([*heads, "tokens/s", "x package", "of the bound"], rows) + "\n")
    for precision, bytes_ in size.items():
        one, bound = p50[f"numba {precision}"], p50[f"bound {precision}"]
        rate = bytes_ / bound / 1e9
        print(f"- {precision}: {bytes_ / 1e6:.2f} MB a step; memory reads it at {rate:.1f} GB/s")
        if package:
            verdict(f"{precision}: {FASTER} times the package's tokens", FASTER * one <= package)
        share = SHARE[precision]
        verdict(f"{precision}: {share:.0%} of the bound", bound >= share * one)
        eight = p50[f"numba {precision}, 8 at once"]
        verdict(f"{precision}: 8 at once for {MOST} times one", eight <= MOST * one)


def models(chosen: Path | None, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Titles and folders."""
    if chosen:
        yield chosen.name, chosen
        return
    for name, sizes in SIZES.items():
        folder = scratch / name.replace(" ", "")
        yield f"{name}, {sizes.parameters / 1e6:.1f} M weights", random_model(folder, sizes)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    a = parser.parse_args()
    for fact, value in machine().items():
        print(f"{fact}: {value}")
    with tempfile.TemporaryDirectory(prefix="sideman-bench-") as scratch:
        for title, folder in models(a.model, Path(scratch)):
            with tempfile.TemporaryDirectory(dir=scratch) as own:
                todo, size = jobs(folder, Path(own))
                report(title, measure(todo, a.rounds, CLOCKS[a.clock]), size)


if __name__ == "__main__":
    main()
