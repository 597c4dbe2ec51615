"""``sideman train audio``."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from bridge.commands.output import Json, Progress, print_json
from bridge.commands.train.begun import fresh, resumed
from bridge.commands.train.common import report

if TYPE_CHECKING:
    from training.sound.train_audio import AudioTrainer

PRESET = "loop"
"""Its model is adapted where no base is given."""

MAY_DIFFER = ("minutes", "epochs", "steps", "device", "run", "stages", "patience")
"""Options that may differ from those that a resumed run began with."""

SAID = ("loss_first", "loss_last", "heldout_before", "heldout_after", "heldout_engine", "chance",
        "trainable", "share", "matrices_with_gradient", "step", "best_step")  # fmt: skip


class Schedule(StrEnum):
    """How the learning rate goes on behind its warm-up."""

    COSINE = "cosine"
    CONSTANT = "constant"


class Precision(StrEnum):
    """How the layers are computed."""

    AUTO = "auto"
    BF16 = "bf16"
    FP16 = "fp16"
    FP32 = "fp32"


class Take(StrEnum):
    """Which weights become the adapter."""

    BEST = "best"
    LAST = "last"


def audio(
    data: Annotated[
        Path, Argument(metavar="DATA", help="Audio data set, made by `sideman train audio-data`.")
    ],
    output: Annotated[
        Path, Option("-o", "--output", metavar="ADAPTER", help="Folder for the adapter.")
    ],
    base: Annotated[
        str | None,
        Option(metavar="MODEL", help="Adapt this model: a name, or its folder.  [preset loop's]"),
    ] = None,
    target: Annotated[
        str | None,
        Option(
            metavar="WHAT",
            help="Correct these matrices: attention, muxit, dreambooth, or names with commas.  "
            "[attention]",
        ),
    ] = None,
    rank: Annotated[int | None, Option(min=1, max=1024, help="Of the corrections.  [16]")] = None,
    alpha: Annotated[
        float | None, Option(min=0, help="They count alpha / rank times.  [twice the rank]")
    ] = None,
    dropout: Annotated[
        float | None, Option(min=0, max=1, help="Of what goes into them.  [0.05]")
    ] = None,
    seconds: Annotated[
        float | None, Option(min=0.1, help="The most that is heard of a clip at a time.  [30]")
    ] = None,
    batch: Annotated[int | None, Option(min=1, help="Clips side by side.  [4]")] = None,
    accumulate: Annotated[
        int | None, Option(min=1, help="Batches that make one step.  [1]")
    ] = None,
    steps: Annotated[int | None, Option(min=1, help="Steps, as a hard limit.")] = None,
    epochs: Annotated[
        float | None, Option(min=0, help="How often to hear the data.  [10, without a limit]")
    ] = None,
    minutes: Annotated[float | None, Option(min=0, help="How long to train.")] = None,
    lr: Annotated[float | None, Option(min=0, help="Highest learning rate.  [0.0002]")] = None,
    schedule: Annotated[Schedule | None, Option(help="How it goes on.  [cosine]")] = None,
    warmup: Annotated[
        int | None, Option(min=0, help="Steps in which it rises; a tenth at most.  [50]")
    ] = None,
    weight_decay: Annotated[float | None, Option(min=0, help="Of AdamW.  [0.00001]")] = None,
    clip: Annotated[
        float | None, Option(min=0, help="The longest that a gradient may be.  [1]")
    ] = None,
    condition_dropout: Annotated[
        float | None, Option(min=0, max=1, help="How often a prompt is withheld.  [0.1]")
    ] = None,
    precision: Annotated[Precision | None, Option(help="Of the layers.  [auto]")] = None,
    grad_checkpoint: Annotated[
        bool, Option("--grad-checkpoint", help="Less memory, more time.")
    ] = False,
    split_layers: Annotated[
        int | None, Option(min=1, help="Spread the layers over so many GPUs.  [1]")
    ] = None,
    patience: Annotated[
        int | None,
        Option(min=0, help="Looks at the held-out loss without a fall before the end.  [4]"),
    ] = None,
    take: Annotated[Take, Option(help="The weights that become the adapter.")] = Take.BEST,
    estimate: Annotated[
        bool, Option("--estimate", help="Say how long it will take, and how much memory; no more.")
    ] = False,
    resume: Annotated[
        str | None, Option(metavar="RUN", help="Go on with a run: its folder or name.")
    ] = None,
    device: Annotated[str | None, Option(help="auto, cpu or cuda.  [auto]")] = None,
    seed: Annotated[
        int | None, Option(min=0, help="The same seed gives the same result.  [0]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a LoRA of a model of sound, and prove on the way that it learns.

    A run whose gradients do not reach what is trained is ended, and says where.
    """
    from bridge.commands.train.bar import Bar
    from training.sound.adapter_folder import check_output, finish
    from training.sound.audio_config import AudioConfig, targets
    from training.sound.train_audio import AudioTrainer

    started = time.monotonic()
    asked: dict[str, Any] = {
        "base": _base(base) if base or not resume else None,
        "target": None if target is None else targets(target),
        "rank": rank,
        "alpha": float(2 * rank) if rank and alpha is None and not resume else alpha,
        "dropout": dropout,
        "seconds": seconds,
        "batch": batch,
        "accumulate": accumulate,
        "steps": steps,
        "epochs": epochs,
        "minutes": minutes,
        "rate": lr,
        "rate_decay": schedule and str(schedule),
        "warmup": warmup,
        "decay": weight_decay,
        "clip": clip,
        "condition_dropout": condition_dropout,
        "precision": precision and str(precision),
        "recompute": grad_checkpoint or None,
        "stages": split_layers,
        "patience": patience,
        "device": device,
        "seed": seed,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    config = (
        resumed(AudioConfig, resume, data, given, MAY_DIFFER)
        if resume
        else fresh(AudioConfig, data, output, given)
    )
    check_output(output)
    encoding = Progress(f"encoding {data.name}")
    with Bar(output.name, as_json) as bar:
        trainer = AudioTrainer(
            config, watch=bar, encoding=lambda done, of: encoding(done / of), tell=_note
        )
        if estimate:
            _estimate(trainer, output, as_json)
            return
        run = trainer.train()
    if not trainer.group.leads:
        return
    said = finish(trainer, output, last=take is Take.LAST)
    if not as_json:
        _tell(trainer)
    report(output, started, as_json, run=str(run), **{name: said[name] for name in SAID})


def _base(base: str | None) -> Path:
    from engine import presets
    from engine.models import store

    return store.resolve(base or presets.load(PRESET).model)


def _estimate(trainer: AudioTrainer, output: Path, as_json: bool) -> None:
    from training.sound.estimate import estimate

    found = estimate(trainer)
    if not trainer.group.leads:
        return
    if as_json:
        print_json({"output": str(output), "estimate": found.to_json()})
    else:
        print(found)


def _note(words: str) -> None:
    print(f"note: {words}", file=sys.stderr)


def _tell(trainer: AudioTrainer) -> None:
    """What was learned, for people."""
    said, share = trainer.summary(), trainer.learner.lora.share
    seen, count = said["matrices_with_gradient"]
    lines = [f"{share}; a gradient has reached {seen} of {count}"]
    if said["heldout_before"] is not None:
        lines.append(
            f"loss of clips that it did not learn from: {said['heldout_before']:.3f} without, "
            f"{said['heldout_after']:.3f} with it, after step {said['best_step']}; chance is "
            f"{said['chance']:.3f}"
        )
    print("\n".join(lines), file=sys.stderr)
