"""The clock's targets, on fewer songs than the bench plays."""

from __future__ import annotations

import pytest

from bench.midi_clock import JITTERS, MOST_PHASE, MOST_TEMPO, RAMPS, STEADY, STEPS, Ours, Smoothed

CASES = STEADY | STEPS | RAMPS
SONGS = 3


@pytest.mark.parametrize("kind", JITTERS)
@pytest.mark.parametrize("name", CASES)
def test_a_clock_that_jitters_and_loses_ticks(name: str, kind: str) -> None:
    case = CASES[name]
    ours = case.measure(Ours, JITTERS[kind], SONGS)
    assert ours.miscounted == 0
    assert case.holds(ours, SONGS)


def test_the_bench_can_tell_a_bad_follower() -> None:
    case = STEADY["120 BPM"]
    theirs = case.measure(Smoothed, JITTERS["±2 ms"], 3, lost=0.0)
    assert theirs.miscounted == 0
    assert theirs.off(0.99) > MOST_PHASE
    assert theirs.tempo_off() > MOST_TEMPO
    assert case.measure(Smoothed, JITTERS["±2 ms"], 3).miscounted == 3
