"""``sideman train tokenize``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bridge.commands.output import Json
from bridge.commands.train.common import Seed, report


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
    report(made, started, as_json)
