"""The clock's targets, on fewer songs than the bench plays."""

from __future__ import annotations

import pytest

from bench.midi_clock import (
    JITTERS,
    MOST_PHASE,
    MOST_TEMPO,
    RAMPS,
    STEADY,
    STEPS,
    Case,
    Ours,
    Smoothed,
    measure,
)

SONGS = 3


@pytest.mark.parametrize("kind", JITTERS)
@pytest.mark.parametrize("name", STEADY)
def test_steady(name: str, kind: str) -> None:
    case = STEADY[name]
    ours = measure(
        Ours, case.song, JITTERS[kind], songs=SONGS, since=case.since, tempo_since=case.tempo_since
    )
    assert ours.off(0.99) <= MOST_PHASE
    assert ours.tempo_off <= MOST_TEMPO
    assert not ours.miscounted


@pytest.mark.parametrize("kind", JITTERS)
@pytest.mark.parametrize("case", [*STEPS.values(), *RAMPS.values()], ids=[*STEPS, *RAMPS])
def test_steps_and_ramps(case: Case, kind: str) -> None:
    ours = measure(
        Ours, case.song, JITTERS[kind], songs=SONGS, since=case.since, tempo_since=case.tempo_since
    )
    assert ours.off(0.99) <= MOST_PHASE
    assert not ours.miscounted
    if ours.tempo:
        assert ours.tempo_off <= case.most_tempo


def test_the_bench_can_tell_a_bad_follower() -> None:
    case = STEADY["120 BPM"]
    theirs = measure(
        Smoothed, case.song, JITTERS["±2 ms"], songs=1, since=case.since, tempo_since=0
    )
    assert theirs.off(0.99) > MOST_PHASE
    assert theirs.tempo_off > MOST_TEMPO
