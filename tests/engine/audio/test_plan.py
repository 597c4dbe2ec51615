from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio.grid import Grid
from engine.audio.plan import plan, reprimes
from engine.audio.wanted import Wanted
from engine.music import Meter, MeterMap
from tests.support.sounds import noise
from tests.support.tape import Tape

FRAME_RATE = Fraction(50)
ROOM = 1500


def test_sixty_four_bars_at_sixty() -> None:
    """Four seconds a bar: after 12 s of a prompt there is room for 4 bars, and then again."""
    grid = Grid(44_100, 60)
    found = reprimes(grid, 3, 64 * 200, 600, FRAME_RATE, ROOM)
    assert [each.made for each in found] == [800 * n for n in range(1, 16)]
    assert {each.keep for each in found} == {600}
    assert [each.bar for each in found] == [3 + 4 * n for n in range(1, 16)]


def test_what_fits_is_left_alone() -> None:
    grid = Grid(44_100, 120)
    assert reprimes(grid, 0, 900, 600, FRAME_RATE, ROOM) == []
    assert len(reprimes(grid, 0, 901, 600, FRAME_RATE, ROOM)) == 1


def test_a_line_between_two_frames_is_taken_at_the_next() -> None:
    """A bar at 128 BPM is 93.75 frames."""
    found = reprimes(Grid(44_100, 128), 0, 1200, 0, FRAME_RATE, 600)
    assert [each.made for each in found] == [563, 938]  # bars 6 and 10, at 562.5 and 937.5
    assert [each.bar for each in found] == [6, 10]
    assert [each.keep for each in found] == [188, 188]  # two bars are 187.5


@pytest.mark.parametrize(
    ("bpm", "meter"), [(20, Meter(7, 4)), (5, Meter(4, 4)), (1, Meter(4, 4)), (60, Meter(64, 4))]
)
def test_without_a_bar_line_in_reach_a_beat_has_to_do(bpm: int, meter: Meter) -> None:
    grid = Grid(44_100, bpm, MeterMap([(0, meter)]))
    found = reprimes(grid, 0, 9000, 0, FRAME_RATE, ROOM)
    assert found
    beat = FRAME_RATE * 60 / bpm
    for each in found:
        if beat < 900:
            assert each.made == pytest.approx(round(each.made / beat) * beat, abs=1)


@settings(max_examples=200, deadline=None)
@given(
    bpm=st.fractions(10, 300, max_denominator=1000),
    changes=st.lists(
        st.tuples(
            st.integers(0, 20), st.builds(Meter, st.integers(1, 30), st.sampled_from([2, 4, 8]))
        ),
        max_size=4,
        unique_by=lambda change: change[0],
    ),
    bar=st.integers(0, 10),
    frames=st.integers(1, 5000),
    primed=st.integers(0, 600),
    room=st.integers(601, 1500),
)
def test_there_is_always_room(
    bpm: Fraction,
    changes: list[tuple[int, Meter]],
    bar: int,
    frames: int,
    primed: int,
    room: int,
) -> None:
    grid = Grid(44_100, bpm, MeterMap(changes))
    made, context = 0, min(primed, room * 2 // 5)
    for each in reprimes(grid, bar, frames, context, FRAME_RATE, room):
        assert made < each.made < frames
        there = context + each.made - made
        assert there <= room
        assert 0 < each.keep <= min(there, room * 2 // 5)
        made, context = each.made, each.keep
    assert context + frames - made <= room


def test_a_take_that_may_be_stretched_is_made_longer() -> None:
    model = Tape(lambda seed: noise(1))
    past = noise(2)[:96_000]
    live, waited = (
        plan(Wanted(past, Grid(48_000, 120), 1, 2, live=live), model) for live in (True, False)
    )
    assert live.primed == waited.primed == 50
    assert live.needed == 100 + model.lookahead
    assert waited.needed == 103 + model.lookahead
    assert live.first_bar == 50 + model.lookahead
    alone = plan(Wanted(np.zeros((0, 2), np.float32), Grid(48_000, 120), 1, 2), model)
    assert alone.primed == 0 and alone.needed == live.needed


def test_another_rate_takes_the_resampler_some_frames_more() -> None:
    model = Tape(lambda seed: noise(1))
    past = noise(2, 44_100)[:88_200]
    assert plan(Wanted(past, Grid(44_100, 120), 1, 2), model).needed == 101 + model.lookahead
