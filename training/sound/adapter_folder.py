"""A finished run becomes a PEFT folder that a running engine puts on, and is heard there once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engine.errors import Code, SidemanError
from engine.models.musicgen import licence
from engine.models.musicgen.adapters import ADAPTER_CONFIG
from training.files import check_replaceable, made_whole, write_whole
from training.sound.dataset import Clips
from training.sound.heldout import look

if TYPE_CHECKING:
    from training.sound.train_audio import AudioTrainer

REPORT = "training.json"
"""What a folder tells of the run that made it."""

UNSAID = "licence not said"


def check_output(output: Path) -> None:
    """Refuse, before hours are spent, a folder that :func:`finish` would not replace."""
    check_replaceable(output, (ADAPTER_CONFIG,))


def finish(trainer: AudioTrainer, output: Path, *, last: bool = False) -> dict[str, Any]:
    """Write the adapter folder of a run; returns what there is to report of it.

    The weights are the best for the held-out clips, or with ``last`` those of the last step. They
    are read again by the engine's own loader, and the held-out clips heard as it plays them. Raises
    ``bad-file`` where the folder cannot be written, or the adapter changes nothing.
    """
    learner = trainer.learner
    weights: dict[str, Tensor] = dict(learner.lora.weights) if last else trainer.best["weights"]
    report = trainer.summary()
    with made_whole(output, (ADAPTER_CONFIG,)) as part:
        learner.lora.write(part, learner.model.name, weights)
        report["heldout_engine"] = _as_played(trainer, part, output)
        report["weights"] = "last" if last else "best"
        said = {**report, "config": trainer.config.to_json()}
        write_whole(part / REPORT, (json.dumps(said, indent=1) + "\n").encode())
        write_whole(part / licence.CARD, _readme(trainer, output.name, report).encode())
    return report


@torch.no_grad()
def _as_played(trainer: AudioTrainer, folder: Path, output: Path) -> float | None:
    """The held-out loss with the folder merged into the base by the engine, as it will play."""
    learner = trainer.learner
    adapters = learner.model.adapters
    adapter = adapters.load(folder, name="trained")
    if not any(bool(one.up.any() and one.down.any()) for one in adapter.corrections.values()):
        raise SidemanError(
            Code.BAD_FILE,
            f"no step made the held-out clips likelier than the base does, so {output} is not "
            "written: give more clips or steps, a lower --lr, or --take last",
        )
    try:
        adapters.apply({adapter.name: 1.0})
        with learner.lora.without():
            found = look(learner, trainer.held_out, trainer.most, trainer.config.batch)
    finally:
        adapters.unload(adapter.name)
    return None if found is None else found.loss


def _readme(trainer: AudioTrainer, name: str, report: dict[str, Any]) -> str:
    """The page beside the weights: what they are, and under which licences they came to be."""
    model, config = trainer.learner.model, trainer.config
    clips = Clips.open(config.data).train
    learned = Counter(clip.licence or UNSAID for clip in clips)
    seconds = sum(clip.seconds for clip in clips)
    card = model.licence.lower() if " " not in model.licence else "other"
    losses = [
        f"| {what} | {_figure(report[before])} | {_figure(report[after])} |"
        for what, before, after in (
            ("clips that it learned from", "loss_first", "loss_last"),
            ("clips that it did not", "heldout_before", "heldout_after"),
        )
    ]
    lines = [
        "---",
        f"license: {card or 'other'}",
        f"base_model: {model.name}",
        "library_name: peft",
        "tags: [musicgen, lora]",
        "---",
        "",
        f"# {name}",
        "",
        f"A LoRA for {model.name}, rank {config.rank}, made by `sideman train audio`. "
        f"{trainer.learner.lora.share}.",
        "",
        f"| nats a code; chance is {report['chance']:.2f} | the base | with this |",
        "|---|---|---|",
        *losses,
        "",
        f"It was made of {model.name}, whose licence holds for it too: {model.licence}.",
        "",
        f"It learned from {len(clips)} clips, {seconds / 60:.1f} minutes, under these licences:",
        "",
        *(f"* {text}: {count} clips" for text, count in learned.most_common()),
        "",
        f"Copied to `adapters/{name}` in Sideman's data folder, `/sideman/adapter {name} 1.0` puts "
        "it on.",
        "",
    ]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"  # noqa: RUF001
