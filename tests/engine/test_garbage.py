"""The collector: kept out of the music, and let in where nobody waits."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from engine import garbage


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


class Ring:
    def __init__(self) -> None:
        self.me = self


def old_rubbish() -> weakref.ref[Ring]:
    """A cycle that only a full collection finds."""
    ring = Ring()
    gc.collect(0)
    gc.collect(1)
    return weakref.ref(ring)


def test_no_full_collection_by_itself() -> None:
    garbage.settle()
    before = gc.get_stats()[2]["collections"]
    kept = [[i] for i in range(1_000_000)]
    assert gc.get_stats()[0]["collections"] > 0
    assert gc.get_stats()[2]["collections"] == before
    assert len(kept) == 1_000_000


def test_the_sweep_finds_it() -> None:
    garbage.settle()
    sweeper = garbage.Sweeper(every=30.0)
    rubbish = old_rubbish()
    assert not sweeper.idle(100.0)
    assert not sweeper.idle(129.0)
    assert rubbish() is not None
    assert sweeper.idle(130.0)
    assert rubbish() is None
    assert not sweeper.idle(131.0)


def test_what_lives_at_the_start_is_not_walked_through_again() -> None:
    garbage.settle()
    assert gc.get_freeze_count() > 0
