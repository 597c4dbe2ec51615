"""``sideman continue``: the same engine on a file, without a DAW."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from bridge import config as configs
from bridge.commands.output import Json
from bridge.config import ContinueOptions, Device
from engine.messages.keys import LARGEST_SEED, MOST_BARS, MOST_VARIATIONS


def continue_(
    output: Annotated[
        Path, Option("-o", "--output", metavar="OUT", help="File to write: .mid .wav .flac .mp3.")
    ],
    input: Annotated[
        Path | None, Argument(metavar="[IN]", help="What was played: a .mid or audio file.")
    ] = None,
    bars: Annotated[
        int | None,
        Option(min=1, max=MOST_BARS, help="Bars to play.  [the chords', or the preset's]"),
    ] = None,
    preset: Annotated[str | None, Option(metavar="NAME", help="Preset to play with.")] = None,
    model: Annotated[
        str | None, Option(metavar="NAME", help="Model: a name or a folder.  [the preset's]")
    ] = None,
    adapter: Annotated[str | None, Option(metavar="NAME", help="Adapter on the model.")] = None,
    prompt: Annotated[str | None, Option(help="What it should sound like (audio).")] = None,
    seed: Annotated[
        int | None, Option(min=0, max=LARGEST_SEED, help="The same seed gives the same take.")
    ] = None,
    temperature: Annotated[
        float | None, Option(min=0, max=2, help="0 is the likeliest note each time.")
    ] = None,
    top_p: Annotated[
        float | None, Option(min=0, max=1, help="Sample from the likeliest of this share.")
    ] = None,
    chords: Annotated[str | None, Option(help='Chords, such as "C:4|Am:4".')] = None,
    key: Annotated[str | None, Option(help='Key, such as "Cmin".')] = None,
    program: Annotated[
        int | None, Option(min=0, max=127, help="General MIDI program of the take.")
    ] = None,
    variations: Annotated[int, Option(min=1, max=MOST_VARIATIONS, help="Takes to make.")] = 1,
    bpm: Annotated[float | None, Option(min=10, max=1000, help="Tempo, where IN has none.")] = None,
    rate: Annotated[
        int | None, Option(min=8000, max=192_000, help="Sample rate of sound, in Hz.  [IN's]")
    ] = None,
    encoding: Annotated[
        Literal["int16", "int24", "float"] | None, Option(help="Samples of sound.  [int16]")
    ] = None,
    append: Annotated[bool, Option("--append", help="OUT holds IN, too.")] = False,
    device: Annotated[Device | None, Option(help="Where the model runs.  [auto]")] = None,
    config: Annotated[
        Path | None, Option(metavar="FILE", help="Config file instead of the user's own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Play on from a file, or from nothing: notes from notes, sound from sound.

    The kind of OUT says what is written: .mid, .wav, .flac or .mp3.
    """
    settings = configs.load(config)
    options = ContinueOptions(
        input=input,
        output=output,
        bars=bars,
        preset=preset,
        model=model,
        adapter=adapter,
        prompt=prompt,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        chords=chords,
        key=key,
        program=program,
        variations=variations,
        bpm=bpm,
        rate=rate,
        encoding=encoding or "int16",
        append=append,
        device=device or settings.device,
        config=settings,
        json=as_json,
    )
    from bridge.offline_parts import is_for_sound

    if is_for_sound(options):
        from bridge.offline_sound import run_continue
    else:
        from bridge.offline import run_continue
    raise typer.Exit(run_continue(options))
