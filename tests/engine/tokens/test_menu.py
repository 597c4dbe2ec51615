from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tokens.menu import menu, span


@given(st.sets(st.integers(0, 1500)))
def test_a_menu_has_the_tokens_of_its_set(tokens: set[int]) -> None:
    found = menu(sum(1 << token for token in tokens))
    assert found.ids.tolist() == sorted(tokens)
    assert found.ids.dtype == np.int32
    assert found.only == (next(iter(tokens)) if len(tokens) == 1 else None)


@given(st.integers(0, 800), st.integers(0, 800))
def test_a_span_has_what_lies_in_it(first: int, length: int) -> None:
    assert menu(span(first, first + length)).ids.tolist() == list(range(first, first + length))


def test_equal_sets_share_a_menu_that_cannot_be_changed() -> None:
    found = menu(span(700, 720))
    assert menu(sum(1 << token for token in range(700, 720))) is found
    with pytest.raises(ValueError, match="read-only"):
        found.ids[0] = 3
