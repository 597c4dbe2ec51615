"""What the benches share: tables, verdicts, and what machine this is."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from bridge.demo import running_engine, wait_until_ready
from bridge.measure import CONTEXT_BARS, Spread, band_bar
from bridge.osc.client import OscClient
from engine import presets
from engine.models import registry, store
from engine.models.base import Model
from engine.music import COMMON_TIME
from engine.recall.memory import Memory
from engine.tokens.encode import encode_bar
from engine.tokens.vocabulary import Vocabulary

ROOT = Path(__file__).parents[1]
SPREAD = ("n", "min", "p50", "p95", "p99", "max")
"""Heads of the columns that :func:`spread` fills."""

PACKAGES = ("numpy", "numba", "torch", "rwkv", "transformers", "onnxruntime")


def spread(values: Sequence[float], scale: float = 1000.0) -> list[str]:
    """The columns of :data:`SPREAD`; the values are seconds, and shown as milliseconds."""
    if not values:
        return ["0", *["-"] * (len(SPREAD) - 1)]
    s = Spread.of(values, scale)
    return [str(s.n), *(number(x) for x in (s.least, s.p50, s.p95, s.p99, s.most))]


def number(value: float) -> str:
    """Three digits that count, and no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.5f}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that reads well as plain text: first column left, the others right."""
    widths = [max(3, *map(len, column)) for column in zip(heads, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join([first, *rest])} |"

    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join([line(heads), line(rule), *(line(row) for row in rows)])


def verdict(target: str, holds: bool) -> None:
    """Say whether a target holds."""
    print(f"- {'holds' if holds else 'DOES NOT HOLD'}: {target}")


def cpu() -> str:
    """What the processor calls itself."""
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    return found[1] if found else platform.machine()


def machine() -> dict[str, str]:
    """The machine and the versions that the figures belong to."""
    facts = {
        "CPU": cpu(),
        "cores": f"{os.cpu_count()} logical, {psutil.cpu_count(logical=False)} physical",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.platform(),
        "load before": " ".join(f"{load:.2f}" for load in psutil.getloadavg()),
        "Python": sys.version.split()[0],
    }
    for name in PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "not installed"
    return facts


def compile_step() -> None:
    """Have the shipped model's step on disk, as from the second start on."""
    folder = store.find(presets.load(presets.DEFAULT).model)
    subprocess.run([sys.executable, "-m", "engine.models.rwkv.compile", folder], check=True)


@contextmanager
def engine(*options: str) -> Iterator[OscClient]:
    """A client of a fresh ``sideman serve`` that has its model."""
    compile_step()
    with (
        tempfile.TemporaryDirectory(prefix="sideman-bench-") as folder,
        running_engine(Path(folder), *options) as (host, port),
        OscClient(host, port) as client,
    ):
        client.hello("bench")
        wait_until_ready(client)
        yield client


@cache
def shipped() -> tuple[Model, Vocabulary]:
    """The default preset's model in this process, warmed up, and its vocabulary."""
    folder = store.find(presets.load(presets.DEFAULT).model)
    model = registry.load(folder)
    model.warm_up()
    return model, Vocabulary.load(folder)


def heard(bars: int = CONTEXT_BARS) -> list[int]:
    """What the shipped model hears in some bars of the band."""
    return [token for bar in heard_bars(bars) for token in bar]


def heard_bars(bars: int = CONTEXT_BARS) -> list[list[int]]:
    """The same bar by bar, with what every context begins with before the first."""
    _, vocabulary = shipped()
    tokens = [[vocabulary.ids["BOS_None"]]]
    for bar in range(bars):
        notes = [note for track in band_bar(bar).values() for note in track]
        tokens.append(encode_bar(vocabulary, COMMON_TIME, notes))
    return tokens


def remembered(bars: int = CONTEXT_BARS) -> Memory | None:
    """The shipped model's memory after some bars of the band."""
    model, vocabulary = shipped()
    folder = store.find(presets.load(presets.DEFAULT).model)
    memory = Memory.of(folder, model.info, vocabulary)
    if memory is not None:
        memory.follow(list(enumerate(heard_bars(bars))))
    return memory


def one_thread() -> Mapping[str, str]:
    """The environment in which everybody computes on one thread, as a live engine has to."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return os.environ | dict.fromkeys(names, "1") | {"OMP_WAIT_POLICY": "PASSIVE"}
