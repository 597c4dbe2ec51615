"""What the commands of ``sideman train`` share."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from bridge.commands.output import print_json

Seed = Annotated[int, Option(min=0, help="The same seed gives the same result.")]
Tokens = Annotated[Path, Argument(metavar="TOKENS", help="Folder of a token data set.")]

SHOWN = 3
"""Files that are named on the terminal of those that were left out."""


def report(made: Path, started: float, as_json: bool, **more: Any) -> None:
    """Say what was made and, as JSON, all that is to be said of it."""
    if as_json:
        print_json({"output": str(made), "seconds": round(time.monotonic() - started, 3), **more})
    else:
        print(made)


@contextmanager
def counting() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on stderr where that is a terminal, and nothing elsewhere.

    What it gives is told a part of the work, how much of that is done, and of how much.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    tasks: dict[str, TaskID] = {}
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield tell


def say_skipped(skipped: Sequence[Mapping[str, str]], listed: Path) -> None:
    """Name some of the files that were left out, on stderr; all of them are in ``listed``."""
    if not skipped:
        return
    files = "1 file was" if len(skipped) == 1 else f"{len(skipped)} files were"
    print(f"{files} left out:", file=sys.stderr)
    for entry in skipped[:SHOWN]:
        line = f"  {entry['path']}: {entry['reason']}"
        print(line.encode(errors="replace").decode(), file=sys.stderr)
    if len(skipped) > SHOWN:
        print(f"  … all of them are in {listed}", file=sys.stderr)
