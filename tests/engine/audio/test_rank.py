from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.audio.compare import Reference
from engine.audio.grid import Grid
from engine.audio.rank import TOLERABLE, WORST, Measures, cost, rank
from tests.support.sounds import hits, noise, recorded_loops

PERFECT = Measures(**{field.name: 0.0 for field in fields(Measures)})
GRID = Grid(32_000, 120)
NAMES = sorted(TOLERABLE)

errors = st.builds(Measures, *[st.floats(-1e6, 1e6) for _ in NAMES])


def beats(seconds: float, late: float = 0.0, ratio: float = 1.0, gain: float = 1.0):
    count = int(seconds * 2)
    return hits(
        [late + 0.5 * n * ratio for n in range(count)], seconds, 32_000, "kick"
    ) * np.float32(gain)


def test_the_table_names_every_measure() -> None:
    assert set(TOLERABLE) == set(asdict(PERFECT))


@given(st.lists(errors, max_size=8))
def test_ranking_is_by_cost_and_leaves_none_out(candidates: list[Measures]) -> None:
    order = rank(candidates)
    assert sorted(order) == list(range(len(candidates)))
    costs = [cost(candidates[i]) for i in order]
    assert costs == sorted(costs)
    assert all(0 <= each <= WORST * len(NAMES) for each in costs)


@pytest.mark.parametrize("name", NAMES)
def test_each_error_costs_by_its_size_up_to_the_worst(name: str) -> None:
    unit = TOLERABLE[name]
    assert cost(PERFECT) == 0
    assert cost(replace(PERFECT, **{name: unit})) == pytest.approx(1)
    assert cost(replace(PERFECT, **{name: 100 * unit})) == WORST
    assert cost(replace(PERFECT, **{name: float("nan")})) == WORST


def test_the_earlier_of_equals_wins() -> None:
    assert rank([PERFECT, PERFECT, PERFECT]) == [0, 1, 2]


def test_what_goes_on_as_it_was_wins_over_what_does_not() -> None:
    prompt = beats(8.0)
    reference = Reference(prompt, GRID, 4)
    takes = {
        "other sound": noise(2.0, 32_000, 0.05),
        "late": beats(2.0, late=0.08),
        "too slow": beats(2.0, ratio=1.05),
        "silent first beat": np.concatenate([beats(0.5) * 0, beats(1.5)]),
        "good": beats(2.0, gain=0.9),
        "jump": beats(2.0, late=0.005) + np.float32(0.3),
    }
    measures = [reference.measure(take) for take in takes.values()]
    names = list(takes)
    assert names[rank(measures)[0]] == "good"
    by_name = dict(zip(names, measures, strict=True))
    assert by_name["late"].offset_ms > 2 * by_name["good"].offset_ms + 20
    assert by_name["too slow"].tempo_percent > 2
    assert by_name["silent first beat"].entry_lu > 20
    assert by_name["jump"].click > 1
    assert by_name["other sound"].lost_beat > 0.3
    assert by_name["good"].level_lu == pytest.approx(0.92, abs=0.1)


def test_a_groove_that_the_prompt_has_is_no_error() -> None:
    laid_back = Reference(beats(8.0, late=0.025), GRID, 4)
    assert laid_back.measure(beats(2.0, late=0.025)).offset_ms < 3
    assert laid_back.measure(beats(2.0)).offset_ms > 12


def test_a_prompt_of_less_than_a_bar_has_no_beat_to_be_held_against() -> None:
    reference = Reference(beats(1.5), GRID, 4)
    assert reference.beat.confidence == 0.0
    assert reference.measure(beats(2.0)).offset_ms == 0.0


def test_a_silent_candidate_is_last() -> None:
    reference = Reference(beats(8.0), GRID, 4)
    measures = [reference.measure(take) for take in (beats(2.0) * 0, beats(2.0, late=0.03))]
    assert rank(measures) == [1, 0]


@pytest.mark.parametrize(("loop", "beats"), [("breakbeat", 4), ("compus", 16)])
def test_of_all_recorded_loops_a_loops_own_bar_goes_on_best(loop: str, beats: int) -> None:
    loops = recorded_loops()
    sound, rate = loops[loop]
    grid = Grid(rate, beats * 60 * rate / len(sound))
    reference = Reference(sound, grid, beats // 4)
    bar = grid.length(0)
    names = [name for name, (other, _) in loops.items() if len(other) >= bar]
    measures = [reference.measure(loops[name][0][:bar]) for name in names]
    assert names[rank(measures)[0]] == loop
