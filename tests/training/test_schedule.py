import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.schedule import DECAYS, Schedule


def schedule(**changes):
    return Schedule(**{"rate": 1.0, "rate_end": 0.05, "warmup": 10, **changes})


def test_steps_alone_are_the_length():
    plan = schedule(steps=100)
    assert [plan.progress(step, 0.0) for step in (0, 50, 100)] == [0.0, 0.5, 1.0]


def test_beside_a_length_steps_only_end_it():
    """So that a run with more steps does the same ones first."""
    plan = schedule(epochs=2, steps_of_epoch=50, steps=30)
    assert plan.progress(29, 0.0) == pytest.approx(0.29)
    assert plan.progress(30, 0.0) == 1.0
    assert schedule(epochs=2, steps_of_epoch=50).progress(29, 0.0) == plan.progress(29, 0.0)


def test_whatever_is_reached_first_ends_it():
    plan = schedule(minutes=10, epochs=1, steps_of_epoch=100)
    assert plan.progress(10, 300.0) == 0.5
    assert plan.progress(90, 300.0) == pytest.approx(0.9)
    assert plan.progress(10, 600.0) == 1.0


def test_a_run_without_a_length_has_one():
    assert schedule(steps_of_epoch=7).progress(70, 1e9) == 1.0
    assert schedule(steps_of_epoch=7).progress(69, 1e9) < 1.0


def test_a_constant_rate_stays_behind_its_warm_up():
    plan = schedule(steps=1000, decay="constant")
    rates = {plan.rate_at(step, step / 1000) for step in range(200, 1001)}
    assert rates == {1.0} and plan.rate_at(0, 0.0) == pytest.approx(0.1)


@pytest.mark.parametrize("decay", sorted({*DECAYS} - {"constant"}))
def test_the_rate_rises_falls_and_ends_annealed(decay):
    plan = schedule(steps=1000, decay=decay)
    rates = [plan.rate_at(step, step / 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(1.0, rel=0.05)
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(0.05)


def test_a_short_run_warms_up_in_a_tenth():
    plan = schedule(steps=20, warmup=100)
    assert plan.rate_at(2, 0.1) > 0.9


@given(st.floats(0, 1), st.floats(0.001, 1))
def test_no_rate_leaves_its_range(progress, end):
    for decay in DECAYS.values():
        assert end - 1e-9 <= decay(progress, end) <= 1 + 1e-9
