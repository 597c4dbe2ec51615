"""Time tags against a clock that is moved by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.osc.bundles import MOST_WAITING, OLDEST, TimeTags, Waiting, time_tag
from bridge.osc.codec import IMMEDIATELY
from engine.errors import Code, SidemanError

OFFSET = 1_800_000_000.0
NOW = 100.0
HORIZON = 16.0


def moment(seconds):
    return TimeTags(lambda: OFFSET).moment(time_tag(OFFSET + seconds), NOW, HORIZON)


def test_no_tag_and_immediately_are_the_arrival():
    tags = TimeTags(lambda: OFFSET)
    assert tags.moment(None, NOW, HORIZON) == NOW
    assert tags.moment(IMMEDIATELY, NOW, HORIZON) == NOW


@given(st.floats(-OLDEST + 0.001, HORIZON - 0.001))
def test_a_tag_is_its_moment_to_the_microsecond(ahead):
    assert moment(NOW + ahead) == pytest.approx(NOW + ahead, abs=1e-6)


def test_equal_tags_are_equal_moments_however_the_clocks_are_read():
    jitter = iter([0.0, 3e-7, -2e-7, 4e-7, -1e-7])
    tags = TimeTags(lambda: OFFSET + next(jitter))
    tag = time_tag(OFFSET + NOW + 1.0)
    assert len({tags.moment(tag, NOW + packet, HORIZON) for packet in (0.0, 0.0, 0.1, 0.2)}) == 1


def test_a_wall_clock_that_steps_is_followed():
    offset = [OFFSET]
    tags = TimeTags(lambda: offset[0])
    tag = time_tag(OFFSET + NOW + 1.0)
    offset[0] += 0.5
    assert tags.moment(tag, NOW, HORIZON) == pytest.approx(NOW + 0.5, abs=1e-6)


@pytest.mark.parametrize("behind", [OLDEST + 0.1, 3600.0, 1e9])
def test_a_tag_long_past_counts_as_now(behind):
    assert moment(NOW - behind) == NOW


@pytest.mark.parametrize("ahead", [HORIZON + 0.001, 3600.0, 1e9])
def test_beyond_eight_bars_is_refused(ahead):
    with pytest.raises(SidemanError, match="8 bars") as caught:
        moment(NOW + ahead)
    assert caught.value.code == Code.BAD_ARGUMENTS


def test_a_step_of_the_wall_clock_is_followed():
    offset = OFFSET
    tags = TimeTags(lambda: offset)
    offset += 3600
    assert tags.moment(time_tag(offset + NOW + 1), NOW, HORIZON) == pytest.approx(NOW + 1, abs=1e-6)


@given(st.lists(st.integers(0, 20)))
def test_what_waits_comes_in_order_of_time_then_of_arrival(moments):
    waiting = Waiting()
    for i, at in enumerate(moments):
        waiting.put(float(at), i)
    got = []
    for now in range(21):
        assert waiting.next_moment is None or waiting.next_moment >= now
        while (due := waiting.due(now)) is not None:
            got.append(due)
            assert due[0] == now
    assert got == sorted((float(at), i) for i, at in enumerate(moments))
    assert len(waiting) == 0


def test_the_queue_is_bounded():
    waiting = Waiting()
    for i in range(MOST_WAITING):
        waiting.put(1.0, i)
    with pytest.raises(SidemanError) as caught:
        waiting.put(1.0, -1)
    assert caught.value.code == Code.BUSY
