"""``sideman bench``: how fast this machine is."""

from __future__ import annotations

import typer

from bridge.commands.output import Json


def bench(as_json: Json = False) -> None:
    """Measure how fast this machine plays.

    First note, notes per second and MIDI output at p50, p95 and p99; the engine's deadlines rest
    on them.
    """
    from bridge.bench import run_bench

    raise typer.Exit(run_bench(json=as_json))
