"""``sideman train``: what makes models. The work is done by ``training``, imported as it runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from bridge.commands.output import Json, print_json

app = typer.Typer(
    help="Make models (extra 'train').",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Seed = Annotated[int, Option(min=0, help="The same seed gives the same result.")]


@app.command("tokenize")
def tokenize(
    midis: Annotated[
        Path, Argument(metavar="MIDIS", help="Folder with a folder for each collection.")
    ],
    output: Annotated[
        Path, Option("-o", "--output", metavar="TOKENS", help="Folder for the token data set.")
    ],
    recipe: Annotated[str, Option(help="A recipe's name, or its file.")] = "band",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make a token data set out of MIDI files."""
    from training import recipes
    from training.tokenize import TokenizeConfig
    from training.tokenize import tokenize as run

    started = time.monotonic()
    chosen = recipes.load_recipe(recipes.find(recipe))
    made = run(TokenizeConfig(chosen, midis, output, seed=seed))
    _report(made, started, as_json)


def _report(made: Path, started: float, as_json: bool) -> None:
    if as_json:
        print_json({"output": str(made), "seconds": round(time.monotonic() - started, 3)})
    else:
        print(made)
