"""Real MIDI in, a pad, and notes out at the next bar line: at every tempo, in three meters.

An engine for each meter, all at the same time. A whole performance is laid out and sent by a
process of its own; when it is over, what came back is compared with the takes that the engine wrote
down. The bar lines are those of the clock that was sent. A machine that stood still meanwhile is
seen by witnesses, and excuses a note for as long as it did.
"""

from __future__ import annotations

import json
import random
import time
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import accumulate
from math import inf
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.witness import Stall, Witnesses, stood_still
from engine.music import TICKS_PER_BEAT, Meter
from tests.e2e.midi.daw import Daw, Run, note_off, note_on
from tests.e2e.midi.musician import Heard
from tests.e2e.midi.stage import CHANNEL, CONTROL, PAD, Stage
from tests.support.jack import Server

METERS = (Meter(4, 4), Meter(3, 4), Meter(7, 8))
TEMPOS = (60, 72, 84, 108, 120, 132, 168, 184, 200)
"""Each as long as the others, so that there are more bar lines where they come faster."""

FASTEST = max(TEMPOS)
TRIES = 500
"""Of all meters together."""

EARLY_SECONDS, LATE_SECONDS = 0.006, 0.012
"""How far a note may be from its moment: the clock's own jitter, which is one of JACK's periods,
the loop that follows it, a period out again, and a busy machine's wake-ups.
"""

LEAD_SECONDS = 1.0
"""For the musician to read all of it."""

LOOK_BACK = 0.05
"""Seconds before a note's moment, and after it, in which a machine that stands still delays it."""

FIRST_BAR = 4
PHRASE_BARS = 2
EVERY = 2
"""Bars from one try's bar line to the next one's."""

HEARD_BEATS = 0.6
"""How much of each take is heard before the song stops."""

PITCHES = (60, 62, 64, 67, 69, 67, 64, 62)


class Try(NamedTuple):
    """A bar line that was asked for."""

    bar: int
    run: Run
    line: float
    """When it came by."""
    end: float
    """When the song stopped."""


@dataclass
class Outcome:
    """What one engine did."""

    meter: Meter
    tries: list[Try]
    heard: list[Heard]
    sessions: Path
    late: int
    """How many bar lines it says to have missed."""
    stalls: list[Stall]
    """When the machine stood still; found out once all have played."""
    clock_late: float
    """Seconds that the musician's own messages were late at most."""

    def takes(self) -> dict[int, list[float]]:
        """Onsets in quarters from the bar line, of the take that begins in each bar."""
        beats = {}
        for file in sorted(self.sessions.glob("*/take-*.json")):
            about = json.loads(file.read_text(encoding="utf-8"))
            ticks = [
                (bar - about["bar"]) * self.meter.ticks + tick for bar, tick, *_ in about["notes"]
            ]
            beats[about["bar"]] = [tick / TICKS_PER_BEAT for tick in sorted(ticks)]
        return beats


def tempo_of(number: int, count: int) -> int:
    """The tempo of a try, of so many."""
    ends = list(accumulate(TEMPOS))
    return TEMPOS[bisect_right(ends, number / count * ends[-1])]


def lay_out(begin: float, meter: Meter, count: int) -> tuple[Daw, list[Try]]:
    """A phrase, and then bar line after bar line, some at each tempo."""
    chance = random.Random(count)
    beats = meter.ticks / TICKS_PER_BEAT
    daw = Daw(begin, FASTEST)
    daw.wait(beats)
    run = daw.start()
    eighths = int(PHRASE_BARS * beats * 2)
    notes = [(i / 2, 0.5, PITCHES[i % len(PITCHES)]) for i in range(eighths)]
    daw.add_notes(run, CHANNEL, notes)
    daw.play(PHRASE_BARS * beats)
    daw.stop()
    tries = []
    for number in range(count):
        bpm = tempo_of(number, count)
        # A DAW's clock goes on while it stands still: two beats to learn the tempo.
        daw.wait(0.25 if bpm == daw.bpm else _retune(daw, bpm))
        bar = FIRST_BAR + EVERY * number
        daw.locate(bar * beats - 1.0)
        run = daw.go_on()
        line = run.seconds(bar * beats)
        press = run.seconds(bar * beats - chance.uniform(0.5, 0.9))
        daw.add(press, note_on(CONTROL, PAD["continue"], 100))
        daw.add(press + 0.02, note_off(CONTROL, PAD["continue"]))
        daw.play(1.0 + HEARD_BEATS)
        daw.stop()
        tries.append(Try(bar, run, line, daw.now))
    daw.wait(1.0)
    return daw, tries


def _retune(daw: Daw, bpm: float) -> float:
    daw.bpm = bpm
    return 2.0


def perform(stage: Stage, meter: Meter, count: int) -> Outcome:
    """One engine's performance from begin to end."""
    # MIDI's clock says nothing of meters. OSC does, while it leads.
    stage.client.send("/sideman/transport", 0, 120.0, 0, 0.0, meter.num, meter.den)
    stage.client.sync()
    daw, tries = lay_out(time.monotonic() + LEAD_SECONDS, meter, count)
    stage.musician.play(stage.keys, daw.events)
    clock_late = stage.musician.sent(patience=daw.now - time.monotonic() + 10.0)
    stage.musician.until_silent(patience=2.0)
    stage.musician.check_pairs()
    late = int(stage.client.status()["late"])
    stage.client.rest()
    return Outcome(
        meter, tries, list(stage.musician.heard), stage.engine.sessions, late, [], clock_late
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, jack: Server) -> dict[Meter, Outcome]:
    """All meters at the same time. Nobody leaves before the end: JACK stumbles over who does."""
    counts = [len(range(i, TRIES, len(METERS))) for i in range(len(METERS))]
    homes = [tmp_path_factory.mktemp(f"{meter.num}-{meter.den}") for meter in METERS]
    with ExitStack() as stages, ThreadPoolExecutor(len(METERS)) as pool:

        def get_ready(home: Path) -> Stage:
            stage = Stage(home, jack, name=home.name, config="[parameters]\nbars = 1\n")
            stages.callback(stage.close)
            return stage

        ready = list(pool.map(get_ready, homes))
        witnesses = Witnesses()
        done = list(pool.map(perform, ready, METERS, counts))
        stalls = witnesses.stalls()
        return {one.meter: replace(one, stalls=stalls) for one in done}


@pytest.fixture(params=METERS, ids=str)
def outcome(request: pytest.FixtureRequest, outcomes: dict[Meter, Outcome]) -> Outcome:
    return outcomes[request.param]


def errors(outcome: Outcome) -> list[float]:
    """By how much each take's first note missed its moment, less what the machine stood still;
    infinite where none came. Seconds."""
    found = []
    takes = outcome.takes()
    for one in outcome.tries:
        first = takes.get(one.bar, [])[:1]
        assert first, f"no take in bar {one.bar}; the takes are in {sorted(takes)}"
        due = one.line + first[0] * 60.0 / one.run.bpm
        ons = [h.at for h in outcome.heard if h.on and one.run.begun < h.at < one.end + 0.02]
        if first[0] < HEARD_BEATS - 0.05:
            error = min(ons, default=inf) - due
            excuse = stood_still(outcome.stalls, due - LOOK_BACK, due + min(error, LOOK_BACK))
            found.append(error - min(max(0.0, error), excuse))
        else:
            assert not [at for at in ons if at < due - EARLY_SECONDS], (
                "a note before the take's first"
            )
    return found


@pytest.mark.slow
def test_every_pad_is_answered_at_the_next_bar_line(outcome: Outcome) -> None:
    found = errors(outcome)
    assert len(found) >= 0.8 * len(outcome.tries), "too few takes begin at once to be heard"
    # A clock that was itself sent late, on a machine that had too much to do, is off by as much.
    early, late = EARLY_SECONDS + outcome.clock_late, LATE_SECONDS + outcome.clock_late
    missed = [error for error in found if not -early <= error <= late]
    assert not missed, (missed, outcome.clock_late)
    assert outcome.late == 0


@pytest.mark.slow
def test_what_was_heard_stops_with_the_song(outcome: Outcome) -> None:
    for one, after in zip(outcome.tries, outcome.tries[1:], strict=False):
        begun_standing = [
            h for h in outcome.heard if h.on and one.end + 0.02 < h.at < after.run.begun
        ]
        assert not begun_standing, begun_standing
