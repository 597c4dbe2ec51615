"""The models that ship, from their recipes, step by step: ``python -m training.build STEP …``."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.recipes import load_recipe


def _tokenize(arguments: argparse.Namespace) -> None:
    from training.tokenize import TokenizeConfig, tokenize

    tokenize(TokenizeConfig(load_recipe(arguments.recipe), arguments.midis, arguments.output))


def _midi(arguments: argparse.Namespace) -> None:
    from training.train_midi import TrainConfig, train

    config = TrainConfig(
        arguments.tokens,
        arguments.run_folder,
        minutes=arguments.minutes,
        steps=arguments.steps,
        lanes=arguments.lanes,
        ctx=arguments.ctx,
        compile=not arguments.eager,
    )
    train(config)


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(required=True)
    step = steps.add_parser("tokenize", help="MIDI files to a token data set")
    step.add_argument("recipe", type=Path)
    step.add_argument("midis", type=Path, help="folder with a folder for each collection")
    step.add_argument("output", type=Path)
    step.set_defaults(run=_tokenize)
    step = steps.add_parser("midi", help="train on a token data set, or go on with a run")
    step.add_argument("tokens", type=Path)
    step.add_argument("run_folder", type=Path)
    step.add_argument("--minutes", type=float, help="the schedule's length in time")
    step.add_argument("--steps", type=int, help="its length in steps, or a hard limit")
    step.add_argument("--lanes", type=int, default=8)
    step.add_argument("--ctx", type=int, default=1024)
    step.add_argument("--eager", action="store_true", help="do not compile")
    step.set_defaults(run=_midi)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
