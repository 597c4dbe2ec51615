"""From ``sideman serve`` to its ready line, its first pong and its model; and the memory it takes.

    python bench/startup.py --starts 10

Warm is as on any day but the first after the computer was started: files in the page cache, the
compiled step on disk. For cold files the page cache is dropped before each start, which Linux
allows root only. The very first start has no compiled step yet; the engine plays meanwhile.
Memory is summed over all its processes after a take: proportional set size (PSS), in which what
several processes share counts once, and resident set size (RSS), in which it counts each time.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.tools import SPREAD, compile_step, number, spread, table, verdict
from bridge.demo import wait_until_ready
from bridge.measure import Rehearsal, Spread
from bridge.osc.client import OscClient

DROP = Path("/proc/sys/vm/drop_caches")
MOST_SECONDS, MOST_MIB = 1.5, 400.0
"""The targets."""


@dataclass
class Starts:
    """Some starts of one kind: seconds to each moment, and MiB after a take."""

    ready: list[float] = field(default_factory=list)
    pong: list[float] = field(default_factory=list)
    model: list[float] = field(default_factory=list)
    pss: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)


def start(found: Starts, environment: Mapping[str, str]) -> None:
    """Start an engine, wait for all there is to wait for, play a take, and stop it."""
    with tempfile.TemporaryDirectory(prefix="sideman-bench-") as folder:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [
                Path(sys.executable).parent / "sideman", "serve",
                "--osc-port", "0", "--no-midi", "--no-panel", "--sessions", folder,
            ],
            stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found.ready.append(time.perf_counter() - begun)
            host, port = line.partition("osc=")[2].split()[0].rsplit(":", 1)
            with OscClient(host, int(port)) as client:
                client.ask("/sideman/ping", 1)
                found.pong.append(time.perf_counter() - begun)
                wait_until_ready(client)
                found.model.append(time.perf_counter() - begun)
                rehearsal = Rehearsal(client)
                rehearsal.play_context()
                rehearsal.trigger("bars", 8, "variations", 4)
                weigh(process.pid, found)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


def weigh(pid: int, found: Starts) -> None:
    """Add up the memory of a process and all below it."""
    root = psutil.Process(pid)
    infos = [p.memory_full_info() for p in (root, *root.children(recursive=True))]
    found.rss.append(sum(info.rss for info in infos) / 2**20)
    if hasattr(infos[0], "pss"):
        found.pss.append(sum(info.pss for info in infos) / 2**20)


def drop_page_cache() -> bool:
    """Forget all files that the kernel keeps in memory. False where it does not let us."""
    try:
        os.sync()
        DROP.write_text("3")
    except OSError:
        return False
    return True


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--cold", type=int, default=3, help="starts with cold files")
    parser.add_argument("--first", type=int, default=1, help="starts without a compiled step")
    a = parser.parse_args()
    compile_step()
    kinds = {"warm": Starts(), "cold files": Starts(), "no compiled step": Starts()}
    start(Starts(), os.environ)
    for _ in range(a.starts):
        start(kinds["warm"], os.environ)
    for _ in range(a.cold):
        if drop_page_cache():
            start(kinds["cold files"], os.environ)
    for _ in range(a.first):
        with tempfile.TemporaryDirectory() as empty:
            start(kinds["no compiled step"], os.environ | {"NUMBA_CACHE_DIR": empty})
    report(kinds)


def report(kinds: dict[str, Starts]) -> None:
    """The tables, and which targets hold."""
    moments = {"ready": "the ready line", "pong": "the first pong", "model": "the model playing"}
    rows = [
        [f"{kind}: to {text}", *spread(getattr(starts, moment))]
        for kind, starts in kinds.items()
        for moment, text in moments.items()
    ]
    print("`sideman serve`, ms from its start\n")
    print(table(["start", *SPREAD], rows) + "\n")
    warm = kinds["warm"]
    rows = [[name, *spread(values, 1.0)] for name, values in (("PSS", warm.pss), ("RSS", warm.rss))]
    print("Memory of all its processes after a take of 4 variations, MiB\n")
    print(table(["memory", *SPREAD], rows) + "\n")
    pong = Spread.of(warm.pong)
    memory = Spread.of(warm.pss or warm.rss)
    verdict(
        f"answers within {MOST_SECONDS} s (the slowest: {number(pong.most)} s)",
        pong.most <= MOST_SECONDS,
    )
    verdict(
        f"at most {MOST_MIB:g} MB ({'PSS' if warm.pss else 'RSS'}: {number(memory.most)} MiB)",
        memory.most * 2**20 <= MOST_MIB * 10**6,
    )


if __name__ == "__main__":
    main()
