from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.tools import SPREAD, number, spread, table
from bridge.measure import Spread

seconds = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=50)


@given(seconds)
def test_percentiles_lie_in_order_between_least_and_most(values: list[float]) -> None:
    s = Spread.of(values)
    slack = 1e-9 * s.most
    for lower, upper in zip(
        (s.least, s.p50, s.p95, s.p99), (s.p50, s.p95, s.p99, s.most), strict=True
    ):
        assert lower <= upper + slack
    assert (s.n, s.least, s.most) == (len(values), min(values), max(values))


def test_percentiles_of_known_values() -> None:
    s = Spread.of([i / 100 for i in range(101)], 1000)
    assert (s.p50, s.p95, s.p99) == pytest.approx((500, 950, 990))


def test_nothing_measured_is_an_error_and_not_a_figure() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of([])
    assert spread([]) == ["0", "-", "-", "-", "-", "-"]


def test_a_rate_is_what_so_many_reach_at_least() -> None:
    rate = Spread.of([0.1, 0.2, 0.4]).as_rate()
    assert rate.p50 == pytest.approx(5)
    assert rate.p99 < rate.p95 < rate.p50


@given(st.floats(0.001, 1e6))
def test_numbers_keep_three_digits(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, rel=0.006)
    assert "e" not in number(value)


def test_a_table_is_markdown_with_even_columns() -> None:
    lines = table(["who", *SPREAD], [["Sideman", *spread([0.001, 0.002])]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].startswith("| :---") and lines[1].endswith("--: |")
    assert [cell.strip() for cell in lines[2].split("|")[1:4]] == ["Sideman", "2", "1"]
