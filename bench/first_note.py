"""First note after the trigger, 16 bars of four tracks already heard; the peers in the same run.

    python bench/first_note.py --triggers 200 --midigpt /path/to/python

Ours is measured from outside: from sending the OSC datagram to having the first ``clip/note`` in
hand, at a real ``sideman serve``. Each trigger has heard a bar more than the one before. The peers
are given less to do: the same tokens in their own process, without a server, a grammar or a wire;
once with their state or cache kept warm by whoever uses them, and once as they come, where the
context is fed at the trigger. All take turns, one after another, on one thread each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.echo import Echo
from bench.tools import ROOT, SPREAD, engine, heard, number, one_thread, spread, table, verdict
from bridge.measure import BAND, CONTEXT_BARS, FAST_BPM, Rehearsal, Spread, band_bar, triggers
from engine import presets
from engine.models import store
from engine.models.folder import read_info

TOKENS = 7
"""Bar, TimeSig, Position, Program, Pitch, Velocity, Duration: a first complete note."""

SETTLE = 0.1
"""Seconds from the last note that was played to the trigger: a sixteenth at 150 BPM."""

MODES = (
    ("speculation off", 0, SETTLE),
    ("speculation on", 1, SETTLE),
    ("speculation off, trigger together with the last notes", 0, 0.0),
)
"""Name, ``/sideman/set speculation``, settling time."""

WITHOUT_MS, WITH_MS, AHEAD = 10.0, 2.0, 10.0
"""The targets."""


class Peer:
    """Another program, waiting in a process of its own."""

    def __init__(self, python: str, module: str, task: dict[str, Any]) -> None:
        """Raises ``RuntimeError`` with its last words where it can't run here."""
        self._process = subprocess.Popen(
            [python, "-W", "ignore", "-m", f"bench.peers.{module}"],
            cwd=ROOT,
            env=one_thread(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            hello = self._ask(json.dumps(task))
        except BrokenPipeError:
            hello = None
        if hello is None:
            assert self._process.stderr is not None
            words = self._process.stderr.read().strip().splitlines()
            raise RuntimeError(words[-1] if words else "it ended without a word")
        self.about: str = hello["about"]
        self.seconds: dict[str, list[float]] = {job: [] for job in hello["jobs"]}

    def _ask(self, line: str) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(line + "\n")
        stdin.flush()
        for answer in stdout:
            if answer.startswith(("{", *"0123456789")):  # libraries greet on stdout
                return json.loads(answer)
        return None

    def do(self, job: str, *, counts: bool) -> None:
        """One job; its time is kept where it ``counts``."""
        seconds = self._ask(job)
        if counts:
            self.seconds[job].append(seconds)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def hire(midigpt: str | None) -> tuple[list[Peer], list[str]]:
    """Start all peers that can be had here; and a line for each that can't."""
    folder = store.find(presets.load(presets.DEFAULT).model)
    task = {
        "folder": str(folder),
        "context": heard(),
        "tokens": TOKENS,
        "sizes": read_info(folder).sizes,
    }
    bars = [
        {
            name: [(n.beat, n.duration_beats, n.pitch, n.velocity) for n in notes]
            for name, notes in band_bar(bar).items()
        }
        for bar in range(CONTEXT_BARS)
    ]
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        (sys.executable, "rwkv_package", task),
        (sys.executable, "generate", task | {"kind": "gpt2"}),
        (sys.executable, "generate", task | {"kind": "llama"}),
    ]
    missing = []
    if midigpt:
        piece = {"bars": bars, "programs": BAND, "track": "piano"}
        wanted.append((midigpt, "midigpt_engine", piece))
    else:
        missing.append("midigpt: not run; name a Python that has it (see bench/README.md)")
    peers = []
    for python, module, what in wanted:
        try:
            peers.append(Peer(python, module, what))
        except (OSError, RuntimeError) as error:
            missing.append(f"{module}: not run: {error}")
    return peers, missing


def measure(
    count: int, every: int, peers: Sequence[Peer]
) -> tuple[dict[str, list[float]], dict[str, int], list[float]]:
    """All of them in turns: first notes of ours in seconds by mode, how many were late, and what a
    bare process took to answer after the same rest.
    """
    ours: dict[str, list[float]] = {name: [] for name, *_ in MODES}
    late = dict.fromkeys(ours, 0)
    floor: list[float] = []
    with engine() as client, Echo() as echo:
        rehearsal = Rehearsal(client, FAST_BPM)
        rehearsal.play_context()
        for i in range(-2, count):  # the first two are rehearsal
            for name, speculation, settle in MODES:
                client.ask("/sideman/set", "speculation", speculation)
                (answer,) = triggers(rehearsal, 1, settle=settle)
                if i >= 0:
                    ours[name].append(answer.first_note)
                    late[name] += len(answer.late)
            floor.append(echo.seconds(SETTLE))
            for peer in peers:
                for job in peer.seconds:
                    if job == "state kept" or i % every == 0:
                        peer.do(job, counts=i >= 0)
    return ours, late, floor


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--triggers", type=int, default=200)
    parser.add_argument(
        "--every", type=int, default=10, help="prefill jobs of the peers once in so many triggers"
    )
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument(
        "--midigpt", metavar="PYTHON", default=os.environ.get("MIDIGPT_PYTHON"),
        help="a Python that has midigpt[inference]",
    )  # fmt: skip
    a = parser.parse_args()
    if a.midigpt and not Path(a.midigpt).exists():
        parser.error(f"there is no {a.midigpt}")
    peers, missing = ([], []) if a.no_peers else hire(a.midigpt)
    try:
        ours, late, floor = measure(a.triggers, a.every, peers)
    finally:
        for peer in peers:
            peer.close()
    report(ours, late, floor, peers, missing)


def report(
    ours: dict[str, list[float]],
    late: dict[str, int],
    floor: list[float],
    peers: Sequence[Peer],
    missing: list[str],
) -> None:
    """The table, and which targets hold."""
    found = {name: Spread.of(values, 1000) for name, values in ours.items()}
    without, with_it = (found[name] for name, *_ in MODES[:2])
    rows = [["a bare process that echoes a datagram", *spread(floor), "", ""]]
    rows += [[f"Sideman over OSC, {name}", *spread(ours[name]), "", ""] for name in ours]
    slower: dict[str, list[float]] = {}
    for peer in peers:
        for job, seconds in peer.seconds.items():
            s = Spread.of(seconds, 1000)
            ratio = (s.p50 / without.p50, s.p50 / with_it.p50)
            slower.setdefault("kept" if job == "state kept" else "fed", []).append(ratio[1])
            rows.append([f"{peer.about}; {job}", *spread(seconds), *map(number, ratio)])
    print("First note after the trigger, ms\n")
    print(table(["who", *SPREAD, "p50 / ours off", "p50 / ours on"], rows) + "\n")
    for line in missing:
        print(f"- {line}")
    print(f"- late: {', '.join(f'{count} with {name}' for name, count in late.items())}")
    verdict(f"p99 at most {WITHOUT_MS:g} ms without speculation", without.p99 <= WITHOUT_MS)
    verdict(f"p99 at most {WITH_MS:g} ms with speculation", with_it.p99 <= WITH_MS)
    for how, text in (("fed", "that feed the context at the trigger"), ("kept", "kept warm")):
        if how in slower:
            verdict(
                f"with speculation, {AHEAD:g} times ahead of each of the peers {text}",
                min(slower[how]) >= AHEAD,
            )


if __name__ == "__main__":
    main()
