"""Bends of the tempo are found where they are, and nowhere else."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from bridge.clocks.arc import LENGTHS, Arc

PERIOD = 60.0 / (24 * 120)
JITTER = 1e-3


@dataclass
class Tick:
    index: int


class Source:
    """Ticks that come a little early or late, each ``bend`` longer than the one before."""

    def __init__(self, seed: int, jitter: float = JITTER) -> None:
        self.chance = random.Random(seed)
        self.jitter = jitter
        self.arc = Arc()
        self.at, self.period, self.index = 0.0, PERIOD, 0

    def run(self, count: int, bend: float = 0.0) -> int:
        """How often the arc was bent."""
        bent = 0
        for _ in range(count):
            self.period += bend
            self.at += self.period
            self.index += 1
            now = self.at + self.chance.gauss(0.0, self.jitter)
            self.arc.add(Tick(self.index), now, max(self.jitter, 1e-6))
            bent += self.arc.bent
        return bent


RAMP = -1e-5
"""Seconds from tick to tick: from 120 to 170 BPM in three bars or so."""


@pytest.mark.parametrize("seed", range(5))
def test_steady_ticks_lie_on_no_bend(seed: int) -> None:
    assert Source(seed).run(1500) == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_ramp_is_a_bend_whose_end_is_where_the_source_is(seed: int) -> None:
    source = Source(seed)
    source.run(200)
    source.run(96, RAMP)
    assert source.arc.bent
    for _ in range(100):
        source.run(1, RAMP)
        assert source.arc.bent
        assert abs(source.arc.phase(source.at)) * source.period < 2 * JITTER
        assert source.arc.period == pytest.approx(source.period, rel=0.02)
        assert source.arc.expects(2) == pytest.approx(source.at + 2 * source.period, abs=3 * JITTER)


def test_a_bend_without_jitter_is_met_exactly() -> None:
    source = Source(0, jitter=0.0)
    source.run(max(LENGTHS), RAMP)
    assert source.arc.phase(source.at) == pytest.approx(0.0, abs=1e-6)
    # The parabola's slope at the newest tick lies half way between the periods beside it.
    assert source.arc.period == pytest.approx(source.period + RAMP / 2, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_it_ends_soon_after_the_ramp(seed: int) -> None:
    source = Source(seed)
    source.run(200, RAMP)
    source.run(max(LENGTHS))
    assert source.run(200) == 0


def test_what_was_before_a_step_does_not_count() -> None:
    source = Source(0)
    source.run(200, RAMP)
    assert source.arc.bent
    source.arc.begin(keep=6)
    assert not source.arc.bent
    assert source.run(min(LENGTHS) - 7) == 0
