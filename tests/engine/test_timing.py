"""Where a take begins: the next bar line, the next sixteenth, the first that can be met."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.clock import SongClock
from engine.music import COMMON_TIME, Meter, MeterMap, Position
from engine.timing import (
    SIXTEENTH,
    Target,
    entry_after,
    first_bar_after,
    next_bar,
    next_sixteenth,
)

meters = st.builds(Meter, st.integers(1, 12), st.sampled_from([2, 4, 8, 16]))
maps = st.builds(MeterMap, st.lists(st.tuples(st.integers(0, 40), meters), max_size=5))
ticks = st.integers(0, 200_000)


def rolling(line: MeterMap, bpm: float, at: float = 5.0) -> SongClock:
    clock = SongClock(bpm, line)
    clock.set_playing(at, True)
    return clock


@given(maps, ticks)
def test_the_next_bar_line_comes_after(line: MeterMap, tick: int) -> None:
    target = next_bar(line, tick)
    assert target.tick == 0
    assert line.start(target.bar - 1) <= tick < line.start(target.bar)


def test_from_a_bar_line_it_is_the_one_after() -> None:
    assert next_bar(MeterMap(), 0) == Target(1)
    assert next_bar(MeterMap(), 3839) == Target(1)
    assert next_bar(MeterMap(), 3840) == Target(2)


@given(maps, ticks)
def test_the_next_sixteenth_comes_after_and_inside_a_bar(line: MeterMap, tick: int) -> None:
    target = next_sixteenth(line, tick)
    absolute = line.absolute(Position(target.bar, target.tick))
    assert tick < absolute <= tick + SIXTEENTH
    assert target.tick % SIXTEENTH == 0
    assert target.tick < line.at(target.bar).ticks


def test_a_bar_that_is_no_whole_number_of_sixteenths_ends_in_a_short_one() -> None:
    line = MeterMap([(0, Meter(3, 32))])
    assert next_sixteenth(line, 0) == Target(0, 240)
    assert next_sixteenth(line, 240) == Target(1)


@given(maps, st.floats(20, 400), st.floats(5, 200), st.integers(0, 60))
def test_the_first_bar_line_that_can_be_met(
    line: MeterMap, bpm: float, ready: float, bar: int
) -> None:
    clock = rolling(line, bpm)

    def when(number: int) -> float:
        moment = clock.seconds(line.start(number))
        assert moment is not None
        return moment

    found = first_bar_after(clock, ready, bar)
    assert found >= bar
    assert when(found) >= ready
    assert found == bar or when(found - 1) < ready


@given(maps, st.floats(20, 400), st.floats(5, 100), st.integers(0, 30), st.integers(0, 1))
def test_the_first_sixteenth_that_can_be_met(
    line: MeterMap, bpm: float, ready: float, bar: int, half: int
) -> None:
    clock = rolling(line, bpm)
    first = line.start(bar) + half * SIXTEENTH
    target = entry_after(clock, ready, Target(bar, half * SIXTEENTH))
    found = line.absolute(Position(target.bar, target.tick))
    assert (found - first) % SIXTEENTH == 0
    assert found >= first
    assert 0 <= target.tick < line.at(target.bar).ticks
    moment, before = clock.seconds(found), clock.seconds(found - SIXTEENTH)
    assert moment is not None and moment >= ready
    assert found == first or (before is not None and before < ready + 1e-9)


def test_while_the_song_stands_still_any_place_can_be_met() -> None:
    clock = SongClock()
    assert first_bar_after(clock, 99.0, 4) == 4
    assert entry_after(clock, 99.0, Target(4, 240)) == Target(4, 240)


def test_a_bar_line_is_met_at_the_very_moment() -> None:
    clock = rolling(MeterMap(), 120.0, at=0.0)
    assert first_bar_after(clock, 4.0, 0) == 2
    assert first_bar_after(clock, 4.0001, 0) == 3
    assert clock.meters.at(0) == COMMON_TIME
