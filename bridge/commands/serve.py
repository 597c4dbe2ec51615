"""``sideman serve``: the long-running engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from bridge import config as configs
from bridge.config import ClockSource, Device, LogLevel, MidiApi, ServeOptions


def serve(
    osc_host: Annotated[str | None, Option(help="Address for OSC.  [127.0.0.1]")] = None,
    osc_port: Annotated[
        int | None, Option(min=0, max=65535, help="UDP and TCP port for OSC; 0: any.  [9700]")
    ] = None,
    midi_in: Annotated[
        list[str] | None, Option(metavar="NAME", help="MIDI input port; may be given again.")
    ] = None,
    midi_out: Annotated[
        list[str] | None, Option(metavar="NAME", help="MIDI output port; may be given again.")
    ] = None,
    no_midi: Annotated[bool, Option("--no-midi", help="Open no MIDI ports.")] = False,
    midi_api: Annotated[MidiApi | None, Option(help="MIDI system.  [auto]")] = None,
    clock: Annotated[ClockSource | None, Option(help="Who leads the time.  [auto]")] = None,
    preset: Annotated[str | None, Option(metavar="NAME", help="Preset to play with.")] = None,
    device: Annotated[Device | None, Option(help="Where the model runs.  [auto]")] = None,
    panel_port: Annotated[
        int | None, Option(min=0, max=65535, help="Port of the web panel.  [9780]")
    ] = None,
    no_panel: Annotated[bool, Option("--no-panel", help="Serve no web panel.")] = False,
    sessions: Annotated[
        Path | None,
        Option(metavar="DIR", file_okay=False, help="Folder of sessions; its newest goes on."),
    ] = None,
    new_session: Annotated[
        bool, Option("--new-session", help="Begin a new session in the folder of sessions.")
    ] = False,
    config: Annotated[
        Path | None, Option(metavar="FILE", help="Config file instead of the user's own.")
    ] = None,
    log_level: Annotated[LogLevel | None, Option(help="What to log.  [info]")] = None,
) -> None:
    """Run the engine until it is interrupted.

    Prints one line `ready osc=HOST:PORT panel=URL preset=NAME` when it can answer, and not before.
    """
    settings = configs.load(config)
    folder = settings.files.sessions
    options = ServeOptions(
        osc_host=osc_host or settings.osc.host,
        osc_port=settings.osc.port if osc_port is None else osc_port,
        midi_in=tuple(midi_in or configs.port_names(settings.midi.input)),
        midi_out=tuple(midi_out or configs.port_names(settings.midi.output)),
        no_midi=no_midi or not settings.midi.enabled,
        midi_api=midi_api or settings.midi.api,
        clock=clock or settings.clock,
        preset=preset or settings.preset,
        device=device or settings.device,
        panel_port=settings.panel.port if panel_port is None else panel_port,
        no_panel=no_panel or not settings.panel.enabled,
        sessions=sessions or (Path(folder).expanduser() if folder else None),
        new_session=new_session,
        config=settings,
        log_level=log_level or settings.log_level,
    )
    from bridge.serve import serve as run

    raise typer.Exit(run(options))
