"""Music to play to an engine: the phrase that ships, and pieces that no shipped model has heard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bridge import phrase
from bridge.files.midi_file import read_midi
from engine.music import DRUMS, Note
from tests.e2e.client import Client

HELD_OUT = "midi/simutrans"
"""Whole bands, and as a whole kept out of training (weight 0 in the recipe)."""

BURST = 100
"""Datagrams sent before the engine is asked whether it has taken them in."""

TRACKS = 4
FIRST_PITCH_OF_MELODY = 66


class Part(NamedTuple):
    """What one track plays; ``program`` is -1 for drums."""

    number: int
    name: str
    program: int
    notes: list[Note]


@dataclass(frozen=True)
class Music:
    """Some bars in 4/4, from bar 0."""

    name: str
    bars: int
    parts: list[Part]
    bpm: float = 120.0

    def part(self, *, drums: bool) -> Part:
        """Its drums, or its first part that is none."""
        return next(part for part in self.parts if (part.program == DRUMS) == drums)


def own_phrase(bars: int = 16) -> Music:
    """The phrase that ships, round and round, its piano divided into melody and chords."""
    parts: list[Part] = []
    tracks = phrase.phrase()
    piano = tracks.pop("piano")
    tracks["melody"] = [n for n in piano if n.pitch >= FIRST_PITCH_OF_MELODY]
    tracks["chords"] = [n for n in piano if n.pitch < FIRST_PITCH_OF_MELODY]
    for number, (name, notes) in enumerate(tracks.items(), 1):
        again = [
            moved(note, turn) for turn in range(0, bars, phrase.BARS) for note in notes
        ]
        program = phrase.PROGRAMS.get(name, phrase.PIANO)
        parts.append(Part(number, name, program, [n for n in again if n.bar < bars]))
    return Music("own phrase", bars, parts, phrase.BPM)


def held_out(data: Path) -> list[Path]:
    """The pieces that no shipped model has heard, in order."""
    return sorted((data / HELD_OUT).glob("*.mid"))


def excerpt(path: Path, first: int, bars: int) -> Music | None:
    """Bars of a piece on the four tracks that have most to play; None where there are fewer.

    Bars in another meter than 4/4 are none of these tests' business.
    """
    song = read_midi(path)
    if any(song.meter_map.at(bar).beats != 4 for bar in range(first, first + bars)):
        return None
    tracks: list[tuple[str, int, list[Note]]] = []
    for track in song.tracks:
        notes = [moved(n, -first) for n in track.notes if first <= n.bar < first + bars]
        tracks.append((track.name, track.program, notes))
    most = sorted(tracks, key=lambda track: -len(track[2]))[:TRACKS]
    if len(most) < TRACKS or len(most[-1][2]) < bars:
        return None
    parts = [
        Part(number, f"{number} {name}".replace("/", " ")[:40].strip(), program, notes)
        for number, (name, program, notes) in enumerate(most, 1)
    ]
    bpm = song.tempos[-1].bpm if song.tempos else 120.0
    return Music(path.stem, bars, parts, min(max(bpm, 40.0), 240.0))


def moved(note: Note, bars: int) -> Note:
    """The same note some bars later."""
    return Note(
        note.bar + bars, note.tick, note.program, note.pitch, note.duration, note.velocity
    )


def play(client: Client, music: Music) -> None:
    """Tell the engine all of it, as a DAW would, and let the song stand in its last bar."""
    for part in music.parts:
        client.send("/sideman/track/clear", part.number)
        client.send("/sideman/track/set", part.number, "name", part.name)
        if part.program == DRUMS:
            client.send("/sideman/track/set", part.number, "drums", 1)
        else:
            client.send("/sideman/track/set", part.number, "program", part.program)
    for part in music.parts:
        for i, note in enumerate(part.notes):
            client.send(
                "/sideman/track/note", part.number, note.pitch, note.velocity, note.bar,
                note.beat, note.duration_beats,
            )  # fmt: skip
            if i % BURST == BURST - 1:
                client.sync()
    client.stand(music.bars - 1, bpm=music.bpm)
    news = client.news()
    assert all(m.address == "/sideman/done" for m in news), news
