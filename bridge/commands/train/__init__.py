"""``sideman train``: what makes models. The work is done by ``training``, imported as it runs."""

from __future__ import annotations

import typer

from bridge.commands.train.audio import audio
from bridge.commands.train.audio_data import audio_data
from bridge.commands.train.concept import concept
from bridge.commands.train.evaluate import evaluate
from bridge.commands.train.export import export
from bridge.commands.train.grid import grid
from bridge.commands.train.import_ import import_
from bridge.commands.train.midi import midi
from bridge.commands.train.runs import runs
from bridge.commands.train.tokenize import tokenize

app = typer.Typer(
    help="Make models (extra 'train').",
    no_args_is_help=True,
    rich_markup_mode=None,
)

for command in (tokenize, midi, audio_data, audio, concept, evaluate, export, import_, grid, runs):
    app.command(command.__name__.rstrip("_").replace("_", "-"))(command)
