"""``sideman train``: what makes models. The work is done by ``training``, imported as it runs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from bridge.commands.output import Json, print_json, print_table

app = typer.Typer(
    help="Make models (extra 'train').",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Seed = Annotated[int, Option(min=0, help="The same seed gives the same result.")]
Tokens = Annotated[Path, Argument(metavar="TOKENS", help="Folder of a token data set.")]


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


@app.command("midi")
def midi(
    tokens: Tokens,
    output: Annotated[
        Path, Option("-o", "--output", metavar="MODEL", help="Folder for the model.")
    ],
    resume: Annotated[
        Path | None, Option(metavar="RUN", help="Folder of the run.  [MODEL.run]")
    ] = None,
    steps: Annotated[int | None, Option(min=1, help="Steps, as a hard limit.")] = None,
    minutes: Annotated[float | None, Option(min=0, help="How long to train.")] = None,
    embed: Annotated[int, Option(min=64, help="Width; a multiple of 64.")] = 256,
    layers: Annotated[int, Option(min=1, help="Layers.")] = 4,
    ctx: Annotated[int, Option(min=16, help="Tokens that gradients flow through.")] = 1024,
    batch: Annotated[int, Option(min=1, help="Pieces side by side.")] = 8,
    lr: Annotated[float, Option(min=0, help="Highest learning rate.")] = 1.5e-3,
    eager: Annotated[bool, Option("--eager", help="Do not compile the model.")] = False,
    device: Annotated[str, Option(help="cpu or cuda.")] = "cpu",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train an RWKV-7 model, or go on with a run."""
    if steps is None and minutes is None:
        raise typer.BadParameter("say how long: --steps or --minutes")
    from training.data import TokenSet
    from training.evaluate import report
    from training.export import export_model, load_checkpoint
    from training.train_midi import Shape, TrainConfig, train

    started = time.monotonic()
    config = TrainConfig(
        tokens,
        resume or output.with_name(f"{output.name}.run"),
        shape=Shape(layers=layers, embed=embed, ffn=4 * embed),
        lanes=batch,
        ctx=ctx,
        steps=steps,
        minutes=minutes,
        rate=lr,
        compile=not eager,
        device=device,
        seed=seed,
    )
    run = train(config)
    model = load_checkpoint(run / "checkpoint.pt", averaged=True)
    data = TokenSet(tokens)
    export_model(model, data, output, report(model, data, limit=config.heldout_tokens))
    losses = _losses(run)
    _report(
        output,
        started,
        as_json,
        run=str(run),
        loss_first=losses[0] if losses else None,
        loss_last=losses[-1] if losses else None,
        trainable=sum(parameter.numel() for parameter in model.parameters()),
    )


@app.command("evaluate")
def evaluate(
    model: Annotated[str, Argument(metavar="MODEL", help="A model's name, or its folder.")],
    tokens: Tokens,
    limit: Annotated[int | None, Option(min=1, help="Tokens of each piece.  [all]")] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on pieces that it has not heard."""
    import torch

    from engine.models import store
    from engine.models.rwkv.family import read
    from engine.models.rwkv.torch_model import Rwkv7
    from training.data import TokenSet
    from training.evaluate import report

    started = time.monotonic()
    folder = store.resolve(model)
    _, sizes, weights = read(folder)
    network = Rwkv7(sizes).eval()
    network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    with torch.inference_mode():
        scores = report(network, TokenSet(tokens), limit=limit)
    if as_json:
        _report(folder, started, as_json, collections=scores)
        return
    heads = ("pieces", "notes", "bits_per_token", "bits_per_note")
    print_table(
        ("collection", *(head.replace("_", " ") for head in heads)),
        [(name, *(str(score[head]) for head in heads)) for name, score in scores.items()],
    )


def _losses(run: Path) -> list[float]:
    """The training losses that a run has logged, in nats per token."""
    lines = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def _report(made: Path, started: float, as_json: bool, **more: Any) -> None:
    if as_json:
        print_json({"output": str(made), "seconds": round(time.monotonic() - started, 3), **more})
    else:
        print(made)
