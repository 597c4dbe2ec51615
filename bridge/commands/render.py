"""``sideman render``: a MIDI file as audio."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bridge import config as configs
from bridge.commands.output import Json, Progress, print_json


def render(
    midi: Annotated[Path, Argument(metavar="IN.mid", help="MIDI file.")],
    output: Annotated[
        Path, Option("-o", "--output", metavar="OUT", help="File to write: .wav .flac .mp3.")
    ],
    soundfont: Annotated[
        Path | None, Option(metavar="FILE", help="SoundFont: .sf2 or .sf3.  [found]")
    ] = None,
    rate: Annotated[int, Option(min=8_000, max=192_000, help="Frames per second.")] = 44_100,
    tail: Annotated[
        float, Option(min=0, max=60, help="Seconds in which the sound may die away.")
    ] = 0.0,
    config: Annotated[
        Path | None, Option(metavar="FILE", help="Config file instead of the user's own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Play a MIDI file through a SoundFont into an audio file."""
    from bridge.files.render import render_midi
    from bridge.files.soundfont import find

    progress = Progress(f"rendering {midi.name}")
    made = render_midi(
        midi,
        output,
        rate=rate,
        tail_seconds=tail,
        soundfont=soundfont or find(configs.load(config).files.soundfont or None),
        progress=progress,
    )
    progress.close()
    if as_json:
        print_json({**asdict(made), "seconds": made.seconds})
    else:
        print(f"{made.path}: {made.seconds:.2f} s, by {made.engine} with {made.soundfont.name}")
