"""Meters, positions and bar lines: exact, and the same forwards and backwards."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.music import COMMON_TIME, TICKS_PER_BEAT, Meter, MeterMap, Note, Position, ticks

meters = st.builds(Meter, st.integers(1, 64), st.sampled_from([1, 2, 4, 8, 16, 32, 64]))
changes = st.lists(st.tuples(st.integers(0, 200), meters), max_size=8)
maps = st.builds(MeterMap, changes)


@given(meters)
def test_every_bar_is_a_whole_number_of_ticks(meter: Meter) -> None:
    assert meter.beats == Fraction(4 * meter.num, meter.den)
    assert meter.ticks == meter.beats * TICKS_PER_BEAT


@pytest.mark.parametrize(("num", "den"), [(0, 4), (65, 4), (-1, 4), (4, 0), (4, 3), (4, 128)])
def test_what_is_no_meter(num: int, den: int) -> None:
    with pytest.raises(ValueError, match="a meter's"):
        Meter(num, den)


@pytest.mark.parametrize("parts", [3, 5, 6, 12, 32])
def test_small_divisions_of_a_beat_are_whole_ticks(parts: int) -> None:
    assert ticks(Fraction(1, parts)) * parts == TICKS_PER_BEAT


@given(st.integers(0, 10**6), st.integers(0, 64 * TICKS_PER_BEAT))
def test_beats_and_ticks_of_a_position(bar: int, tick: int) -> None:
    position = Position(bar, tick)
    assert Position.of(bar, position.beat) == position
    note = Note(bar, tick, 0, 60, tick + 1, 90)
    assert note.onset == position
    assert ticks(note.beat) == tick
    assert ticks(note.duration_beats) == tick + 1


@given(changes)
def test_bar_lines_are_the_sum_of_the_bars_before(given_changes: list[tuple[int, Meter]]) -> None:
    line = MeterMap(given_changes)
    named = dict(sorted(given_changes))
    meter, start = COMMON_TIME, 0
    for bar in range(210):
        meter = named.get(bar, meter)
        assert line.at(bar) == meter
        assert line.start(bar) == start
        start += meter.ticks


@given(maps, st.integers(-(10**6), 10**9))
def test_every_tick_lies_in_one_bar(line: MeterMap, absolute: int) -> None:
    place = line.locate(absolute)
    assert line.absolute(place) == absolute
    assert 0 <= place.tick < line.at(place.bar).ticks
    assert line.normal(place) == place


@given(maps, st.integers(0, 300), st.integers(0, 10**6))
def test_a_place_beyond_its_bar_is_the_same_moment(line: MeterMap, bar: int, tick: int) -> None:
    place = Position(bar, tick)
    normal = line.normal(place)
    assert line.absolute(normal) == line.absolute(place)
    assert normal.tick < line.at(normal.bar).ticks


@given(maps, st.integers(0, 250), meters)
def test_a_change_holds_until_the_next_one(line: MeterMap, bar: int, meter: Meter) -> None:
    after = line.with_change(bar, meter)
    end = next((b for b, _ in line.changes if b > bar), 300)
    for each in range(300):
        expected = meter if bar <= each < end else line.at(each)
        assert after.at(each) == expected


@given(maps)
def test_maps_that_say_the_same_are_the_same(line: MeterMap) -> None:
    again = MeterMap((bar, line.at(bar)) for bar in range(201))
    assert again == line
    assert hash(again) == hash(line)
    assert again.changes == line.changes
    assert again.with_change(7, line.at(7)) is again
    assert line != line.with_change(300, Meter(63, 64))


def test_bars_are_counted_from_zero() -> None:
    with pytest.raises(ValueError, match="from 0"):
        MeterMap([(-1, COMMON_TIME)])


def test_notes_stand_in_sounding_order() -> None:
    drum, low, high = Note(0, 5, -1, 50, 1, 1), Note(0, 5, 3, 20, 1, 1), Note(0, 5, 3, 21, 1, 1)
    later = Note(0, 6, -1, 1, 1, 1)
    assert sorted([later, high, low, drum]) == [drum, low, high, later]
