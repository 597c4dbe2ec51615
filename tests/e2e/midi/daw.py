"""A DAW's MIDI clock as a list of messages and their moments: the truth that answers are held to.

A whole performance is laid out before any of it is sent, so nobody has to hurry while it plays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.e2e.midi.musician import CLOCK, NOTE_OFF, NOTE_ON, Event

CLOCKS_PER_BEAT = 24
CLOCKS_PER_SPP = 6
START, CONTINUE, STOP, SONG_POSITION = 0xFA, 0xFB, 0xFC, 0xF2

LEAD_SECONDS = 0.002
"""Start, Continue and Song Position go out so long before the clock they belong to; the standard
asks for at least 1 ms.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """The song as it runs: ``beat`` (quarters from its begin) at ``begun``, at a steady tempo."""

    begun: float
    beat: float
    bpm: float

    def seconds(self, beat: float) -> float:
        """When a place comes by."""
        return self.begun + (beat - self.beat) * 60.0 / self.bpm


def note_on(channel: int, pitch: int, velocity: int = 90) -> bytes:
    """Channels are 1 to 16."""
    return bytes([NOTE_ON | channel - 1, pitch, velocity])


def note_off(channel: int, pitch: int) -> bytes:
    """The end of a note."""
    return bytes([NOTE_OFF | channel - 1, pitch, 64])


def song_position(beat: float) -> bytes:
    """A place in the song, in sixteenths."""
    sixteenths = round(beat * CLOCKS_PER_BEAT / CLOCKS_PER_SPP)
    return bytes([SONG_POSITION, sixteenths & 0x7F, sixteenths >> 7])


class Daw:
    """Lays out a performance from ``begin`` on. The clock never pauses, as with most DAWs."""

    def __init__(self, begin: float, bpm: float) -> None:
        self.now = begin
        """The moment up to which all is laid out; the next clock falls on it."""
        self.bpm = bpm
        self.events: list[Event] = []
        self._run: Run | None = None
        self._beat = 0.0

    def _clocks(self, beats: float) -> None:
        step = 60.0 / self.bpm / CLOCKS_PER_BEAT
        count = round(beats * CLOCKS_PER_BEAT)
        self.events += [(self.now + i * step, bytes([CLOCK])) for i in range(count)]
        self.now += count * step
        self._beat += count / CLOCKS_PER_BEAT if self._run else 0.0

    def _before_clock(self, message: bytes, leads: int = 1) -> None:
        self.events.append((self.now - leads * LEAD_SECONDS, message))

    def wait(self, beats: float) -> None:
        """The clock ticks and the song stands still."""
        assert self._run is None
        self._clocks(beats)

    def start(self) -> Run:
        """Play from the begin."""
        self._beat = 0.0
        return self._roll(START)

    def go_on(self) -> Run:
        """Play from where the song stands."""
        return self._roll(CONTINUE)

    def _roll(self, message: int) -> Run:
        assert self._run is None
        self._before_clock(bytes([message]))
        self._run = Run(self.now, self._beat, self.bpm)
        return self._run

    def locate(self, beat: float) -> None:
        """Go elsewhere while the song stands still."""
        assert self._run is None
        self._before_clock(song_position(beat), leads=2)
        self._beat = beat

    def play(self, beats: float) -> None:
        """The song runs on."""
        assert self._run is not None
        self._clocks(beats)

    def stop(self) -> None:
        """The song stands still."""
        self._run = None
        self._before_clock(bytes([STOP]))

    def add(self, seconds: float, message: bytes) -> None:
        """Something else at a moment of its own."""
        self.events.append((seconds, message))

    def add_notes(self, run: Run, channel: int, notes: Iterable[tuple[float, float, int]]) -> None:
        """Notes of beat, duration and pitch; a moment apart from what would meet them."""
        for beat, duration, pitch in notes:
            self.add(run.seconds(beat), note_on(channel, pitch))
            self.add(run.seconds(beat + 0.9 * duration), note_off(channel, pitch))
