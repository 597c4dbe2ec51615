"""The models that ship, from their recipes, step by step: ``python -m training.build STEP …``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from engine.models.rwkv.precision import INT8_LOSS
from training.recipes import load_recipe

WEIGHTS = {"model": "last", "ema": "running average", "best": "best running average"}
"""What a checkpoint holds, and what a model folder calls it."""


def _tokenize(arguments: argparse.Namespace) -> None:
    from training.tokenize import TokenizeConfig, tokenize

    tokenize(TokenizeConfig(load_recipe(arguments.recipe), arguments.midis, arguments.output))


def _midi(arguments: argparse.Namespace) -> None:
    from training.train_midi import TrainConfig, train

    config = TrainConfig(
        arguments.tokens,
        arguments.run_folder,
        base=arguments.base,
        rate=arguments.rate,
        minutes=arguments.minutes,
        steps=arguments.steps,
        lanes=arguments.lanes,
        ctx=arguments.ctx,
        compile=False if arguments.eager else None,
    )
    train(config)


def _model(arguments: argparse.Namespace) -> None:
    """The best of a run's weights, judged by whole pieces of what it has heard, and its gate."""
    from training.data import TokenSet
    from training.evaluate import report
    from training.evaluate.players import heldout_figures, predictors_with
    from training.export import base_gate, export_model, fitted_gate, int8_by_row, load_run
    from training.train_midi import TrainConfig

    data = TokenSet(arguments.tokens)
    run = json.loads((arguments.run_folder / "run.json").read_text(encoding="utf-8"))
    heard = [name for name, weight in data.weights.items() if weight > 0]
    scored = []
    for weights in WEIGHTS:
        model = load_run(arguments.run_folder, weights)
        figures = report(model, data, heard)
        mean = sum(entry["bits_per_token"] for entry in figures.values()) / len(figures)
        print(WEIGHTS[weights], mean, flush=True)
        scored.append((mean, WEIGHTS[weights], model, figures))
    _, weights, model, figures = min(scored, key=lambda entry: entry[0])
    rounded = report(int8_by_row(model), data, heard)
    changes = {
        name: round(rounded[name]["bits_per_token"] / entry["bits_per_token"] - 1, 5)
        for name, entry in figures.items()
    }
    config = TrainConfig.from_json(run["config"])
    gate = None
    if not arguments.no_recall:
        gate = base_gate(config) or fitted_gate(model, config, data, run["tokens"])
    predictors = predictors_with(model, gate, data.folder, data.vocabulary.begin)
    metrics = {
        "heldout": heldout_figures(predictors, data),
        "int8_change_of_bits": changes,
        INT8_LOSS: max(changes.values()),
        "weights": weights,
        "steps": run["step"],
        "tokens": run["tokens"],
        "remarks": arguments.remark,
    }
    print(json.dumps(metrics, indent=1))
    export_model(model, data, arguments.output, metrics, gate)


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
    step.add_argument("--base", type=Path, help="folder of the model to go on from")
    step.add_argument("--rate", type=float, help="highest learning rate")
    step.add_argument("--minutes", type=float, help="the schedule's length in time")
    step.add_argument("--steps", type=int, help="its length in steps, or a hard limit")
    step.add_argument("--lanes", type=int, default=8)
    step.add_argument("--ctx", type=int, default=1024)
    step.add_argument("--eager", action="store_true", help="do not compile")
    step.set_defaults(run=_midi)
    step = steps.add_parser("model", help="a finished run to a model folder, with its figures")
    step.add_argument("tokens", type=Path)
    step.add_argument("run_folder", type=Path)
    step.add_argument("output", type=Path)
    step.add_argument("--remark", action="append", default=[], help="a line for its page")
    step.add_argument("--no-recall", action="store_true", help="the network alone")
    step.set_defaults(run=_model)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
