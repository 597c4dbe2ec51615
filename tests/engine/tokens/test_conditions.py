"""What a bar is told, as tokens, and that a take's music is as legal as without."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.chords import QUALITIES
from engine.music import COMMON_TIME, DRUMS, Meter, Note
from engine.tokens.conditions import (
    DENSITIES,
    SCALES,
    Harmony,
    Told,
    density_name,
    names,
    scale_of,
)
from engine.tokens.encode import decode, encode_bar
from engine.tokens.grammar import Writer
from engine.tokens.header import ahead, header
from engine.tokens.plan import BarPlan, Plan
from engine.tokens.vocabulary import Vocabulary


@pytest.fixture(scope="session")
def settings_of(tokenizer_file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tokenizer_file.read_text())
    found["conditions"] = names(map(int, found["config"]["programs"]))
    return found


@pytest.fixture(scope="session")
def told(settings_of: dict[str, Any]) -> Vocabulary:
    return Vocabulary.of(settings_of)


@pytest.fixture(scope="session")
def untold(settings_of: dict[str, Any]) -> Vocabulary:
    return Vocabulary.of({k: v for k, v in settings_of.items() if k != "conditions"})


notes = st.builds(
    Note,
    bar=st.just(0),
    tick=st.integers(0, 2879),
    program=st.sampled_from([DRUMS, 0, 33]),
    pitch=st.integers(36, 80),
    duration=st.integers(80, 2000),
    velocity=st.integers(1, 127),
)
chords = st.builds(
    Harmony, st.integers(0, 2879), st.none() | st.integers(0, 11), st.sampled_from(list(QUALITIES))
)
tellings = st.builds(
    Told,
    st.none() | st.integers(0, 11),
    st.none() | st.floats(0.01, 40),
    st.lists(st.sampled_from([DRUMS, 0, 33, 73]), unique=True).map(tuple),
    st.lists(chords, max_size=3).map(tuple),
    st.lists(notes, max_size=4).map(tuple),
)


def test_conditions_stand_behind_the_music(told: Vocabulary, untold: Vocabulary) -> None:
    assert told.told and not untold.told
    assert told.tokens[: len(untold)] == untold.tokens
    assert told.music == untold.music == range(len(untold))
    assert len(set(told.tokens)) == len(told)
    assert told.types[-1] == "Back"


def test_others_than_these_are_refused(settings_of: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="conditions"):
        Vocabulary.of({**settings_of, "conditions": ["Mood_happy"]})


def test_a_header_says_all_in_order(told: Vocabulary) -> None:
    bass = Note(0, 960, 33, 40, 960, 80)
    telling = Told(
        2, 2.2, (0, DRUMS), (Harmony(0, 9, "m7"), Harmony(1920, None)), (bass,)
    )  # fmt: skip
    said = [told.tokens[token] for token in header(told, COMMON_TIME, telling)]
    assert said[:9] == [
        "Scale_2", "Density_2", "Cast_-1", "Cast_0", "Root_9", "Quality_m7",
        "Position_24", "Root_N", "Hear_None",
    ]  # fmt: skip
    assert said[9:] == [
        *(told.tokens[token] for token in encode_bar(told, COMMON_TIME, [bass])[2:]),
        "Write_None",
    ]
    assert header(told, COMMON_TIME, Told()) == []


def test_what_lies_ahead_is_a_whole_bar(told: Vocabulary) -> None:
    bar = [Note(0, 0, 0, 60, 960, 80)]
    tokens = ahead(told, COMMON_TIME, bar)
    assert [told.types[t] for t in (tokens[0], tokens[-1])] == ["Ahead", "Back"]
    assert tokens[1:-1] == encode_bar(told, COMMON_TIME, bar)


@pytest.mark.parametrize("tonic", range(12))
def test_scales_by_their_notes(tonic: int) -> None:
    assert scale_of(SCALES[tonic]) == tonic
    harmonic = {(tonic + step) % 12 for step in (9, 11, 0, 2, 4, 5, 8)}
    assert scale_of(harmonic) == tonic


@pytest.mark.parametrize("classes", [{0}, set(), set(range(12)), {0, 1, 2, 3, 4, 5}])
def test_what_is_no_scale(classes: set[int]) -> None:
    assert scale_of(classes) is None


@given(st.floats(0.01, 60))
def test_the_nearest_density(density: float) -> None:
    nearest = float(density_name(density).partition("_")[2])
    assert all(abs(nearest - density) <= abs(level - density) for level in DENSITIES)


@given(st.lists(tellings, min_size=1, max_size=3), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_take_is_told_and_its_music_is_legal(
    told: Vocabulary, bars: list[Told], seed: int
) -> None:
    draw = random.Random(seed)
    plan = Plan(tuple(BarPlan(Meter(3, 4), told=each) for each in bars), (0, 33))
    writer = Writer(told, plan)
    music: list[int] = []
    heard: list[list[int]] = []
    made: list[Note] = []
    while not writer.finished:
        forced, tells = writer.forced(), writer.tells
        token = draw.choice(writer.allowed().tolist()) if forced is None else forced
        assert not tells or forced is not None
        assert tells or token in told.music
        if token == told.bar:
            heard.append([])
        (heard[-1] if tells else music).append(token)
        note = writer.accept(token)
        if note is not None:
            made.append(note)
    assert heard[: len(bars)] == [header(told, Meter(3, 4), each) for each in bars]
    assert decode(told, music) == made


@given(tellings, st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_who_was_never_taught_is_told_nothing(
    untold: Vocabulary, telling: Told, seed: int
) -> None:
    draw = random.Random(seed)
    writer = Writer(untold, Plan((BarPlan(told=telling),), (0,)))
    while not writer.finished:
        assert not writer.tells
        writer.accept(draw.choice(writer.allowed().tolist()))
