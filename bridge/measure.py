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
        """Play what begins from one beat of a bar to before another, on all tracks."""
        for name, notes in band_bar(bar).items():
            for n in notes:
                if begin <= n.beat < end:
                    self.client.send(
                        "/sideman/track/note", name, n.pitch, n.velocity, n.bar, n.beat,
                        n.duration_beats,
                    )  # fmt: skip
        self.client.sync()

    def play_context(self, bars: int = CONTEXT_BARS) -> None:
        """Play so many bars, and wait until the model has heard them."""
        for bar in range(self.bar, self.bar + bars):
            self.play(bar)
        self.bar += bars
        self.discard(self.trigger("bars", 1))

    def locate(self, bar: int, beat: float) -> None:
        """The song plays, and is here now."""
        self.client.send("/sideman/transport", 1, self.bpm, bar, beat, 4, 4)
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
    """Triggers on beat 4 of one bar after another, ``settle`` seconds after what was played last.

    Each has heard a bar more than the one before, so that nothing can be made twice.
    """
    for _ in range(count):
        rehearsal.locate(rehearsal.bar, 3.0)
        rehearsal.play(rehearsal.bar, end=3.0)
        rehearsal.bar += 1
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
