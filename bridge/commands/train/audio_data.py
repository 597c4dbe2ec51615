"""``sideman train audio-data``."""

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

PRESET = "loop"
"""Its model makes the codes where none is named, if it is installed."""

NO_MODEL = "none"


class LevelBy(StrEnum):
    """What is brought to the target."""

    PEAK = "peak"
    LUFS = "lufs"
    NONE = "none"


class Layout(StrEnum):
    """How the data set lies on disk."""

    SIDEMAN = "sideman"
    THESIS = "thesis"


def audio_data(
    audio: Annotated[
        Path,
        Argument(
            metavar="AUDIO",
            help="Folder of WAV, MP3, FLAC and OGG files, one file, or a list of files: "
            "CSV, JSON, audiocraft's data.jsonl.",
        ),
    ],
    output: Annotated[
        Path, Option("-o", "--output", metavar="DATA", help="Folder for the audio data set.")
    ],
    stereo: Annotated[
        bool | None,
        Option("--stereo/--mono", help="Channels of the clips.  [the model's, or mono]"),
    ] = None,
    level: Annotated[
        LevelBy, Option(help="Make files alike in peak, in loudness, or not.")
    ] = LevelBy.PEAK,
    target: Annotated[
        float | None,
        Option(min=-60, max=0, metavar="DB", help="Their level.  [-1 dBFS, or -14 LUFS]"),
    ] = None,
    length: Annotated[
        float,
        Option("--length", "--duration", min=0.1, max=300, metavar="SECONDS", help="Of a clip."),
    ] = 30.0,
    stride: Annotated[
        float | None,
        Option(min=0.02, metavar="SECONDS", help="From clip to clip.  [as long as a clip]"),
    ] = None,
    shortest: Annotated[
        float, Option(min=0.02, metavar="SECONDS", help="Leave out rests that are shorter.")
    ] = 1.0,
    most: Annotated[
        int | None, Option(min=1, metavar="N", help="Clips of one file, at most.  [all]")
    ] = None,
    trim: Annotated[
        bool, Option("--trim", help="Leave out silence before and after the sound.")
    ] = False,
    table: Annotated[
        Path | None,
        Option(metavar="FILE", help="CSV, JSON or JSON lines that say what the files are."),
    ] = None,
    column: Annotated[
        str | None, Option(metavar="NAME", help="Column of it that holds the prompts.")
    ] = None,
    fma: Annotated[
        Path | None, Option(metavar="FOLDER", help="FMA's metadata: tracks.csv and genres.csv.")
    ] = None,
    template: Annotated[
        str | None,
        Option(metavar="TEXT", help="Prompts by a pattern: '{title}, {genres}', or '{name}'."),
    ] = None,
    concepts: Annotated[
        bool, Option("--concepts", help="Each folder in AUDIO is a concept.")
    ] = False,
    licence: Annotated[
        list[str] | None,
        Option(
            "--licence", "--license", metavar="NAME", help="Use only this one: CC0, CC-BY.  (again)"
        ),
    ] = None,
    folders: Annotated[
        int | None, Option(min=1, metavar="N", help="Draw so many folders of AUDIO by lot.  [all]")
    ] = None,
    held_out: Annotated[
        float, Option(min=0, max=0.9, metavar="SHARE", help="Of the files, kept apart.")
    ] = 0.1,
    model: Annotated[
        str | None,
        Option(
            metavar="MODEL",
            help="Make its codec's codes, too: a name, a folder, or none.  "
            "[preset loop's, if it is here]",
        ),
    ] = None,
    device: Annotated[str, Option(help="auto, cpu or cuda.")] = "auto",
    layout: Annotated[
        Layout, Option(help="thesis adds the lists of a thesis on textual inversion.")
    ] = Layout.SIDEMAN,
    jobs: Annotated[int | None, Option(min=1, help="Processes.  [as many as pay]")] = None,
    resume: Annotated[
        Path | None, Option(metavar="RUN", help="Folder of the run.  [DATA.run]")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make an audio data set out of sound files; the same command goes on after any stop."""
    if target is not None and level is LevelBy.NONE:
        raise typer.BadParameter("--target needs --level peak or lufs")
    from training.sound.cutting import Cutting
    from training.sound.levels import Level
    from training.sound.prepare import PrepareConfig, prepare
    from training.sound.sources import Wishes
    from training.sound.treating import Treatment

    started = time.monotonic()
    codec = _model(model)
    channels = (2 if stereo else 1) if stereo is not None else _channels(codec)
    config = PrepareConfig(
        audio,
        output,
        Wishes(
            table,
            column,
            fma,
            concepts,
            tuple(name for each in licence or () for name in each.split(",") if name.strip()),
            folders,
            seed,
        ),
        Treatment(
            channels, Level(level.value), target, Cutting(length, stride, shortest, most, trim)
        ),
        template=template,
        held_out=held_out,
        model=codec,
        device=_device(device) if codec else "cpu",
        layout=layout.value,
        jobs=jobs,
        seed=seed,
        run_folder=resume,
    )
    try:
        with counting() as tell:
            made = prepare(config, tell)
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        raise typer.Exit(130) from None
    say_skipped(made.skipped, output / "statistics.json")
    clips = made.clips
    report(
        output,
        started,
        as_json,
        clips=len(clips.clips),
        heldout=len(clips.held_out),
        hours=round(clips.seconds / 3600, 4),
        channels=clips.channels,
        concepts=clips.concepts,
        skipped=len(made.skipped),
        codec=clips.codec.model if clips.codec else None,
    )


def _model(text: str | None) -> Path | None:
    """The folder of the model whose codec makes codes; None for none."""
    if text == NO_MODEL:
        return None
    from engine import presets
    from engine.models import store

    if text is None:
        name = presets.load(PRESET).model
        return store.find(name) if name in store.names() else None
    if store.can_be_made(text):
        from engine.models.musicgen.installing import make

        return make(text)
    return store.resolve(text)


def _channels(model: Path | None) -> int:
    """Of the clips, where nobody says."""
    if model is None:
        return 1
    from engine.models.folder import read_info

    return read_info(model).sizes.get("channels", 1)


def _device(text: str) -> str:
    if text != "auto":
        return text
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
