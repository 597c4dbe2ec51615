"""What a running engine is measured with: a band of four that plays, triggers and listens by OSC.

Nothing here looks into the engine. It sends what a DAW sends and times what a DAW would wait for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from bridge.osc.client import OscClient
from bridge.phrase import BARS, CHORDS, PROGRAMS, phrase
from engine.errors import Code, SidemanError
from engine.messages import parse_reply
from engine.messages.replies import ClipNote, ClipOpen, Done, Fail, Late
from engine.music import DRUMS, Note, ticks

STRINGS = 48
BAND = {"strings": STRINGS, "drums": DRUMS, "bass": PROGRAMS["bass"], "piano": PROGRAMS["piano"]}
"""The four tracks. The piano plays last in each bar: it is the one that asks."""

CONTEXT_BARS = 16
BPM = 120.0
FAST_BPM = 240.0
"""For triggers in a row: twice as hard on the listener, in half the time."""

PATIENCE = 60.0
"""Seconds after which an answer is given up."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How some measurements lie, in their own unit."""

    n: int
    least: float
    p50: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float], scale: float = 1.0) -> Spread:
        """Of some values, each times ``scale``. Raises ``ValueError`` where there are none."""
        array = np.array(list(values), dtype=np.float64) * scale
        if not array.size:
            raise ValueError("nothing was measured")
        p50, p95, p99 = np.percentile(array, (50, 95, 99)).tolist()
        return cls(array.size, float(array.min()), p50, p95, p99, float(array.max()))

    def as_rate(self) -> Spread:
        """One over each: of seconds the rate that 50%, 95%, 99% reach at least."""
        return Spread(
            self.n, 1 / self.least, 1 / self.p50, 1 / self.p95, 1 / self.p99, 1 / self.most
        )


@cache
def _loop() -> dict[str, list[Note]]:
    """The shipped phrase with a fourth track: its chords, held by strings an octave up."""
    pad = [
        Note(bar, 0, STRINGS, pitch + 12, ticks(4), 60)
        for bar, (chord, _) in enumerate(CHORDS)
        for pitch in chord
    ]
    return {name: pad if name == "strings" else phrase()[name] for name in BAND}


def band_bar(bar: int) -> dict[str, list[Note]]:
    """What each track of the band plays in a bar: the phrase goes round, never twice as loud."""
    swell = bar * 7 % 23 - 11
    return {
        name: [
            Note(bar, n.tick, n.program, n.pitch, n.duration, n.velocity + swell)
            for n in notes
            if n.bar == bar % BARS
        ]
        for name, notes in _loop().items()
    }


def _notes(bar: int, begin: float, end: float) -> list[tuple[str, Note]]:
    """What begins in a part of a bar, in the order in which it sounds; the piano last."""
    found = [
        (name, note)
        for name, notes in band_bar(bar).items()
        for note in notes
        if begin <= note.beat < end
    ]
    return sorted(found, key=lambda pair: pair[1].tick)


@dataclass(slots=True)
class Answer:
    """What came of one trigger; times are seconds from sending the datagram."""

    first_note: float = 0.0
    done: float = 0.0
    notes: list[ClipNote] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    """When each of the notes came, on ``time.perf_counter``."""
    takes: list[int] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)


class Rehearsal:
    """Plays the band to an engine, bar by bar, and triggers it. One thread only."""

    def __init__(self, client: OscClient, bpm: float = BPM) -> None:
        """Names the tracks; nothing is played yet."""
        self.client = client
        self.bpm = bpm
        self.bar = 0
        """The bar that comes next."""
        self._req = 0
        for number, (name, program) in enumerate(BAND.items(), 1):
            client.send("/sideman/track/set", number, "name", name)
            what = ("drums", 1) if program == DRUMS else ("program", program)
            client.send("/sideman/track/set", number, *what)
        client.sync()

    def play(self, bar: int, begin: float = 0.0, end: float = 4.0) -> None:
        """Play what begins from one beat of a bar to before another, on all tracks, at once."""
        for name, note in _notes(bar, begin, end):
            self._send(name, note)
        self.client.sync()

    def perform(self, end: float = 4.0) -> None:
        """Play the next bar in real time, up to a beat; returns with the last note before it."""
        self.locate(self.bar, 0.0)
        begun = time.perf_counter()
        for name, note in _notes(self.bar, 0.0, end):
            time.sleep(max(0.0, begun + note.beat * 60 / self.bpm - time.perf_counter()))
            self._send(name, note)
        self.client.sync()
        self.bar += 1

    def _send(self, track: str, n: Note) -> None:
        self.client.send(
            "/sideman/track/note", track, n.pitch, n.velocity, n.bar, n.beat, n.duration_beats
        )

    def play_context(self, bars: int = CONTEXT_BARS) -> None:
        """Play so many bars, and wait until the model has heard them."""
        for bar in range(self.bar, self.bar + bars):
            self.play(bar)
        self.bar += bars
        self.locate(self.bar - 1, 3.0, playing=False)
        self.discard(self.trigger("bars", 1))

    def locate(self, bar: int, beat: float, *, playing: bool = True) -> None:
        """The song is here now."""
        self.client.send("/sideman/transport", int(playing), self.bpm, bar, beat, 4, 4)
        self.client.sync()

    def trigger(self, *keys: str | int | float, track: str = "piano") -> Answer:
        """Ask a track to go on, and wait for all that comes. Raises what the engine answers."""
        self._req += 1
        answer = Answer()
        sent = time.perf_counter()
        self.client.send("/sideman/continue", self._req, track, *keys)
        for now, reply in self._replies(self._req):
            match reply:
                case ClipNote():
                    if not answer.notes:
                        answer.first_note = now - sent
                    answer.notes.append(reply)
                    answer.arrived.append(now)
                case ClipOpen():
                    answer.takes.append(reply.take)
                case Late():
                    answer.late.append(reply)
                case Done():
                    answer.done = now - sent
                case Fail():
                    raise SidemanError(Code(reply.code), reply.text)
        return answer

    def _replies(self, req: int) -> Iterator[tuple[float, object]]:
        """What is said about a request, up to the last word, and when it came."""
        while True:
            message = self.client.wait_until(
                lambda m: bool(m.args) and m.args[0] == req, "an answer", PATIENCE
            )
            now = time.perf_counter()
            reply = parse_reply(message.address, message.args)
            yield now, reply
            if isinstance(reply, Done | Fail):
                return

    def discard(self, answer: Answer) -> None:
        """Throw away what an answer brought, so that the band's own bars stay the context."""
        for take in answer.takes:
            self.client.ask("/sideman/discard", take)


def triggers(rehearsal: Rehearsal, count: int, *, settle: float, bars: int = 4) -> Iterator[Answer]:
    """Triggers in one bar after another, ``settle`` seconds after the last note that was played.

    The band plays three beats in real time, each note as it begins; the trigger comes in the
    fourth. Each has heard a bar more than the one before, so that nothing can be made twice.
    """
    for _ in range(count):
        rehearsal.perform(end=3.0)
        time.sleep(settle)
        answer = rehearsal.trigger("bars", bars)
        rehearsal.discard(answer)
        yield answer


def ping_seconds(client: OscClient, count: int) -> list[float]:
    """How long each of some pings took, one after another."""
    times = []
    for n in range(count):
        begun = time.perf_counter()
        client.ask("/sideman/ping", n)
        times.append(time.perf_counter() - begun)
    return times
