"""Seconds to musical position and back, over a whole night."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.clock import SongClock
from engine.music import COMMON_TIME, TICKS_PER_BEAT, Meter, MeterMap, Position

WALTZ = Meter(3, 4)

bpms = st.floats(10, 1000)
seconds = st.floats(0, 1e6)
places = st.builds(Position, st.integers(0, 2000), st.integers(0, 3839))


def rolling(bpm: float = 120.0, at: float = 0.0, bar: int = 0, tick: int = 0) -> SongClock:
    clock = SongClock()
    clock.locate(at, playing=True, bpm=bpm, position=Position(bar, tick), meter=COMMON_TIME)
    return clock


def test_it_stands_still_until_it_is_started() -> None:
    clock = SongClock()
    assert not clock.playing
    assert clock.tick(0.0) == clock.tick(1e6) == 0
    assert clock.seconds(960) is None
    assert clock.bpm == 120.0


def test_a_beat_at_120_is_half_a_second() -> None:
    clock = rolling(at=10.0)
    assert clock.tick(10.5) == TICKS_PER_BEAT
    assert clock.position(12.0) == Position(1, 0)
    assert clock.seconds(4 * TICKS_PER_BEAT) == 12.0
    assert clock.bar_seconds(0) == 2.0


@given(bpms, seconds, places, st.integers(0, 10**8))
def test_a_position_is_reached_when_it_says(
    bpm: float, at: float, place: Position, tick: int
) -> None:
    clock = rolling(bpm, at, place.bar, place.tick)
    when = clock.seconds(tick)
    assert when is not None
    if when > at:
        assert abs(clock.tick(when) - tick) <= 1
        assert clock.tick(when + 1e-4) >= tick


@given(bpms, seconds, places)
def test_time_never_goes_back(bpm: float, at: float, place: Position) -> None:
    clock = rolling(bpm, at, place.bar, place.tick)
    ticks = [clock.tick(at + i / 7) for i in range(50)]
    assert ticks == sorted(ticks)
    assert ticks[0] == clock.meters.absolute(place)


def test_bar_lines_do_not_drift_in_a_night() -> None:
    clock = rolling(bpm=119.9)
    bars = 10_000
    exact = Fraction(119.9) * TICKS_PER_BEAT / 60
    assert clock.seconds(bars * 3840) == float(bars * 3840 / exact)
    # Not the sum of rounded lengths:
    assert clock.seconds(bars * 3840) != pytest.approx(bars * round(clock.bar_seconds(0), 3), 1e-9)


@given(bpms, bpms, st.floats(0, 1000), st.floats(0, 1000))
def test_another_tempo_goes_on_from_here(a: float, b: float, at: float, later: float) -> None:
    clock = rolling(a)
    here = clock.tick(at)
    clock.set_tempo(at, b)
    assert clock.tick(at) == here
    assert clock.tick(at + later) == pytest.approx(here + later * b * 16, abs=2)
    assert clock.bpm == b


@given(bpms, st.floats(0, 1000), st.floats(0.001, 1000))
def test_stopping_and_going_on(bpm: float, at: float, pause: float) -> None:
    clock = rolling(bpm)
    here = clock.tick(at)
    clock.set_playing(at, False)
    assert not clock.playing
    assert clock.tick(at + pause) == here
    clock.set_playing(at + pause, True)
    assert clock.tick(at + pause) == here


def test_a_tempo_set_while_it_stands_still_counts_from_the_start() -> None:
    clock = SongClock()
    clock.set_tempo(5.0, 60.0)
    assert clock.tick(9.0) == 0
    clock.set_playing(9.0, True)
    assert clock.tick(10.0) == TICKS_PER_BEAT


def test_a_meter_holds_from_the_bar_where_it_was_named() -> None:
    clock = rolling()
    clock.locate(20.0, playing=True, bpm=60.0, position=Position(10, 960), meter=WALTZ)
    assert clock.meters == MeterMap([(10, WALTZ)])
    assert clock.position(22.0) == Position(11, 0)
    assert clock.bar_seconds(9) == 4.0
    assert clock.bar_seconds(10) == 3.0
    # Back at the beginning, where the first meter still holds.
    clock.locate(30.0, playing=True, bpm=60.0, position=Position(0), meter=COMMON_TIME)
    assert clock.meters == MeterMap([(10, WALTZ)])
    assert clock.position(30.0 + 40.0) == Position(10, 0)


def test_the_meters_of_a_session_can_be_taken_up_again() -> None:
    clock = SongClock()
    clock.set_meters(MeterMap([(4, WALTZ)]))
    assert clock.meters.at(4) == WALTZ
    clock.locate(0.0, playing=True, bpm=60.0, position=Position(3), meter=COMMON_TIME)
    assert clock.position(4.0 + 3.0) == Position(5, 0)


def test_a_beat_beyond_the_bar_is_the_next_bar() -> None:
    clock = rolling(bar=2, tick=5 * TICKS_PER_BEAT)
    assert clock.position(0.0) == Position(3, TICKS_PER_BEAT)


def test_before_the_anchor_is_before_it() -> None:
    clock = rolling(at=10.0, bar=1)
    assert clock.position(9.0) == Position(0, 2 * TICKS_PER_BEAT)
    assert clock.tick(0.0) == 0
