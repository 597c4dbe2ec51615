"""``sideman train evaluate``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bridge.commands.output import Json, Progress, print_table
from bridge.commands.train.common import Seed, Tokens, report


def evaluate(
    model: Annotated[str, Argument(metavar="MODEL", help="A model's name, or its folder.")],
    tokens: Tokens,
    output: Annotated[
        Path | None,
        Option("-o", "--output", metavar="HTML", help="The report.  [MODEL-evaluation.html]"),
    ] = None,
    samples: Annotated[
        int, Option(min=0, help="Pieces of each collection that are played on; 0 for none.")
    ] = 8,
    bars: Annotated[int, Option(min=1, max=64, help="Bars of each continuation.")] = 8,
    pieces: Annotated[
        int | None, Option(min=1, help="Held-out pieces of each collection, at most.  [all]")
    ] = None,
    limit: Annotated[
        int | None, Option(min=1, help="Tokens of each piece, at most.  [all]")
    ] = None,
    device: Annotated[str, Option(help="Where the model is scored: cpu or cuda.")] = "cpu",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure a model on pieces that it has not heard, and write a report of it."""
    from engine.models import store
    from training.evaluate.study import StudyConfig, study
    from training.report import prepare, write
    from training.samples import SampleConfig

    started = time.monotonic()
    folder = store.resolve(model)
    page = output or Path(f"{folder.name}-evaluation.html")
    prepare(page)
    progress = Progress(f"evaluating {folder.name}")
    config = StudyConfig(
        folder, tokens, pieces, limit, SampleConfig(samples, bars=bars, seed=seed), device
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
