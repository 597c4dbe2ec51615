"""What a MIDI file holds, as values: tracks of notes, meters, tempo."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from engine import instruments
from engine.music import DRUM_CHANNEL, DRUMS, TICKS_PER_BEAT, MeterMap, Note

PITCH_BEND = 128
"""The number of a `Control` that is the pitch wheel: values 0 to 16,383, 8,192 at rest."""


@dataclass(frozen=True, slots=True, order=True)
class Tempo:
    """A tempo from an absolute tick on: whole microseconds per quarter note, as files hold it."""

    tick: int
    beat_us: int = 500_000

    @classmethod
    def of_bpm(cls, bpm: float, tick: int = 0) -> Tempo:
        """The nearest tempo to quarter notes per minute (the file format reaches 3.6 and up)."""
        return cls(tick, min(max(round(60e6 / bpm), 1), 0xFFFFFF))

    @property
    def bpm(self) -> float:
        """Quarter notes per minute."""
        return 60e6 / self.beat_us


@dataclass(frozen=True, slots=True)
class Control:
    """A controller's value at an absolute tick: ``number`` 0 to 127, or `PITCH_BEND`."""

    tick: int
    number: int
    value: int


@dataclass(frozen=True, slots=True)
class MidiTrack:
    """Notes of one instrument, in order of onset.

    ``program`` is 0 to 127, or `DRUMS`; ``kit`` is the drum kit's program. ``channel`` is 1 to 16;
    None lets the writer choose a free one.
    """

    name: str
    program: int
    notes: tuple[Note, ...]
    channel: int | None = None
    kit: int = 0
    controls: tuple[Control, ...] = ()

    @property
    def is_drum(self) -> bool:
        """Whether it plays the drum kit."""
        return self.program == DRUMS


@dataclass(frozen=True, slots=True)
class MidiSong:
    """A song: tracks on one timeline of ticks, 960 to the quarter note.

    ``tempos`` are in order; 120 quarter notes a minute hold until the first. ``length`` is the
    song's end in absolute ticks where that lies beyond its last note, as with a final rest.
    """

    tracks: tuple[MidiTrack, ...]
    meter_map: MeterMap = field(default_factory=MeterMap)
    tempos: tuple[Tempo, ...] = (Tempo(0),)
    length: int = 0

    @classmethod
    def of_notes(
        cls,
        notes: Iterable[Note],
        meter_map: MeterMap | None = None,
        bpm: float = 120.0,
        length: int = 0,
    ) -> MidiSong:
        """A song out of bare notes: a track for each program, by the order of their numbers."""
        by_program: dict[int, list[Note]] = {}
        for note in sorted(notes):
            by_program.setdefault(note.program, []).append(note)
        tracks = tuple(
            MidiTrack(
                instruments.program_name(program),
                program,
                tuple(by_program[program]),
                DRUM_CHANNEL if program == DRUMS else None,
            )
            for program in sorted(by_program)
        )
        return cls(tracks, meter_map or MeterMap(), (Tempo.of_bpm(bpm),), length)

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes of all tracks, in order of onset."""
        return tuple(sorted(note for track in self.tracks for note in track.notes))

    @property
    def end(self) -> int:
        """Absolute ticks of the song's end, final rest included."""
        line = self.meter_map
        ends = (
            line.absolute(note.onset) + note.duration
            for track in self.tracks
            for note in track.notes
        )
        return max(self.length, max(ends, default=0))

    @property
    def bars(self) -> int:
        """Bars that the song reaches into."""
        return self.meter_map.locate(self.end - 1).bar + 1 if self.end else 0

    def seconds(self, tick: int) -> Fraction:
        """The exact time of an absolute tick, in seconds from the start."""
        return TempoMap(self.tempos).seconds(tick)


def restruck(notes: Iterable[Note], meter_map: MeterMap) -> tuple[Note, ...]:
    """One instrument's notes, each ending at the latest where its pitch is struck again.

    On one channel of a MIDI file the second stroke could not be told from the first one's end.
    """
    following: dict[int, int] = {}
    found = []
    for note in sorted(notes, reverse=True):
        onset = meter_map.absolute(note.onset)
        room = following.get(note.pitch, onset + note.duration) - onset
        found.append(replace(note, duration=min(note.duration, room)) if room > 0 else note)
        following[note.pitch] = onset
    return tuple(reversed(found))


class TempoMap:
    """Absolute ticks to seconds, exactly."""

    __slots__ = ("_microseconds", "_paces", "_ticks")

    def __init__(self, tempos: Iterable[Tempo]) -> None:
        self._ticks = [0]
        self._paces = [Tempo(0).beat_us]
        # Sums of ticks * microseconds per quarter note: whole numbers, so that no error adds up.
        self._microseconds = [0]
        for tempo in sorted(tempos, key=lambda each: each.tick):
            at = self._scaled(tempo.tick)
            if tempo.tick > self._ticks[-1]:
                self._ticks.append(tempo.tick)
                self._paces.append(tempo.beat_us)
                self._microseconds.append(at)
            else:
                self._paces[-1] = tempo.beat_us

    def _scaled(self, tick: int) -> int:
        i = max(0, bisect_right(self._ticks, tick) - 1)
        return self._microseconds[i] + (tick - self._ticks[i]) * self._paces[i]

    def seconds(self, tick: int) -> Fraction:
        """Exact seconds from tick 0."""
        return Fraction(self._scaled(tick), TICKS_PER_BEAT * 1_000_000)

    def frame(self, tick: int, rate: int) -> int:
        """The nearest audio frame to a tick."""
        unit = TICKS_PER_BEAT * 1_000_000
        return (2 * self._scaled(tick) * rate + unit) // (2 * unit)
