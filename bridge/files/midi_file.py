"""MIDI files, read and written."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.files import midi_reader, midi_writer
from bridge.files.atomic import replacing
from bridge.files.midi_song import Control, MidiSong, MidiTrack, Tempo, TempoMap, restruck
from engine.errors import Code, SidemanError
from engine.music import TICKS_PER_BEAT

__all__ = [
    "Control", "MidiSong", "MidiTrack", "Tempo", "TempoMap", "read_midi", "restruck", "write_midi",
]  # fmt: skip


def read_midi(path: str | os.PathLike[str]) -> MidiSong:
    """The song in a ``.mid`` file of type 0 or 1.

    Raises `SidemanError` BAD_FILE for whatever cannot be read as music: see `midi_reader`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            # One byte more than is allowed tells a file that is too large without reading it all.
            data = file.read(midi_reader.MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SidemanError(Code.BAD_FILE, f"cannot read {path}: {reason}") from error
    return midi_reader.parse(data, path.name)


def write_midi(
    path: str | os.PathLike[str], song: MidiSong, ticks_per_beat: int = TICKS_PER_BEAT
) -> None:
    """Writes a type 1 file, whole or not at all. 960 ticks to the quarter note keep every tick.

    Raises `SidemanError` BAD_FILE where the system refuses.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(midi_writer.dump(song, ticks_per_beat))
