"""The models that ship, from their recipes, step by step: ``python -m training.build STEP …``."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.recipes import load_recipe


def _tokenize(arguments: argparse.Namespace) -> None:
    from training.tokenize import TokenizeConfig, tokenize

    tokenize(TokenizeConfig(load_recipe(arguments.recipe), arguments.midis, arguments.output))


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(required=True)
    step = steps.add_parser("tokenize", help="MIDI files to a token data set")
    step.add_argument("recipe", type=Path)
    step.add_argument("midis", type=Path, help="folder with a folder for each collection")
    step.add_argument("output", type=Path)
    step.set_defaults(run=_tokenize)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
