"""``sideman render``: a MIDI file as audio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from bridge import config as configs
from bridge.commands.output import Json, print_json


def render(
    midi: Annotated[Path, Argument(metavar="IN.mid", help="MIDI file.")],
    output: Annotated[
        Path, Option("-o", "--output", metavar="OUT", help="File to write: .wav .flac .mp3.")
    ],
    soundfont: Annotated[
        Path | None, Option(metavar="FILE", help="SoundFont: .sf2 or .sf3.  [found]")
    ] = None,
    config: Annotated[
        Path | None, Option(metavar="FILE", help="Config file instead of the user's own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Play a MIDI file through a SoundFont into an audio file."""
    from bridge.files.render import render_midi

    font = soundfont or configs.load(config).files.soundfont or None
    render_midi(midi, output, soundfont=Path(font).expanduser() if font else None)
    if as_json:
        print_json({"output": str(output)})
    else:
        print(output)
