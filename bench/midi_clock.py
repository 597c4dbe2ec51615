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
"""BPM, p99, from a bar after a step of the tempo on."""
MOST_LAG = 3.5
"""Milliseconds, p99, while the tempo is on its way."""
LEAST_COUNTED = 0.95
"""The part of songs with a step or a ramp whose ticks are all counted right. A tick that is lost
right beside the step can look like the step itself."""

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

    def tempo_off(self, part: float = 1.0) -> float:
        """The error of the tempo that this part of all moments keeps within, in BPM."""
        return quantile([abs(x) for x in self.tempo], part)


def quantile(values: Sequence[float], part: float) -> float:
    """The value that a part of all values does not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def follow(
    follower: Follower, song: Song, came: Iterator[float], draw: random.Random,
    result: Result, phase_since: int, tempo_since: int,
) -> None:  # fmt: skip
    """Play a song to a follower; what it does is added to ``result``, if it counts right.

    The phase is looked at from the clock ``phase_since`` on, at a moment somewhere between each
    clock and the next; the tempo from ``tempo_since`` on.
    """
    follower.start(0.99)
    ahead = next(came, None)
    off = 0.0
    phase, tempo = [], []
    for i in range(len(song.bpms)):
        now = song.times[i] + draw.random() * (song.times[i + 1] - song.times[i])
        while ahead is not None and ahead <= now:
            follower.tick(ahead)
            ahead = next(came, None)
        off = song.clocks(now) - follower.clocks(now)
        if i >= phase_since:
            phase.append(1000.0 * off * 60.0 / (PPQ * song.bpms[i]))
        if i >= tempo_since:
            tempo.append(follower.bpm - song.bpms[i])
    if abs(off) > 0.5:
        result.miscounted += 1
    else:
        result.phase += phase
        result.tempo += tempo


@dataclass(frozen=True)
class Case:
    """A song, from where on it is to be followed, and how well."""

    song: Song
    phase_since: int
    tempo_since: int
    most_phase: float = MOST_PHASE
    most_tempo: float = MOST_TEMPO
    tempo_part: float = 1.0
    """The part of all moments in which the tempo keeps within it."""
    counted: float = 1.0
    """The part of all songs in which every tick is to be counted right."""

    def measure(
        self, make: Callable[[], Follower], jitter: Jitter, songs: int, lost: float = LOST
    ) -> Result:
        """Follow the song as often as asked, each time with other jitter and losses."""
        result = Result()
        for seed in range(songs):
            draw = random.Random(seed)
            came = arrivals(self.song, jitter, lost, draw)
            follow(make(), self.song, came, draw, result, self.phase_since, self.tempo_since)
        return result

    def tempo_of(self, result: Result) -> str:
        """A table's cell: how far off the tempo was."""
        return number(result.tempo_off(self.tempo_part)) if result.tempo else "-"

    def holds(self, result: Result, songs: int) -> bool:
        """Whether a result is as good as it should be."""
        return (
            result.miscounted <= (1.0 - self.counted) * songs
            and result.off(0.99) <= self.most_phase
            and (not result.tempo or result.tempo_off(self.tempo_part) <= self.most_tempo)
        )


END = 1 << 30
STEADY = {f"{bpm} BPM": Case(steady(bpm), 2 * PPQ, 4 * BAR) for bpm in BPMS}
STEPS = {
    f"{a} to {b} BPM": Case(
        step(a, b), 5 * BAR, 5 * BAR, MOST_PHASE, STEP_TEMPO, 0.99, LEAST_COUNTED
    )
    for a, b in ((90, 140), (140, 90), (120, 60), (60, 120), (100, 104))
}
RAMPS = {
    f"{a} to {b} BPM in {bars} bars": Case(
        ramp(a, b, bars), 4 * BAR, END, MOST_LAG, counted=LEAST_COUNTED
    )
    for a, b, bars in ((100, 140, 8), (140, 100, 8), (118, 122, 8))
}
CASES = {
    f"A steady tempo: phase p99 within {MOST_PHASE} ms from the third beat on,"
    f" tempo within {MOST_TEMPO} BPM after 4 bars": STEADY,
    f"A step of the tempo: one bar later phase p99 within {MOST_PHASE} ms,"
    f" tempo p99 within {STEP_TEMPO} BPM; {LEAST_COUNTED:.0%} of songs counted right": STEPS,
    f"A ramp of the tempo, and after it: phase p99 within {MOST_LAG} ms;"
    f" {LEAST_COUNTED:.0%} of songs counted right": RAMPS,
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=40, help="how often each case is played")
    a = parser.parse_args()
    heads = ["case", "jitter", "p50 ms", "p99 ms", "max ms", "BPM off", "miscounted",
             "counting, none lost: p99 ms", "BPM off"]  # fmt: skip
    held: dict[str, bool] = {}
    for target, cases in CASES.items():
        rows = []
        for name, case in cases.items():
            for kind, jitter in JITTERS.items():
                ours = case.measure(Ours, jitter, a.songs)
                theirs = case.measure(Smoothed, jitter, a.songs, lost=0.0)
                rows.append([
                    name, kind, *(number(ours.off(part)) for part in (0.5, 0.99, 1.0)),
                    case.tempo_of(ours), f"{ours.miscounted}/{a.songs}",
                    number(theirs.off(0.99)), case.tempo_of(theirs),
                ])  # fmt: skip
                key = f"{target}; jitter {kind}"
                held[key] = held.get(key, True) and case.holds(ours, a.songs)
        print(f"{target}\n\n{table(heads, rows)}\n")
    print(f"{LOST:.0%} of ticks are lost, but none of those that are merely counted, since every")
    print("one of them would be an error for good. Our errors are those of songs that were")
    print("counted right; one that was not is off by a tick or more from there on.\n")
    for target, holds in held.items():
        verdict(target, holds)


if __name__ == "__main__":
    main()
