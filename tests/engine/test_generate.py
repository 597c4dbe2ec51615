"""From a wish and a state to notes: legal, repeatable, and the best filling of a gap."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.errors import Code, SidemanError
from engine.generate import Making, plan_of
from engine.models import registry
from engine.models.base import Model, Stream
from engine.music import COMMON_TIME, DRUMS, Meter, Note
from engine.tokens.encode import encode_bar
from engine.tokens.vocabulary import Vocabulary
from engine.worker import wire
from tests.support.band import tune
from tests.support.tiny_model import TOKENIZER

ROOM = wire.Room(4, 4, [], [])
C_MAJOR = [0, 2, 4, 5, 7, 9, 11]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load(TOKENIZER)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    model = registry.load(tiny_model)
    model.warm_up()
    return model


def wish(**changes: Any) -> wire.Wish:
    first = wire.Wish(context_end=4, rooms=[ROOM, ROOM], programs=[0], seed=3, density=1.0)
    return replace(first, **changes)


def heard(model: Model, vocabulary: Vocabulary) -> Stream:
    stream = model.open()
    for bar in range(4):
        stream.feed(encode_bar(vocabulary, COMMON_TIME, tune(bar)))
    return stream


def make(model: Model, vocabulary: Vocabulary, asked: wire.Wish) -> dict[int, list[Note]]:
    """The notes of each variation, once all say that they are finished."""
    making = Making(vocabulary, heard(model, vocabulary), asked)
    takes: dict[int, list[Note]] = {number: [] for number in range(asked.variations)}
    finished: list[int] = []
    while not making.done:
        step = making.step()
        for variation, note in step.notes:
            assert variation not in finished
            takes[variation].append(note)
        finished += step.finished
    assert sorted(finished) == list(takes)
    return takes


meters = st.sampled_from([(4, 4), (3, 4), (6, 8), (2, 4)])
wishes = st.builds(
    wire.Wish,
    context_end=st.just(4),
    rooms=st.lists(meters.map(lambda m: wire.Room(*m, [], [])), min_size=1, max_size=3),
    programs=st.lists(st.sampled_from([0, 32, 40, DRUMS]), min_size=1, max_size=3),
    seed=st.integers(0, 2**31 - 1),
    variations=st.integers(1, 3),
    start_tick=st.integers(0, 7).map(lambda sixteenth: 240 * sixteenth),
    key=st.none() | st.just(C_MAJOR),
    low=st.integers(21, 50),
    high=st.integers(62, 108),
    density=st.none() | st.sampled_from([0.5, 2.0, 4.0]),
    polyphony=st.none() | st.integers(1, 3),
    temperature=st.sampled_from([0.0, 1.0, 2.0]),
    top_p=st.sampled_from([0.5, 1.0]),
)


@given(wishes)
@settings(max_examples=40, deadline=None)
def test_every_take_is_legal(model: Model, vocabulary: Vocabulary, asked: wire.Wish) -> None:
    lines = [0]
    for room in asked.rooms:
        lines.append(lines[-1] + Meter(room.num, room.den).ticks)
    for notes in make(model, vocabulary, asked).values():
        assert notes
        assert all(a.onset <= b.onset for a, b in pairwise(notes))
        for note in notes:
            assert note.program in asked.programs
            assert 1 <= note.velocity <= 127
            assert lines[0] + asked.start_tick <= lines[note.bar] + note.tick < lines[note.bar + 1]
            assert lines[note.bar] + note.tick + note.duration <= lines[-1]
            if note.program != DRUMS:
                assert asked.low <= note.pitch <= asked.high
                assert asked.key is None or note.pitch % 12 in asked.key


@given(wishes)
@settings(max_examples=10, deadline=None)
def test_a_variation_is_the_same_in_whatever_company(
    model: Model, vocabulary: Vocabulary, asked: wire.Wish
) -> None:
    together = make(model, vocabulary, replace(asked, variations=3))
    alone = make(model, vocabulary, replace(asked, variations=1))
    assert alone[0] == together[0]


def test_seeds_and_temperature(model: Model, vocabulary: Vocabulary) -> None:
    assert make(model, vocabulary, wish()) == make(model, vocabulary, wish())
    assert make(model, vocabulary, wish()) != make(model, vocabulary, wish(seed=4))
    cold = [make(model, vocabulary, wish(seed=n, temperature=0.0)) for n in range(2)]
    assert cold[0] == cold[1]


def test_a_curve_moves_the_temperature(model: Model, vocabulary: Vocabulary) -> None:
    ramp = wish(rooms=[ROOM] * 4, temperature=1.0, curve=("ramp", 1.0, 0.0, 3.0, 0.0), top_p=1.0)
    making = Making(vocabulary, heard(model, vocabulary), ramp)
    by_bar: dict[int, float] = {}
    while not making.done:
        for draft in making._live:
            by_bar[draft.writer.bar] = draft.sampler.temperature
        making.step()
    assert by_bar == {0: 0.0, 1: pytest.approx(2 / 3), 2: pytest.approx(4 / 3), 3: 2.0}


def test_given_notes_are_heard_and_not_written(model: Model, vocabulary: Vocabulary) -> None:
    bass = [wire.row(note) for note in tune(0, (36, 36, 43, 43), program=32)]
    rooms = [wire.Room(4, 4, bass, []), ROOM]
    with_bass = make(model, vocabulary, wish(rooms=rooms))[0]
    assert {note.program for note in with_bass} == {0}
    assert with_bass != make(model, vocabulary, wish())[0]


def test_chords_are_kept_to(model: Model, vocabulary: Vocabulary) -> None:
    spans = [wire.Span(0, 1920, [0, 4, 7]), wire.Span(1920, 3840, None)]
    asked = wish(rooms=[wire.Room(4, 4, [], spans)] * 4, density=4.0, chord_share=1.0, low=40)
    notes = make(model, vocabulary, asked)[0]
    held = [note.pitch % 12 for note in notes if note.tick < 1920]
    assert held and set(held) <= {0, 4, 7}
    assert not {note.pitch % 12 for note in notes if note.tick >= 1920} <= {0, 4, 7}


class TestInfill:
    def rate(
        self, model: Model, vocabulary: Vocabulary, rooms: list[wire.Room], notes: list[Note],
        after: list[wire.Room],
    ) -> float:  # fmt: skip
        """Mean log-likelihood of what follows the gap, token by token."""
        stream = heard(model, vocabulary)
        for bar in range(len(rooms)):
            inside = [note for note in notes if note.bar == bar]
            stream.feed(encode_bar(vocabulary, COMMON_TIME, inside))
        total = 0.0
        tokens = [
            token
            for room in after
            for token in encode_bar(vocabulary, COMMON_TIME, [Note(*row) for row in room.given])
        ]
        for token in tokens:
            logits = stream.logits[0].astype(np.float64)
            total += float(logits[token] - np.logaddexp.reduce(logits))
            stream.step([token])
        return total / len(tokens)

    def test_the_best_of_some_candidates_is_taken(
        self, model: Model, vocabulary: Vocabulary
    ) -> None:
        after = [wire.Room(4, 4, [wire.row(note) for note in tune(0, (72, 71, 69, 67))], [])]
        for seed in range(3):
            asked = wish(seed=seed, after=after, candidates=4)
            rivals = make(model, vocabulary, wish(seed=seed, variations=4))
            rates = [
                self.rate(model, vocabulary, asked.rooms, notes, after)
                for notes in rivals.values()
            ]
            chosen = make(model, vocabulary, asked)
            assert chosen == {0: rivals[int(np.argmax(rates))]}

    def test_who_is_told_what_lies_ahead_hears_it(
        self, model: Model, vocabulary: Vocabulary
    ) -> None:
        after = [wire.Room(4, 4, [wire.row(note) for note in tune(0, (72, 71, 69, 67))], [])]
        told = make(model, vocabulary, wish(after=after, beforehand=True))
        assert told != make(model, vocabulary, wish(after=after)) == make(model, vocabulary, wish())

    def test_each_variation_has_candidates_of_its_own(
        self, model: Model, vocabulary: Vocabulary
    ) -> None:
        rivals = make(model, vocabulary, wish(variations=6))
        chosen = make(model, vocabulary, wish(variations=3, candidates=2))
        for number, notes in chosen.items():
            assert notes in (rivals[2 * number], rivals[2 * number + 1])


@pytest.mark.parametrize(
    "change",
    [
        {"rooms": []},
        {"programs": []},
        {"programs": [200]},
        {"low": 80, "high": 70},
        {"low": 61, "high": 61, "key": [0]},
        {"density": -1.0},
        {"polyphony": 0},
        {"start_tick": 4000},
        {"temperature": -1.0},
        {"curve": ("zigzag", 0.0, 0.0, 8.0, 0.0)},
        {"rooms": [wire.Room(4, 4, [], [wire.Span(0, 960, [1])])], "key": [0]},
    ],
)
def test_what_nothing_could_fulfil_is_refused(
    model: Model, vocabulary: Vocabulary, change: dict[str, Any]
) -> None:
    with pytest.raises(SidemanError) as caught:
        Making(vocabulary, model.open(), wish(**change))
    assert caught.value.code == Code.BAD_ARGUMENTS


def test_a_plan_says_all_that_the_wish_does() -> None:
    spans = [wire.Span(0, 960, [0, 4]), wire.Span(960, 1920, None)]
    room = wire.Room(3, 4, [(5, 0, 32, 40, 960, 80)], spans)
    plan = plan_of(
        wish(rooms=[room], key=[0, 4], low=30, high=90, polyphony=2, chord_share=0.9,
             reference=[(0, 0, 0, 60, 960, 90)], start_tick=240)
    )  # fmt: skip
    assert plan.bars[0].meter == Meter(3, 4)
    assert plan.bars[0].given == (Note(5, 0, 32, 40, 960, 80),)
    assert [(c.start, c.end, c.pitch_classes) for c in plan.bars[0].chords] == [
        (0, 960, frozenset({0, 4}))
    ]
    assert (plan.key, plan.low, plan.high) == (frozenset({0, 4}), 30, 90)
    assert (plan.polyphony, plan.chord_share, plan.start) == (2, 0.9, 240)
    assert plan.reference == (Note(0, 0, 0, 60, 960, 90),)
