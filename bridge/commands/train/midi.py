"""``sideman train midi``."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from bridge.commands.output import Json
from bridge.commands.train import begun
from bridge.commands.train.common import Tokens, report
from engine.errors import Code, SidemanError


class Decay(StrEnum):
    """How the learning rate falls."""

    COSINE = "cosine"
    EXP = "exp"


class Precision(StrEnum):
    """How the layers are computed."""

    AUTO = "auto"
    BF16 = "bf16"
    FP32 = "fp32"


RESUMED = ("minutes", "epochs", "steps", "device", "run")
"""Options that may differ from those that a resumed run began with."""

NO_VAE = (
    "--vae-emb: the live engine has no autoencoder before its layers, so what came of it could not "
    "be played; leave it out"
)


def midi(
    tokens: Tokens,
    output: Annotated[
        Path, Option("-o", "--output", metavar="MODEL", help="Folder for the model or adapter.")
    ],
    base: Annotated[
        str | None, Option(metavar="MODEL", help="Begin with this model: a name, or its folder.")
    ] = None,
    lora: Annotated[
        bool, Option("--lora", help="Train a small adapter of the base.  [of the default model]")
    ] = False,
    rank: Annotated[
        int | None, Option(min=1, max=256, help="Rank of the adapter's corrections.  [8]")
    ] = None,
    state: Annotated[
        bool, Option("--state", help="Train the state that the base starts with.")
    ] = False,
    steps: Annotated[int | None, Option(min=1, help="Steps, as a hard limit.")] = None,
    epochs: Annotated[
        float | None, Option(min=0, help="How often to hear the data.  [10, without a limit]")
    ] = None,
    minutes: Annotated[float | None, Option(min=0, help="How long to train.")] = None,
    embed: Annotated[int | None, Option(min=64, help="Width; a multiple of 64.  [256]")] = None,
    layers: Annotated[int | None, Option(min=1, help="Layers.  [4]")] = None,
    ctx: Annotated[
        int | None, Option(min=16, help="Tokens that gradients flow through.  [1024]")
    ] = None,
    batch: Annotated[int | None, Option(min=1, help="Songs side by side.  [8]")] = None,
    accumulate: Annotated[
        int | None, Option(min=1, help="Batches that make one step.  [1]")
    ] = None,
    lr: Annotated[
        float | None,
        Option(min=0, help="Highest learning rate.  [by what is trained]"),
    ] = None,
    lr_decay: Annotated[Decay | None, Option(help="How the rate falls.  [cosine]")] = None,
    grad_checkpoint: Annotated[
        bool, Option("--grad-checkpoint", help="Less memory, more time.")
    ] = False,
    precision: Annotated[Precision | None, Option(help="Of the layers.  [auto]")] = None,
    patience: Annotated[
        int | None,
        Option(min=0, help="Looks at the held-out loss without a fall before the end.  [4]"),
    ] = None,
    compile_: Annotated[
        bool | None,
        Option("--compile/--eager", help="Compile the network.  [from 30 minutes on]"),
    ] = None,
    vae_emb: Annotated[
        str | None, Option(metavar="HOW", help="MusAI's; refused, since nothing plays it.")
    ] = None,
    binidx: Annotated[
        bool, Option("--binidx", help="TOKENS holds .bin and .idx files, as MusAI's -x says.")
    ] = False,
    resume: Annotated[
        str | None, Option(metavar="RUN", help="Go on with a run: its folder or name.")
    ] = None,
    device: Annotated[str | None, Option(help="auto, cpu or cuda.  [auto]")] = None,
    seed: Annotated[
        int | None, Option(min=0, help="The same seed gives the same result.  [0]")
    ] = None,
    no_recall: Annotated[
        bool, Option("--no-recall", help="A model that does not recall the song's own bars.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train an RWKV-7 model, or an adapter of one, or go on with a run.

    The losses that are printed are those of the network alone, without recall.
    """
    if vae_emb is not None:
        raise SidemanError(Code.NOT_ALLOWED, NO_VAE)
    from bridge.commands.train.bar import Bar
    from training.config import TrainConfig
    from training.export import check_output, finish
    from training.foreign import as_ours
    from training.train_midi import Trainer

    started = time.monotonic()
    asked: dict[str, Any] = {
        "lanes": batch,
        "accumulate": accumulate,
        "ctx": ctx,
        "minutes": minutes,
        "epochs": epochs,
        "steps": steps,
        "rate": lr,
        "rate_decay": lr_decay and str(lr_decay),
        "precision": precision and str(precision),
        "recompute": grad_checkpoint or None,
        "compile": compile_,
        "patience": patience,
        "device": device,
        "seed": seed,
        "rank": (rank or 8) if lora or rank else None,
        "state": state or None,
        "shape": _shape(embed, layers),
        "base": _base(base, adapts=lora or state or rank is not None),
    }
    chosen = {name: value for name, value in asked.items() if value is not None}
    if resume:
        config = begun.resumed(TrainConfig, resume, tokens, chosen, RESUMED)
    elif chosen.get("base") and chosen.get("shape"):
        raise SidemanError(
            Code.BAD_ARGUMENTS, "--embed and --layers are the base model's: leave them out"
        )
    else:
        config = begun.fresh(TrainConfig, tokens, output, chosen)
    check_output(output, config)
    data = as_ours(config.data, config.run, "binidx" if binidx else None)
    config = replace(config, data=data.resolve())
    with Bar(output.name, as_json) as bar:
        trainer = Trainer(config, watch=bar, hear=_rendered())
        run = trainer.train()
    if not trainer.group.leads:
        return
    try:
        finish(run, output, not no_recall, lambda words: print(words, file=sys.stderr))
    except KeyboardInterrupt:
        raise SidemanError(
            Code.CANCELLED, f"trained, but {output} is not written: --resume {run} does that"
        ) from None
    summary = trainer.summary()
    names = ("loss_first", "loss_last", "heldout_before", "heldout_after", "trainable", "step")
    report(output, started, as_json, run=str(run), **{name: summary[name] for name in names})


def _shape(embed: int | None, layers: int | None) -> Any:
    from training.config import Shape

    if embed is None and layers is None:
        return None
    shape = Shape()
    width = embed or shape.embed
    return replace(shape, embed=width, ffn=4 * width, layers=layers or shape.layers)


def _base(base: str | None, adapts: bool) -> Path | None:
    from engine.models import store

    if base is None and not adapts:
        return None
    return store.resolve(base or store.DEFAULT)


def _rendered() -> Any:
    """What renders a sample where there is a synth and a SoundFont, and else leaves it."""
    from contextlib import suppress

    from bridge import config as configs
    from bridge.files.render import render_midi
    from bridge.files.soundfont import find_soundfont

    font = find_soundfont(configs.load().files.soundfont or None)

    def render(sample: Path) -> None:
        if font is not None:
            with suppress(SidemanError):
                render_midi(sample, sample.with_suffix(".wav"), soundfont=font)

    return render
