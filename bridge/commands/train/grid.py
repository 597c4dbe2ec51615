"""``sideman train grid``."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from bridge.commands.output import Json, print_json, print_table
from engine.errors import Code, SidemanError

HEADS = ("run", "held out before", "after", "loss", "seconds")
FIGURES = ("heldout_before", "heldout_after", "loss_last", "seconds")


class Kind(StrEnum):
    """What each run of a grid is."""

    AUDIO = "audio"
    CONCEPT = "concept"
    MIDI = "midi"


def grid(
    sweep: Annotated[
        Path, Argument(metavar="SWEEP", help="YAML with 'parameters', as wandb's sweeps have it.")
    ],
    kind: Annotated[Kind, Argument(metavar="WHAT", help="audio, concept or midi.")],
    data: Annotated[Path, Argument(metavar="DATA", help="What all of them learn from.")],
    output: Annotated[
        Path, Option("-o", "--output", metavar="FOLDER", help="Folder for what they make.")
    ],
    as_json: Json = False,
) -> None:
    """Train with every combination of a sweep's values, one run after another.

    Parameters are the options of `sideman train WHAT`. The same command goes on after any stop, and
    does not do again what is done.
    """
    from training import grid as grids
    from training.files import unwritable

    started = time.monotonic()
    points = grids.read(sweep)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(output, error) from error
    said = grids.results(output)
    for number, point in enumerate(points, 1):
        made = said.get(point.name, {})
        if made.get("options") == point.values and (output / point.name).is_dir():
            continue
        print(f"{number} of {len(points)}: {point.name}", file=sys.stderr)
        said[point.name] = {
            "options": point.values, **_run(kind, data, output / point.name, point.words)
        }  # fmt: skip
        grids.keep(output, said)
    wanted = {point.name: said[point.name] for point in points}
    best = sorted(wanted, key=lambda name: _order(wanted[name]))
    if as_json:
        print_json({
            "output": str(output), "seconds": round(time.monotonic() - started, 3),
            "best": best[0], "runs": wanted,
        })  # fmt: skip
        return
    print_table(HEADS, [(name, *map(_figure, (wanted[name].get(f) for f in FIGURES)))
                        for name in best])  # fmt: skip


def _run(kind: Kind, data: Path, output: Path, words: list[str]) -> dict[str, Any]:
    """One run in a process of its own, which gives all its memory back."""
    command = [sys.executable, "-m", "training", kind, str(data), "-o", str(output), *words]
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SidemanError(
            Code.CANCELLED if done.returncode < 0 else Code.BAD_ARGUMENTS,
            f"{output.name} came to no end: what is wrong stands above; give the command again to "
            "go on",
        )
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def _order(said: dict[str, Any]) -> float:
    """Best first: by held-out loss, or where nothing is held out by the last one."""
    loss = said.get("heldout_after")
    return float(said["loss_last"] if loss is None else loss)


def _figure(value: Any) -> str:
    return "" if value is None else f"{value:.3f}"
