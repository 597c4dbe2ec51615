"""``sideman train evaluate``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from bridge.commands.output import Json, Progress, print_table
from bridge.commands.train.common import Seed, report
from engine.errors import Code, SidemanError


def evaluate(
    model: Annotated[str, Argument(metavar="MODEL", help="A model's name, or its folder.")],
    data: Annotated[
        Path, Argument(metavar="DATA", help="Folder of a data set: tokens, or audio for sound.")
    ],
    output: Annotated[
        Path | None,
        Option("-o", "--output", metavar="HTML", help="The report.  [MODEL-evaluation.html]"),
    ] = None,
    samples: Annotated[
        int, Option(min=0, help="Pieces of each collection that are played on; 0 for none.")
    ] = 8,
    bars: Annotated[
        int | None, Option(min=1, max=64, help="Bars of each continuation.  [8; 4 of sound]")
    ] = None,
    pieces: Annotated[
        int | None, Option(min=1, help="Held-out pieces of each collection, at most.  [all]")
    ] = None,
    limit: Annotated[
        int | None, Option(min=1, help="Tokens of each piece, at most.  [all]")
    ] = None,
    takes: Annotated[
        int | None, Option(min=0, help="Of sound: takes from prompts alone; 0 for none.  [50]")
    ] = None,
    seconds: Annotated[
        float | None, Option(min=1, max=30, help="Of sound: length of these.  [5]")
    ] = None,
    bpm: Annotated[
        float | None, Option(min=20, max=400, help="Of sound: tempo of the clips.  [guessed]")
    ] = None,
    adapter: Annotated[
        str | None, Option(metavar="ADAPTER", help="Of sound: a LoRA that counts throughout.")
    ] = None,
    clap: Annotated[
        Path | None,
        Option(metavar="FOLDER", help="Of sound: compare by this CLAP.  [mel bands, named so]"),
    ] = None,
    few: Annotated[
        bool, Option("--few", help="Of sound: tell distances of too few sounds, too.")
    ] = False,
    device: Annotated[str, Option(help="Where the model is scored: cpu or cuda.")] = "cpu",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure a model on pieces that it has not heard, and write a report of it."""
    from engine.models import adapters, store
    from engine.models.folder import read_info

    folder = store.resolve(model)
    page = output or Path(f"{folder.name}-evaluation.html")
    sound: dict[str, Any] = {
        "takes": takes, "seconds": seconds, "bpm": bpm, "clap": clap, "few": few or None,
        "adapter": adapters.resolve(adapter) if adapter else None,
    }  # fmt: skip
    given = {name: value for name, value in sound.items() if value is not None}
    if read_info(folder).kind == "audio":
        from bridge.commands.train.evaluate_audio import evaluate_audio
        from training.sound.audio_study import AudioStudyConfig

        about = AudioStudyConfig(
            folder, data, continued=samples, bars=bars or 4, seed=seed, device=device, **given
        )
        evaluate_audio(about, page, as_json)
        return
    if given:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"--{next(iter(given))} is for models of sound, and {folder.name} plays notes",
        )
    from training.evaluate.study import StudyConfig, study
    from training.report import prepare, write
    from training.samples import SampleConfig

    started = time.monotonic()
    prepare(page)
    progress = Progress(f"evaluating {folder.name}")
    config = StudyConfig(
        folder, data, pieces, limit, SampleConfig(samples, bars=bars or 8, seed=seed), device
    )
    result = study(config, progress)
    progress.close()
    made = write(result, page)
    if as_json:
        report(made, started, as_json, model=result.name, collections=result.figures())
        return
    names = list(result.parts[0].scores)
    print_table(
        ("bits per note", "pieces", "notes", *names),
        [
            (
                part.name,
                str(part.pieces),
                str(part.scores[names[0]].notes),
                *(f"{score.bits_per_note:.2f}" for score in part.scores.values()),
            )
            for part in result.parts
        ],
    )
    print(made)
