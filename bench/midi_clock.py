"""How well the song is followed through a MIDI clock that jitters and loses ticks.

    python bench/midi_clock.py --songs 40

All time is simulated: a sequencer's ticks are computed, made to jitter, some thrown away, and given
to the clock with the times at which they came. Beside it runs what a small library would do: count
ticks, and smooth the tempo by 0.95 to 0.05, as isobar does.
"""

from __future__ import annotations

import argparse
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.tools import number, table, verdict
from bridge.clocks.midi_clock import CLOCK, MidiClock
from bridge.clocks.pulse import PPQ

BAR = 4 * PPQ
LOST = 0.01
BPMS = (60, 90, 120, 160, 200)
MOST_PHASE = 2.0
"""The target: milliseconds, p99."""
MOST_TEMPO = 0.05
"""The target: BPM, after four bars."""
STEP_TEMPO = 0.5
"""BPM within which a step counts as followed, a bar after it."""

Jitter = Callable[[random.Random], float]
JITTERS: dict[str, Jitter] = {
    "none": lambda _: 0.0,
    "±2 ms": lambda draw: draw.uniform(-2e-3, 2e-3),
    "sd 2 ms": lambda draw: draw.gauss(0.0, 2e-3),
}


class Follower(Protocol):
    """Something that follows a clock."""

    @property
    def bpm(self) -> float:
        """Its tempo."""
        ...

    def tick(self, now: float) -> None:
        """A clock came."""
        ...

    def start(self, now: float) -> None:
        """Start came."""
        ...

    def clocks(self, now: float) -> float:
        """Where it thinks the song is, in clocks from the top."""
        ...


class Ours(MidiClock):
    """The clock that the engine uses."""

    def clocks(self, now: float) -> float:
        """Where the published course says that the song is."""
        return self.course.tick_at(now) / CLOCK


class Smoothed:
    """The simple way: position is what was counted, tempo a running mean of single intervals.

    Between ticks it is given a position too, at its own tempo.
    """

    def __init__(self) -> None:
        self.bpm = 120.0
        self._count = -1
        self._last: float | None = None

    def tick(self, now: float) -> None:
        """A clock came."""
        if self._last is not None and now > self._last:
            single = 60.0 / (PPQ * (now - self._last))
            self.bpm = single if self._count == 0 else 0.95 * self.bpm + 0.05 * single
        self._last = now
        self._count += 1

    def start(self, now: float) -> None:
        """Start came."""
        self._count = -1

    def clocks(self, now: float) -> float:
        """What was counted, and the part of a clock since."""
        return self._count + (now - (self._last or now)) * self.bpm * PPQ / 60.0


@dataclass(frozen=True)
class Song:
    """When the ticks of a song were meant, and the tempo from each to the next."""

    times: Sequence[float]
    bpms: Sequence[float]

    @classmethod
    def of(cls, bpms: Sequence[float]) -> Song:
        """From the tempo of every clock."""
        times = [1.0]
        for bpm in bpms:
            times.append(times[-1] + 60.0 / (PPQ * bpm))
        return cls(times, bpms)

    def clocks(self, now: float) -> float:
        """Where the song really is."""
        i = min(len(self.bpms) - 1, max(0, bisect_right(self.times, now) - 1))
        return i + (now - self.times[i]) * self.bpms[i] * PPQ / 60.0


def steady(bpm: float, bars: int = 16) -> Song:
    """One tempo throughout."""
    return Song.of([bpm] * (bars * BAR))


def step(before: float, after: float, bars: int = 8) -> Song:
    """Another tempo from the middle on, at a bar line."""
    half = bars // 2 * BAR
    return Song.of([before] * half + [after] * half)


def ramp(before: float, after: float, bars: int = 8) -> Song:
    """Four bars of one tempo, then every clock a little faster or slower, then four bars."""
    n = bars * BAR
    slope = [before + (after - before) * i / n for i in range(n)]
    return Song.of([before] * (4 * BAR) + slope + [after] * (4 * BAR))


def arrivals(song: Song, jitter: Jitter, lost: float, draw: random.Random) -> Iterator[float]:
    """When the ticks come that come; a cable keeps their order."""
    came = [t + jitter(draw) for t in song.times if draw.random() >= lost]
    return iter(sorted(came))


@dataclass
class Result:
    """How far off one follower was, over some songs."""

    phase: list[float] = field(default_factory=list)
    """Milliseconds, late is positive."""
    tempo: list[float] = field(default_factory=list)
    """BPM."""
    miscounted: int = 0
    """Songs at whose end it is more than half a clock off."""

    def off(self, part: float) -> float:
        """The phase error that this part of all moments keeps within, in milliseconds."""
        return quantile([abs(x) for x in self.phase], part)

    @property
    def tempo_off(self) -> float:
        """The greatest error of the tempo."""
        return max(map(abs, self.tempo))


def quantile(values: Sequence[float], part: float) -> float:
    """The value that a part of all values does not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def follow(
    follower: Follower, song: Song, came: Iterator[float], draw: random.Random,
    result: Result, since: Sequence[tuple[int, int]], tempo_since: int,
) -> None:  # fmt: skip
    """Play a song to a follower.

    ``since`` are the spans of clocks in which the phase is looked at, at a moment somewhere between
    each clock and the next; ``tempo_since`` is the clock from which the tempo is.
    """
    follower.start(0.99)
    ahead = next(came, None)
    off = 0.0
    for i in range(len(song.bpms)):
        now = song.times[i] + draw.random() * (song.times[i + 1] - song.times[i])
        while ahead is not None and ahead <= now:
            follower.tick(ahead)
            ahead = next(came, None)
        off = song.clocks(now) - follower.clocks(now)
        if any(a <= i < b for a, b in since):
            result.phase.append(1000.0 * off * 60.0 / (PPQ * song.bpms[i]))
        if i >= tempo_since:
            result.tempo.append(follower.bpm - song.bpms[i])
    result.miscounted += abs(off) > 0.5


def measure(
    make: Callable[[], Follower], song: Song, jitter: Jitter, *,
    songs: int, since: Sequence[tuple[int, int]], tempo_since: int, lost: float = LOST,
) -> Result:  # fmt: skip
    """Follow a song as often as asked, each time with other jitter and losses."""
    result = Result()
    for seed in range(songs):
        draw = random.Random(seed)
        came = arrivals(song, jitter, lost, draw)
        follow(make(), song, came, draw, result, since, tempo_since)
    return result


END = 1 << 30


@dataclass(frozen=True)
class Case:
    """A song, and from where on it is to be followed well."""

    song: Song
    since: Sequence[tuple[int, int]]
    tempo_since: int
    most_tempo: float


STEADY = {
    f"{bpm} BPM": Case(steady(bpm), [(2 * PPQ, END)], 4 * BAR, MOST_TEMPO) for bpm in BPMS
}
STEPS = {
    f"{a} to {b} BPM": Case(step(a, b), [(5 * BAR, END)], 5 * BAR, STEP_TEMPO)
    for a, b in ((90, 140), (140, 90), (120, 60), (60, 120), (100, 104))
}
RAMPS = {
    f"{a} to {b} BPM in {bars} bars": Case(ramp(a, b, bars), [(4 * BAR, END)], END, math.inf)
    for a, b, bars in ((100, 140, 8), (140, 100, 8), (118, 122, 8))
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=40, help="how often each case is played")
    a = parser.parse_args()
    heads = ["case", "jitter", "p50 ms", "p99 ms", "max ms", "BPM off", "miscounted",
             "counting: p99 ms", "BPM off"]  # fmt: skip
    held: dict[tuple[str, str], bool] = {}
    for title, cases, text in (
        ("steady", STEADY, "Steady tempo: phase from the third beat on, tempo after 4 bars"),
        ("steps", STEPS, "A step of the tempo: from one bar after it"),
        ("ramps", RAMPS, "A ramp: from its beginning on, and after it"),
    ):
        rows = []
        for name, case in cases.items():
            for kind, jitter in JITTERS.items():
                of = dict(songs=a.songs, since=case.since, tempo_since=case.tempo_since)
                ours = measure(Ours, case.song, jitter, **of)
                theirs = measure(Smoothed, case.song, jitter, **of)
                good = ours.off(0.99) <= MOST_PHASE and not ours.miscounted
                if ours.tempo:
                    good = good and ours.tempo_off <= case.most_tempo
                held[title, kind] = held.get((title, kind), True) and good
                rows.append([
                    name, kind, *(number(ours.off(part)) for part in (0.5, 0.99, 1.0)),
                    number(ours.tempo_off) if ours.tempo else "-",
                    f"{ours.miscounted} of {a.songs}", number(theirs.off(0.99)),
                    number(theirs.tempo_off) if theirs.tempo else "-",
                ])  # fmt: skip
        print(f"{text}; {LOST:.0%} of ticks lost\n\n{table(heads, rows)}\n")
    for kind in JITTERS:
        verdict(
            f"steady, jitter {kind}: phase p99 within {MOST_PHASE} ms,"
            f" tempo within {MOST_TEMPO} BPM after 4 bars, at {BPMS[0]} to {BPMS[-1]} BPM",
            held["steady", kind],
        )
        verdict(
            f"steps, jitter {kind}: a bar later phase p99 within {MOST_PHASE} ms,"
            f" tempo within {STEP_TEMPO} BPM",
            held["steps", kind],
        )
        verdict(f"ramps, jitter {kind}: phase p99 within {MOST_PHASE} ms", held["ramps", kind])


if __name__ == "__main__":
    main()
