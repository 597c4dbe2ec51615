"""Which source leads the song."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.clocks.leader import PATIENCE, Leader, Source
from bridge.config import ClockSource

SOURCES: tuple[Source, ...] = get_args(Source)
sources = st.sampled_from(SOURCES)


def test_every_source_of_the_config_has_a_patience() -> None:
    assert set(PATIENCE) == set(SOURCES) == set(get_args(ClockSource)) - {"auto"}


def test_internal_leads_until_somebody_speaks() -> None:
    leader = Leader("auto")
    assert leader.current == "internal"
    assert leader.spoke("osc", 1.0)
    assert leader.current == "osc"


def test_the_best_that_is_alive_leads_and_each_change_is_said_once() -> None:
    said: list[Source] = []
    leader = Leader("auto", said.append)
    assert leader.spoke("osc", 0.0)
    assert leader.spoke("midi", 1.0)
    assert leader.spoke("midi", 1.1)
    assert not leader.spoke("osc", 1.2)
    assert leader.spoke("link", 1.3)
    assert leader.spoke("plugin", 1.4)
    assert not leader.spoke("midi", 1.5)
    leader.gone("plugin", 1.6)
    leader.gone("link", 1.7)
    leader.gone("midi", 1.8)
    leader.gone("osc", 1.9)
    leader.gone("osc", 2.0)
    assert said == ["osc", "midi", "link", "plugin", "link", "midi", "osc", "internal"]


def test_midi_is_given_up_after_two_silent_seconds_and_taken_back_when_it_speaks() -> None:
    leader = Leader("auto")
    leader.spoke("osc", 0.0)
    leader.spoke("midi", 10.0)
    assert leader.check(12.0) == "midi"
    assert leader.check(12.01) == "osc"
    assert leader.spoke("midi", 20.0)


@pytest.mark.parametrize("source", ["plugin", "osc", "link"])
def test_the_others_are_alive_until_they_are_gone(source: Source) -> None:
    leader = Leader("auto")
    leader.spoke(source, 0.0)
    assert leader.check(1e6) == source
    leader.gone(source, 1e6)
    assert leader.current == "internal"


@pytest.mark.parametrize("choice", SOURCES)
def test_a_fixed_choice_leads_alone(choice: Source) -> None:
    said: list[Source] = []
    leader = Leader(choice, said.append)
    for now, source in enumerate(SOURCES):
        assert leader.spoke(source, now) == (source == choice)
    leader.gone(choice, 10.0)
    assert leader.check(100.0) == leader.current == choice
    assert not said


@given(st.lists(st.tuples(sources, st.booleans(), st.floats(0, 3))))
def test_changes_add_up_to_who_leads(told: list[tuple[Source, bool, float]]) -> None:
    said: list[Source] = ["internal"]
    leader = Leader("auto", said.append)
    now = 0.0
    for source, speaks, later in told:
        now += later
        if speaks:
            assert leader.spoke(source, now) == (leader.current == source)
            assert SOURCES.index(leader.current) <= SOURCES.index(source)
        else:
            leader.gone(source, now)
            assert leader.current != source or source == "internal"
        assert said[-1] == leader.current
    assert all(a != b for a, b in pairwise(said))
