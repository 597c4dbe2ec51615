"""Which MIDI ports a running engine wants, by its options and its config."""

from __future__ import annotations

import sys

from bridge.config import ServeOptions
from bridge.midi.wire import Open, Port

IN, OUT = "Sideman In", "Sideman Out"
"""Our own ports, where the options name none and the system has virtual ones."""


def wanted(options: ServeOptions, platform: str = sys.platform) -> Open | None:
    """What the MIDI process is to open; None where MIDI is off."""
    if options.no_midi:
        return None
    midi = options.config.midi
    virtual = platform != "win32"
    ports = [Port("in", name) for name in options.midi_in]
    ports += [Port("out", name) for name in options.midi_out]
    if virtual and not options.midi_in:
        ports.append(Port("in", IN, virtual=True))
    if virtual and not options.midi_out:
        ports.append(Port("out", OUT, virtual=True))
    if midi.control:
        ports += [Port("control", midi.control), Port("lights", midi.control)]
    return Open(
        options.midi_api,
        ports,
        thru=midi.thru,
        echo_seconds=midi.echo_ms / 1000.0,
        late_seconds=midi.late_ms / 1000.0,
        send_clock=midi.send_clock and options.clock != "midi",
    )


def insists(options: ServeOptions) -> bool:
    """Whether the user asked for MIDI, so that an engine without it would be of no use."""
    midi = options.config.midi
    named = options.midi_in or options.midi_out or midi.control
    return not options.no_midi and (
        bool(named) or options.midi_api != "auto" or options.clock == "midi"
    )
