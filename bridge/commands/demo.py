"""``sideman demo``: hear it in a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from bridge.commands.output import Json


def demo(
    output: Annotated[
        Path, Option("-o", "--output", metavar="DIR", help="Folder for the take.")
    ] = Path("demo-out"),
    seed: Annotated[int, Option(min=0, help="The same seed gives the same take.")] = 1,
    as_json: Json = False,
) -> None:
    """Hear it: a phrase goes in, a take comes out.

    Starts a real engine, speaks to it by OSC as a DAW would, prints what arrives when, and writes
    the take as .mid and .wav.
    """
    from bridge.demo import run_demo

    raise typer.Exit(run_demo(output, seed=seed, json=as_json))
