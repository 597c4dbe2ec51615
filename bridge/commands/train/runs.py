"""``sideman train runs``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from bridge.commands.output import Json, print_json, print_table
from engine.errors import Code, SidemanError

HEADS = ("run", "status", "epoch", "step", "loss", "started", "folder")


def runs(
    places: Annotated[
        list[Path] | None,
        Argument(metavar="[FOLDER]...", help="More folders to look into.  [the current one]"),
    ] = None,
    stop: Annotated[
        str | None, Option(metavar="RUN", help="End this run behind its next step.")
    ] = None,
    resume: Annotated[
        str | None, Option(metavar="RUN", help="Go on with this run: its folder or name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the training runs and their state, the newest first; stop one, or go on with one."""
    from training.runs import all_runs, find
    from training.runs import stop as end

    if stop is not None:
        end(find(stop))
        return
    if resume is not None:
        _resume(find(resume), as_json)
        return
    found = all_runs(*(places or [Path.cwd()]))
    if as_json:
        print_json([{"name": run.name, "folder": str(run.folder), **run.table} for run in found])
        return
    print_table(HEADS, [_row(run.name, run.folder, run.table) for run in found])
    for run in found:
        if run.table.get("error"):
            print(f"{run.name}: {run.table['error']}")


def _resume(run: Path, as_json: bool) -> None:
    """Go on as the command does that began the run, with its options."""
    from bridge.commands.train.audio import audio
    from bridge.commands.train.concept import concept
    from bridge.commands.train.midi import midi
    from training.runs import output, read

    commands: dict[str, Callable[..., None]] = {"audio": audio, "concept": concept, "midi": midi}
    config = read(run).get("config", {})
    kind = config.get("kind", "midi" if "lanes" in config else None)
    if kind not in commands:
        raise SidemanError(
            Code.NOT_ALLOWED, f"{run.name} trains nothing: give the command again that began it"
        )
    commands[kind](Path(config["data"]), output(run), resume=str(run), as_json=as_json)


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
