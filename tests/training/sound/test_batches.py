"""What a step hears hangs on the seed and its number alone."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from training.sound.batches import Batches


@given(
    st.lists(st.integers(1, 90), min_size=1, max_size=9), st.integers(1, 5), st.integers(0, 99),
    st.integers(1, 50),
)  # fmt: skip
def test_every_clip_is_heard_as_often_as_any_other(lengths, size, seed, most):
    batches = Batches(lengths, size, most=most, seed=seed, withheld=0.5)
    steps = len(lengths)
    heard = [one for step in range(steps) for one in batches.of(step)]
    assert set(Counter(one.clip for one in heard).values()) == {size}
    for one in heard:
        assert one.frames == min(most, lengths[one.clip])
        assert 0 <= one.begin <= lengths[one.clip] - one.frames
    again = Batches(lengths, size, most=most, seed=seed, withheld=0.5)
    assert [again.of(step) for step in reversed(range(steps))] == [
        batches.of(step) for step in reversed(range(steps))
    ]


def test_prompts_are_withheld_as_often_as_asked_but_not_in_the_first_two_steps():
    batches = Batches([100] * 10, 10, most=50, seed=1, withheld=0.3)
    silent = [one.silent for step in range(2, 202) for one in batches.of(step)]
    assert 0.26 < sum(silent) / len(silent) < 0.34
    assert not any(one.silent for step in (0, 1) for one in batches.of(step))
    never = Batches([100] * 10, 10, most=50, seed=1, withheld=0.0)
    assert not any(one.silent for step in range(50) for one in never.of(step))


def test_other_parts_of_a_long_clip_are_heard_each_time():
    batches = Batches([1000], 1, most=100, seed=0, withheld=0.0)
    assert len({batches.of(step)[0].begin for step in range(50)}) > 40


def test_several_processes_hear_what_one_hears():
    """A step of twice the size hears two steps of the half: lanes are cut out of one order."""
    whole = Batches([50] * 7, 4, most=50, seed=3, withheld=0.0)
    half = Batches([50] * 7, 2, most=50, seed=3, withheld=0.0)
    for step in range(20):
        assert whole.of(step) == half.of(2 * step) + half.of(2 * step + 1)
