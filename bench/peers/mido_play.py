"""mido's own player, as its docs have it: ``for message in file.play(): port.send(message)``."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import mido

from bench.peers.slices import TICKS_PER_BEAT, Nowhere, Play, Slice, serve


def song(piece: Slice) -> mido.MidiFile:
    """The slice as a MIDI file. The ticks are the same, so nothing is rounded."""
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_BEAT)
    file.tracks.append(track := mido.MidiTrack())
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(piece.bpm)))
    tick = 0
    for event in piece.events:
        track.append(
            mido.Message(
                "note_on", channel=event.channel, note=event.pitch, velocity=event.velocity,
                time=event.tick - tick,
            )
        )  # fmt: skip
        tick = event.tick
    return file


def prepare(system: str) -> tuple[str, Play]:
    """Open a port of its own."""
    port: Any = Nowhere()
    if system:
        port = mido.Backend(f"mido.backends.rtmidi/{system}").open_output("mido", virtual=True)

    def play(piece: Slice) -> tuple[float, list[float]]:
        file = song(piece)
        looks: list[float] = []

        def now() -> float:
            looks.append(time.monotonic())
            return looks[-1]

        sent = []
        time.sleep(max(0.0, piece.start - time.monotonic()))
        for message in file.play(now=now):
            port.send(message)
            if message.velocity:
                sent.append(time.monotonic())
        return looks[0], sent  # play() counts from its first look at the clock

    return f"mido {version('mido')}, `MidiFile.play()`", play


if __name__ == "__main__":
    serve(prepare)
