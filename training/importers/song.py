"""A song between two formats, and the MIDI file that it becomes."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import mido

from engine.chords import Chord, parse_chord
from engine.errors import Code, SidemanError
from engine.music import DRUM_CHANNEL, DRUMS, TICKS_PER_BEAT, Meter

MAX_NOTES = 200_000
MAX_BEATS = 100_000
MAX_TEXT = 200
"""Characters that are kept of a title or a name."""

NO_CHORD = "N.C."
CHORD_MARK = "chord "
"""What a marker that holds a chord begins with; after it stands a name of `engine.chords`."""

MAJOR = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
MINOR = ("Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m",
         "D#m", "A#m")  # fmt: skip
"""Keys of seven flats to seven sharps."""

_MELODIC = [channel for channel in range(16) if channel != DRUM_CHANNEL - 1]

# What comes first where events share a tick: a program, the end of a note, the start of the next.
_PROGRAM, _OFF, _ON = range(3)


class Note(NamedTuple):
    """A note in ticks of the engine, 960 to the quarter note, from the song's beginning."""

    start: int
    duration: int
    pitch: int
    velocity: int


@dataclass(slots=True)
class Part:
    """What one instrument plays; the program is 0 to 127, or ``DRUMS``."""

    name: str
    program: int
    notes: list[Note] = field(default_factory=list)


@dataclass(slots=True)
class Song:
    """Parts on one time line. Changes are pairs of a tick and what holds from there on."""

    parts: list[Part]
    meters: list[tuple[int, Meter]] = field(default_factory=list)
    tempos: list[tuple[int, float]] = field(default_factory=list)
    """Quarter notes a minute."""
    keys: list[tuple[int, str]] = field(default_factory=list)
    """As in ``Ebm``: the names of MIDI's 30 key signatures."""
    chords: list[tuple[int, Chord | None]] = field(default_factory=list)
    """Chord symbols; None ends the chord."""
    title: str = ""
    author: str = ""
    rights: str = ""

    @property
    def notes(self) -> int:
        """How many notes all parts have."""
        return sum(len(part.notes) for part in self.parts)


def write_midi(song: Song, path: Path) -> None:
    """Write ``song`` as a MIDI file of type 1, whole or not at all.

    Chord symbols become markers, the author a text and the rights a copyright notice. Raises
    ``bad-file`` for a song without notes, one that is too long, and a disk that refuses.
    """
    if not song.notes:
        raise SidemanError(Code.BAD_FILE, "has no notes")
    end = max(note.start + note.duration for part in song.parts for note in part.notes)
    if song.notes > MAX_NOTES or end > MAX_BEATS * TICKS_PER_BEAT:
        raise SidemanError(
            Code.BAD_FILE, f"is longer than {MAX_NOTES} notes or {MAX_BEATS} beats: cut it up"
        )
    midi = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT, charset="utf-8")
    midi.tracks.append(_track(_conductor(song)))
    parts = [part for part in song.parts if part.notes]
    channels = _channels(parts)
    for part, channel in zip(parts, channels, strict=True):
        midi.tracks.append(_track(_events(part, channel, channels.count(channel) > 1)))
    with replacing(path) as temporary:
        midi.save(temporary)


def read_chords(path: Path) -> list[tuple[int, Chord | None]]:
    """The chord symbols in a MIDI file of `write_midi`, with their ticks; None ends a chord."""
    found: list[tuple[int, Chord | None]] = []
    tick = 0
    for message in mido.MidiFile(path, charset="utf-8").tracks[0]:
        tick += message.time
        if message.type == "marker" and message.text.startswith(CHORD_MARK):
            name = message.text.removeprefix(CHORD_MARK)
            found.append((tick, None if name == NO_CHORD else parse_chord(name)))
    return found


def key_name(fifths: int, minor: bool) -> str | None:
    """The key with so many sharps, or by a negative number flats; None for more than seven."""
    return (MINOR if minor else MAJOR)[fifths + 7] if -7 <= fifths <= 7 else None


def clean_text(text: str | None) -> str:
    """``text`` on one line of bounded length, without what cannot be printed."""
    words = " ".join((text or "").split())
    return "".join(c for c in words if c.isprintable())[:MAX_TEXT]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of ``path`` when the block ends well.

    Raises ``bad-file`` for what the system refuses, such as a full disk.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".import-", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise SidemanError(Code.BAD_FILE, f"cannot write {path}: {reason}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _conductor(song: Song) -> list[tuple[int, int, mido.MetaMessage]]:
    events = [(0, 0, mido.MetaMessage("track_name", name=clean_text(song.title)))]
    for kind, text in (("text", song.author), ("copyright", song.rights)):
        if text:
            events.append((0, 0, mido.MetaMessage(kind, text=clean_text(text))))
    for tick, meter in song.meters:
        values = {"numerator": meter.num, "denominator": meter.den}
        events.append((tick, 0, mido.MetaMessage("time_signature", **values)))
    for tick, key in song.keys:
        events.append((tick, 0, mido.MetaMessage("key_signature", key=key)))
    for tick, bpm in song.tempos:
        tempo = min(max(1, round(60e6 / bpm)), 0xFFFFFF)
        events.append((tick, 0, mido.MetaMessage("set_tempo", tempo=tempo)))
    for tick, chord in song.chords:
        text = f"{CHORD_MARK}{chord or NO_CHORD}"
        events.append((tick, 0, mido.MetaMessage("marker", text=text)))
    return events


def _events(
    part: Part, channel: int, shared: bool
) -> list[tuple[int, int, mido.Message | mido.MetaMessage]]:
    """The events of a part; on a ``shared`` channel each note says its program anew."""
    program = mido.Message("program_change", channel=channel, program=max(0, part.program))
    events = [(0, 0, mido.MetaMessage("track_name", name=clean_text(part.name)))]
    events.append((0, _PROGRAM, program))
    for start, duration, pitch, velocity in _struck(part.notes):
        if shared and part.program != DRUMS:
            events.append((start, _ON, program.copy()))
        sound = {"channel": channel, "note": pitch}
        events.append((start, _ON, mido.Message("note_on", velocity=velocity, **sound)))
        events.append((start + duration, _OFF, mido.Message("note_off", velocity=0, **sound)))
    return events


def _struck(notes: Sequence[Note]) -> list[Note]:
    """The same notes as one instrument can play them: each pitch once at a time.

    A note ends where its pitch is struck again, and of two that begin together the longer stays.
    """
    by_pitch: dict[int, list[Note]] = defaultdict(list)
    for note in sorted(notes):
        held = by_pitch[note.pitch]
        if held and held[-1].start == note.start:
            held.pop()
        elif held:
            gap = note.start - held[-1].start
            held[-1] = held[-1]._replace(duration=min(held[-1].duration, gap))
        held.append(note)
    return sorted(note for held in by_pitch.values() for note in held)


def _channels(parts: Sequence[Part]) -> list[int]:
    """A channel for each part, 0 to 15: its own while there are any, then one that is shared."""
    channels: list[int] = []
    melodic = 0
    for part in parts:
        if part.program == DRUMS:
            channels.append(DRUM_CHANNEL - 1)
        else:
            channels.append(_MELODIC[melodic % len(_MELODIC)])
            melodic += 1
    return channels


def _track(events: list[tuple[int, int, mido.Message | mido.MetaMessage]]) -> mido.MidiTrack:
    track = mido.MidiTrack()
    last = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        message.time = tick - last
        track.append(message)
        last = tick
    return track
