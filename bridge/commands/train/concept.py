"""``sideman train concept``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from bridge.commands.output import Json
from bridge.commands.train import begun
from bridge.commands.train.common import report
from engine.errors import Code, SidemanError

RESUMED = ("minutes", "epochs", "steps", "device", "run", "patience")
"""Options that may differ from those that a resumed run began with."""

SAID = ("loss_first", "loss_last", "heldout_before", "heldout_after", "heldout_plain", "chance",
        "trainable", "step", "epoch", "best_epoch")  # fmt: skip


def concept(
    data: Annotated[
        Path, Argument(metavar="DATA", help="Audio data set of `sideman train audio-data`.")
    ],
    output: Annotated[
        Path, Option("-o", "--output", metavar="CONCEPT", help="Folder for what is learned.")
    ],
    base: Annotated[
        str | None,
        Option(
            "--base",
            "--model-name",
            metavar="MODEL",
            help="The model that it is for: a name, or its folder.",
        ),
    ] = None,
    concepts: Annotated[
        list[str] | None,
        Option(
            "--concept",
            "--concepts",
            metavar="NAME",
            help="A concept of DATA, or what all of it is; again for more.  [all]",
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        Option("--tokens", "--tokens-num", min=1, max=20, help="Vectors of a concept.  [20]"),
    ] = None,
    init: Annotated[
        str | None,
        Option(
            metavar="WORD",
            help="Begin with this word, or with a concept folder.  [the mean of all words]",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        Option(
            "--seconds",
            "--examples-len",
            min=0.1,
            max=30,
            help="How much of a clip is heard at a time.  [5]",
        ),
    ] = None,
    examples: Annotated[
        int | None,
        Option("--examples", "--examples-num", min=1, help="Clips of a concept, at most.  [100]"),
    ] = None,
    batch: Annotated[
        int | None, Option("--batch", "--batch-size", min=1, help="Clips of a step.  [10]")
    ] = None,
    steps: Annotated[int | None, Option(min=1, help="Steps, as a hard limit.")] = None,
    epochs: Annotated[
        float | None, Option(min=0, help="How often to hear the clips.  [100]")
    ] = None,
    minutes: Annotated[float | None, Option(min=0, help="How long to train.")] = None,
    lr: Annotated[float | None, Option(min=0, help="Highest learning rate.  [0.1]")] = None,
    shuffle: Annotated[
        bool | None,
        Option(
            "--shuffle/--in-order",
            "--randomize-tokens/--no-randomize-tokens",
            help="Let the vectors come in any order.  [shuffle]",
        ),
    ] = None,
    orthogonality: Annotated[
        float | None,
        Option(
            "--orthogonality",
            "--ortho-alpha",
            min=0,
            help="How much alike vectors of a concept cost.  [0.1]",
        ),
    ] = None,
    margin: Annotated[
        float | None,
        Option(
            "--margin",
            "--cr-margin",
            min=0,
            max=2,
            help="How far concepts should lie apart; 0 for anywhere.  [1.5]",
        ),
    ] = None,
    ema: Annotated[
        float | None, Option(min=0, help="Take a running average that keeps so much.  [0]")
    ] = None,
    patience: Annotated[
        int | None,
        Option(min=0, help="Epochs without a better held-out loss before the end.  [20]"),
    ] = None,
    pt: Annotated[
        Path | None,
        Option(metavar="FILE.pt", help="Write it as musical-generative-models' app does, too."),
    ] = None,
    precision: Annotated[
        str | None, Option(help="Of the decoder: auto, float32, bfloat16 or float16.  [auto]")
    ] = None,
    resume: Annotated[
        str | None, Option(metavar="RUN", help="Go on with a run: its folder or name.")
    ] = None,
    device: Annotated[str | None, Option(help="auto, cpu or cuda.  [auto]")] = None,
    seed: Annotated[
        int | None, Option(min=0, help="The same seed gives the same result.  [0]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Learn words for prompts from a few clips: <name> then stands for how they sound."""
    from bridge.commands.train.bar import Bar
    from engine.models import store
    from training.sound.concept import Inversion
    from training.sound.concept_config import ConceptConfig
    from training.sound.concept_folder import check_output, write, write_pt

    started = time.monotonic()
    asked: dict[str, Any] = {
        "base": store.resolve(base) if base else None,
        "concepts": tuple(concepts) if concepts else None,
        "tokens": tokens,
        "init": init,
        "seconds": seconds,
        "examples": examples,
        "batch": batch,
        "steps": steps,
        "epochs": epochs,
        "minutes": minutes,
        "rate": lr,
        "shuffle": shuffle,
        "orthogonality": orthogonality,
        "margin": margin,
        "ema": ema,
        "patience": patience,
        "precision": precision,
        "device": device,
        "seed": seed,
    }
    chosen = {name: value for name, value in asked.items() if value is not None}
    if resume:
        config = begun.resumed(ConceptConfig, resume, data, chosen, RESUMED)
    elif base:
        config = begun.fresh(ConceptConfig, data, output, chosen)
    else:
        raise SidemanError(
            Code.BAD_ARGUMENTS, "say which model it is for: --base MODEL (`sideman models` lists)"
        )
    check_output(output)
    with Bar(output.name, as_json) as bar:
        run = Inversion(config, watch=bar)
        run.train()
    made = write(run, output)
    if pt is not None:
        write_pt(run, pt)
    summary = run.summary()
    for line in _remarks(summary):
        print(line, file=sys.stderr)
    report(
        made,
        started,
        as_json,
        run=str(config.run),
        concepts={word: config.tokens for word in run.words.rows},
        **{name: summary[name] for name in SAID},
    )


def _remarks(summary: dict[str, Any]) -> list[str]:
    """What a user should know of how it went."""
    lines = []
    if summary["heldout_after"] is None:
        lines.append("note: DATA holds no clips back, so the last vectors were taken, not the best")
    elif summary["best_step"] == 0:
        lines.append("note: no epoch was better on held-out clips than the beginning")
    if (summary["loss_first"] or 0) >= summary["chance"]:
        lines.append(
            f"note: the base foresees these clips no better than chance ({summary['chance']:.2f}): "
            "is it a model of random weights?"
        )
    return lines
