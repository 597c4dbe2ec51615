from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.audio.grid import Grid, exactly, frames_for, nearest
from engine.errors import Code, SidemanError
from engine.music import TICKS_PER_BEAT, Meter, MeterMap

meters = st.builds(Meter, st.integers(1, 17), st.sampled_from([1, 2, 4, 8, 16, 32]))
meter_maps = st.builds(MeterMap, st.lists(st.tuples(st.integers(0, 40), meters), max_size=4))
slow_machine = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
rates = st.sampled_from([8000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000])
tempos = st.one_of(
    st.floats(20, 400), st.fractions(20, 400, max_denominator=999), st.integers(20, 400)
)
grids = st.builds(Grid, rates, tempos, meter_maps)


@slow_machine
@given(grids, st.integers(0, 60), st.integers(1, 40))
def test_bars_one_by_one_are_as_long_as_all_of_them(grid: Grid, bar: int, bars: int) -> None:
    alone = [grid.length(each) for each in range(bar, bar + bars)]
    assert sum(alone) == grid.length(bar, bars) == grid.line(bar + bars) - grid.line(bar)
    assert all(samples > 0 for samples in alone)


@slow_machine
@given(grids, st.integers(0, 100_000))
def test_no_line_is_further_than_half_a_sample_from_its_place(grid: Grid, bar: int) -> None:
    minutes = Fraction(grid.meters.start(bar), TICKS_PER_BEAT) / Fraction(grid.bpm)
    assert abs(grid.line(bar) - minutes * 60 * grid.rate) <= Fraction(1, 2)


@slow_machine
@given(grids, st.integers(0, 60), st.data())
def test_a_sample_is_found_in_its_bar(grid: Grid, bar: int, data: st.DataObject) -> None:
    first, end = grid.line(bar), grid.line(bar + 1)
    assert grid.bar_at(first) == bar
    assert grid.bar_at(end - 1) == bar
    assert grid.bar_at(data.draw(st.integers(first, end - 1))) == bar


@slow_machine
@given(grids, st.integers(1, 60), st.integers(1, 30), st.integers(1, 8), st.data())
def test_a_prompt_is_whole_bars_or_beats_that_end_at_the_line(
    grid: Grid, bar: int, seconds: int, bars: int, data: st.DataObject
) -> None:
    begins = data.draw(st.integers(0, grid.line(bar)))
    try:
        cut = grid.before(bar, seconds, bars, begins)
    except SidemanError as error:
        assert error.code is Code.NO_CONTEXT
        available = min(grid.line(bar) - begins, seconds * grid.rate)
        assert available < grid.beat_samples
        return
    assert cut.end == grid.line(bar)
    assert begins <= cut.first < cut.end
    assert cut.end - cut.first <= seconds * grid.rate
    assert abs(cut.end - cut.first - cut.beats * grid.beat_samples) <= 1
    first = grid.bar_at(cut.first)
    if grid.line(first) == cut.first and first < bar and cut.beats.denominator > 1:
        assert bar - first <= bars


def test_known_places() -> None:
    assert [Grid(32_000, 120).line(bar) for bar in (0, 1, 4)] == [0, 64_000, 256_000]
    # 93.75 frames of the codec to the bar: cut in samples, never in frames.
    assert Grid(32_000, 128).length(0) == 60_000
    sevens = Grid(44_100, 100, MeterMap([(2, Meter(7, 8))]))
    assert sevens.length(0) == 105_840
    assert sevens.length(2) == 92_610
    # 44100 * 60 / 91 * 4 = 116307.69...: bars differ by a sample, and 91 of them are 240 seconds.
    odd = Grid(44_100, 91)
    assert {odd.length(bar) for bar in range(91)} == {116_307, 116_308}
    assert odd.length(0, 91) == 240 * 44_100


@pytest.mark.parametrize(
    ("bar", "seconds", "bars", "first", "cut"),
    [
        (8, 10.0, None, 0, (3, 20)),  # five bars of two seconds
        (8, 9.9, None, 0, (4, 16)),
        (8, 10.0, 2, 0, (6, 8)),
        (2, 10.0, None, 0, (0, 8)),  # no more than there is
        (8, 10.0, None, 14 * 32_000 + 1, None),  # less than a bar: what beats there are
    ],
)
def test_known_cuts(
    bar: int, seconds: float, bars: int | None, first: int, cut: tuple[int, int] | None
) -> None:
    got = Grid(32_000, 120).before(bar, seconds, bars, first)
    if cut is None:
        assert got == (bar * 64_000 - 3 * 16_000, bar * 64_000, 3)
    else:
        assert got == (cut[0] * 64_000, bar * 64_000, cut[1])


def test_less_than_a_beat_is_refused() -> None:
    with pytest.raises(SidemanError, match="less than one beat") as refused:
        Grid(32_000, 120).before(1, 10.0, first=48_001)
    assert refused.value.code is Code.NO_CONTEXT
    assert Grid(32_000, 120).before(1, 10.0, first=48_000) == (48_000, 64_000, 1)


def test_a_track_may_have_been_there_before_the_song() -> None:
    """A loop that was loaded at the song's beginning: its bars have bar 0's meter."""
    grid = Grid(32_000, 120, MeterMap([(0, Meter(3, 4))]))
    bar = 48_000
    assert grid.before(0, 12, first=-20 * bar) == (-8 * bar, 0, 24)
    assert grid.before(1, 12, first=-2 * bar - 1) == (-2 * bar, bar, 9)
    assert grid.before(0, 12, first=-bar + 1) == (-32_000, 0, 2)
    assert [grid.bar_at(sample) for sample in (-bar - 1, -bar, -1, 0)] == [-2, -1, -1, 0]


@slow_machine
@given(
    st.integers(0, 10**6), rates, st.sampled_from([(32_000, 640), (24_000, 320), (48_000, 1920)])
)
def test_frames_are_enough_and_no_more(samples: int, rate: int, codec: tuple[int, int]) -> None:
    codec_rate, hop = codec
    frames = frames_for(samples, rate, codec_rate, hop)
    assert Fraction(frames * hop, codec_rate) >= Fraction(samples, rate)
    assert frames == 0 or Fraction((frames - 1) * hop, codec_rate) < Fraction(samples, rate)


def test_exactly_so_many_samples() -> None:
    sound = np.ones((10, 2), np.float32)
    assert exactly(sound, 7).shape == (7, 2)
    longer = exactly(sound, 12)
    assert longer.dtype == np.float32
    assert longer[:, 0].tolist() == [1.0] * 10 + [0.0] * 2


def test_halves_are_rounded_up_everywhere() -> None:
    assert [nearest(Fraction(n, 2)) for n in (-1, 0, 1, 2, 3)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(("rate", "bpm"), [(0, 120), (44_100, 0), (44_100, -1), (-1, 120)])
def test_a_grid_without_time_is_refused(rate: int, bpm: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Grid(rate, bpm)
