"""``sideman train tokenize``."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from bridge.commands.output import Json
from bridge.commands.train.common import Seed, counting, report, say_skipped


class Algorithm(StrEnum):
    """How music is written as tokens."""

    REMI = "REMI"
    MMM = "MMM"


class Layout(StrEnum):
    """How the data set lies on disk."""

    SIDEMAN = "sideman"
    MUSAI = "musai"
    BINIDX = "binidx"
    JSONL = "jsonl"


def tokenize(
    midis: Annotated[
        Path,
        Argument(
            metavar="MIDIS",
            help="Folder of MIDI files, a .txt list of them, or tokens in another layout.",
        ),
    ],
    output: Annotated[
        Path, Option("-o", "--output", metavar="TOKENS", help="Folder for the token data set.")
    ],
    recipe: Annotated[
        str | None, Option(help="A recipe's name, or its file: MIDIS has a folder a collection.")
    ] = None,
    algo: Annotated[Algorithm, Option(help="How music is written.")] = Algorithm.REMI,
    classes: Annotated[
        str | None,
        Option(metavar="0,4,16", help="Instrument classes to keep.  [all but effects]"),
    ] = None,
    classes_req: Annotated[
        str, Option(metavar="16", help="Classes that a song must have, all of them.")
    ] = "",
    merge: Annotated[
        bool, Option("--merge", help="Let related classes play one instrument.")
    ] = False,
    length: Annotated[float, Option(min=0, metavar="BEATS", help="Leave out what is shorter.")] = 0,
    tempos: Annotated[bool, Option("--tempos", help="Write tempos.")] = False,
    chords: Annotated[bool, Option("--chords", help="Write chords.")] = False,
    bpe: Annotated[
        int | None, Option(min=1, metavar="N", help="Merge tokens until there are N (BPE).")
    ] = None,
    unigram: Annotated[int | None, Option(min=1, metavar="N", help="The same, by Unigram.")] = None,
    layout: Annotated[Layout, Option(help="How TOKENS lies on disk.")] = Layout.SIDEMAN,
    jobs: Annotated[int | None, Option(min=1, help="Processes.  [as many as pay]")] = None,
    ray: Annotated[
        str | None, Option(metavar="ADDRESS", help="Work on a Ray cluster; 'local' starts one.")
    ] = None,
    resume: Annotated[
        Path | None, Option(metavar="RUN", help="Folder of the run.  [TOKENS.run]")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make a token data set out of MIDI files; the same command goes on after any stop."""
    if bpe is not None and unigram is not None:
        raise typer.BadParameter("--bpe or --unigram, not both")
    from engine.instruments import find_class
    from training import recipes, runs
    from training.tokenize import Cleaning, TokenizeConfig, Vocabulary, make

    def chosen(text: str) -> frozenset[int]:
        return frozenset(find_class(word).number for word in text.split(",") if word.strip())

    started = time.monotonic()
    config = TokenizeConfig(
        recipes.load_recipe(recipes.find(recipe)) if recipe else None,
        midis,
        output,
        seed=seed,
        vocabulary=Vocabulary(
            algo.value, tempos, chords, bpe or unigram, "Unigram" if unigram else "BPE"
        ),
        cleaning=Cleaning(
            None if classes is None else chosen(classes), chosen(classes_req), merge, length
        ),
        layout=layout.value,
        jobs=jobs,
        ray=ray,
        run_folder=resume,
    )
    runs.note(config.work)
    try:
        with counting() as tell:
            made = make(config, lambda done, total: tell("tokenize", done, total))
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        raise typer.Exit(130) from None
    say_skipped(made.skipped, output)
    if made.unplayable:
        note = f"note: the live engine can't play models of these tokens: {made.unplayable}"
        print(note, file=sys.stderr)
    report(
        made.output,
        started,
        as_json,
        pieces=made.pieces,
        heldout=made.heldout,
        tokens=made.tokens,
        skipped=len(made.skipped),
        playable=made.unplayable is None,
    )
