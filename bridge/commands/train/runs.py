"""``sideman train runs``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from typer import Argument

from bridge.commands.output import Json, print_json, print_table

HEADS = ("run", "status", "epoch", "step", "loss", "started", "folder")


def runs(
    places: Annotated[
        list[Path] | None,
        Argument(metavar="[FOLDER]...", help="More folders to look into.  [the current one]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the training runs and their state, the newest first."""
    from training.runs import all_runs

    found = all_runs(*(places or [Path.cwd()]))
    if as_json:
        print_json([{"name": run.name, "folder": str(run.folder), **run.table} for run in found])
        return
    print_table(HEADS, [_row(run.name, run.folder, run.table) for run in found])
    for run in found:
        if run.table.get("error"):
            print(f"{run.name}: {run.table['error']}")


def _row(name: str, folder: Path, table: dict[str, Any]) -> tuple[str, ...]:
    started = table.get("started")
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(started)) if started else ""
    loss = table.get("loss")
    return (
        name,
        table["status"],
        str(table.get("epoch", "")),
        str(table.get("step", "")),
        "" if loss is None else f"{loss:.3f}",
        when,
        str(folder),
    )
