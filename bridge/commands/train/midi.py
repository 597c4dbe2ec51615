"""``sideman train midi``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from bridge.commands.output import Json
from bridge.commands.train.common import Seed, Tokens, report


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
    from training.evaluate import report as measure
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
    export_model(model, data, output, measure(model, data, limit=config.heldout_tokens))
    losses = _losses(run)
    report(
        output,
        started,
        as_json,
        run=str(run),
        loss_first=losses[0] if losses else None,
        loss_last=losses[-1] if losses else None,
        trainable=sum(parameter.numel() for parameter in model.parameters()),
    )


def _losses(run: Path) -> list[float]:
    """The training losses that a run has logged, in nats per token."""
    lines = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [line["loss"] for line in lines if "loss" in line]
