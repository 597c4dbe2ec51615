"""``sideman train import``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bridge.commands.output import Json, Progress, print_json
from bridge.commands.train.common import Seed

SHOWN = 20
"""Skipped files that are named on a screen; ``--json`` names all."""


def import_(
    file: Annotated[
        Path, Argument(metavar="FILE", help="A score, data set or checkpoint, or a folder of them.")
    ],
    output: Annotated[
        Path, Option("-o", "--output", metavar="OUT", help="Model folder, .mid file or folder.")
    ],
    tokens: Annotated[
        bool, Option("--tokens", help="Write songs as a data set of 423 tokens (LPD-5).")
    ] = False,
    jobs: Annotated[int, Option(min=0, help="Files at a time; 0 for one per core.")] = 0,
    name: Annotated[str | None, Option(help="Name of the model.  [the file's]")] = None,
    licence: Annotated[str, Option(help="Licence of the model.")] = "",
    dtype: Annotated[str, Option(help="Weights as float32, float16 or bfloat16.")] = "float32",
    base: Annotated[
        Path | None,
        Option(metavar="BASE", help="Checkpoint of a LoRA, or the name of the model of concepts."),
    ] = None,
    tokenizer: Annotated[
        Path | None, Option(metavar="FILE", help="tokenizer.json of the model.")
    ] = None,
    seed: Seed = 0,
    device: Annotated[str, Option(help="cpu or cuda; importing uses neither.")] = "cpu",
    as_json: Json = False,
) -> None:
    """Bring in RWKV checkpoints, concepts, LPD-5, MusicXML, ABC, or all that a folder holds."""
    from training.importers.run import ModelOptions, import_path

    started = time.monotonic()
    progress = Progress(f"importing {file.name}")
    options = ModelOptions(name, licence, dtype, base, tokenizer)
    try:
        made = import_path(
            file,
            output,
            options=options,
            tokens=tokens,
            jobs=jobs or os.cpu_count() or 1,
            progress=progress,
        )
    finally:
        progress.close()
    if as_json:
        print_json(
            {
                "output": str(output),
                "files": list(map(str, made.files)),
                "skipped": [{"file": path, "reason": why} for path, why in made.skipped],
                "formats": made.formats,
                "seconds": round(time.monotonic() - started, 3),
            }
        )
        return
    for path, why in made.skipped[:SHOWN]:
        print(f"skipped {path}: {why}", file=sys.stderr)
    if len(made.skipped) > SHOWN:
        print(f"skipped {len(made.skipped) - SHOWN} more: see --json", file=sys.stderr)
    print(output)
