from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Code, SidemanError
from engine.music import DRUMS, Meter, Note
from engine.tokens.bars import DENSITY_TOLERANCE, NOTES_PER_BEAT
from engine.tokens.encode import decode, encode_bar, quantise
from engine.tokens.grammar import Writer
from engine.tokens.plan import BarPlan, ChordSpan, Plan
from engine.tokens.vocabulary import Vocabulary

PROGRAMS = [DRUMS, 0, 33, 73]
METERS = [Meter(4, 4), Meter(3, 4), Meter(6, 8), Meter(7, 8), Meter(2, 2), Meter(5, 16)]
TRIAD = frozenset([0, 4, 7])
C_MAJOR = frozenset([0, 2, 4, 5, 7, 9, 11])


@st.composite
def bar_plans(draw: st.DrawFn) -> BarPlan:
    meter = draw(st.sampled_from(METERS))
    ticks = st.integers(0, meter.ticks - 1)
    given_notes = draw(
        st.lists(
            st.builds(
                Note,
                bar=st.just(0),
                tick=ticks,
                program=st.sampled_from(PROGRAMS),
                pitch=st.integers(30, 90),
                duration=st.integers(1, 4000),
                velocity=st.integers(1, 127),
            ),
            max_size=5,
        )
    )
    edges = sorted(draw(st.sets(ticks, max_size=3)))
    chords = [
        ChordSpan(start, end, draw(st.frozensets(st.sampled_from(sorted(C_MAJOR)), min_size=2)))
        for start, end in pairwise([*edges, meter.ticks])
    ]
    return BarPlan(meter, tuple(given_notes), tuple(chords))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    bars = tuple(draw(st.lists(bar_plans(), min_size=1, max_size=4)))
    low = draw(st.integers(21, 90))
    reference = [
        Note(draw(st.integers(0, len(bars) - 1)), tick, program, pitch, 480, 80)
        for tick, program, pitch in draw(
            st.lists(
                st.tuples(st.integers(0, 900), st.sampled_from(PROGRAMS), st.integers(30, 90)),
                max_size=4,
            )
        )
    ]
    return Plan(
        bars=bars,
        programs=tuple(draw(st.lists(st.sampled_from(PROGRAMS), min_size=1, max_size=3))),
        key=draw(st.none() | st.just(C_MAJOR)),
        low=low,
        high=draw(st.integers(low + 11, 127)),
        density=draw(st.none() | st.floats(0.1, 30)),
        polyphony=draw(st.none() | st.integers(1, 4)),
        chord_share=draw(st.sampled_from([0.0, 0.5, 0.7, 1.0])),
        longest_rest=draw(st.integers(0, 2)),
        min_notes=draw(st.integers(0, 3)),
        reference=tuple(reference),
        start=draw(st.integers(0, bars[0].meter.ticks - 1)) if draw(st.booleans()) else 0,
        opened=draw(st.booleans()),
    )


def play(
    writer: Writer, chance: random.Random, longest: int = 100_000
) -> tuple[list[int], list[Note]]:
    """Take tokens at random until the take is finished: all its tokens, and its own notes."""
    tokens: list[int] = []
    notes: list[Note] = []
    # Some takes linger, some hurry on, some like the lowest ids (bar lines) or the highest.
    taste = chance.choice(["any", "first", "last", "early"])
    while not writer.finished:
        assert len(tokens) < longest
        allowed = writer.allowed().tolist()
        assert allowed
        assert allowed == sorted(set(allowed))
        token = writer.forced()
        assert (token is not None) == (len(allowed) == 1)
        if taste == "any" or chance.random() < 0.3:
            token = chance.choice(allowed)
        elif taste == "early":
            token = allowed[min(len(allowed) - 1, chance.randrange(3))]
        else:
            token = allowed[0 if taste == "first" else -1]
        hints = writer.bias()
        assert hints is None or len(hints[0]) == len(hints[1]) > 0
        note = writer.accept(token)
        tokens.append(token)
        if note is not None:
            notes.append(note)
    assert writer.forced() is None
    assert len(writer.allowed()) == 0
    return tokens, notes


def origins(plan: Plan) -> list[int]:
    starts = [0]
    for bar in plan.bars:
        starts.append(starts[-1] + bar.meter.ticks)
    return starts


@given(plans(), st.randoms(use_true_random=False))
@settings(max_examples=120, deadline=None)
def test_whatever_is_chosen_the_take_is_legal(
    vocabulary: Vocabulary, plan: Plan, chance: random.Random
) -> None:
    tokens, notes = play(Writer(vocabulary, plan), chance)
    starts = origins(plan)

    # Inside the bars, in order, in key and range, and no note twice.
    assert notes == sorted(notes)
    assert len({note[:4] for note in map(_fields, notes)}) == len(notes)
    for note in notes:
        assert note.program in plan.programs
        assert 0 <= note.tick < plan.bars[note.bar].meter.ticks
        assert starts[note.bar] + note.tick + note.duration <= starts[-1]
        assert note.duration > 0
        if note.program != DRUMS:
            assert plan.low <= note.pitch <= plan.high
            assert plan.key is None or note.pitch % 12 in plan.key
    assert all(note.tick >= plan.start for note in notes if note.bar == 0)

    # Chord tones, at any moment of the take.
    inside = outside = 0
    for note in notes:
        for chord in plan.bars[note.bar].chords:
            if note.program != DRUMS and chord.start <= note.tick < chord.end:
                inside += note.pitch % 12 in chord.pitch_classes
                outside += note.pitch % 12 not in chord.pitch_classes
                assert inside >= plan.chord_share * (inside + outside)

    # Voices.
    if plan.polyphony is not None:
        for note in notes:
            now = starts[note.bar] + note.tick
            sounding = [
                other
                for other in notes
                if other.program == note.program
                and starts[other.bar] + other.tick <= now
                and starts[other.bar] + other.tick + other.duration > now
            ]
            assert len(sounding) <= plan.polyphony

    # Given notes are in the stream, at their place; what is left are the take's own.
    own = Counter(_fields(note)[:4] for note in notes)
    heard = tokens if not plan.opened else [*_opening(vocabulary, plan), *tokens]
    stream = decode(vocabulary, heard)
    rest = []
    for note in stream:
        place = _fields(note)[:4]
        if own[place]:
            own[place] -= 1
        else:
            rest.append(note)
    assert not +own
    assert rest == _given(vocabulary, plan)

    # The stream is what the encoder would write.
    written = [
        token
        for number, bar in enumerate(plan.bars)
        for token in encode_bar(
            vocabulary,
            vocabulary.meter_for(bar.meter),
            [note for note in stream if note.bar == number],
        )
    ]
    assert [*heard, vocabulary.bar][: len(written) + 1] == [*written, vocabulary.bar]


def _fields(note: Note) -> tuple[int, ...]:
    return (note.bar, note.tick, note.program, note.pitch, note.duration, note.velocity)


def _opening(vocabulary: Vocabulary, plan: Plan) -> list[int]:
    return encode_bar(vocabulary, plan.bars[0].meter, [])


def _given(vocabulary: Vocabulary, plan: Plan) -> list[Note]:
    """Given notes as the stream has to hold them."""
    notes = []
    for number, bar in enumerate(plan.bars):
        tokens = encode_bar(vocabulary, bar.meter, bar.given)
        step = vocabulary.grid(bar.meter).step
        first = -(-plan.start // step) * step if plan.opened and not number else 0
        notes += [replace(n, bar=number) for n in decode(vocabulary, tokens) if n.tick >= first]
    return notes


@given(plans(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_density_and_the_least_number_of_notes_hold(
    vocabulary: Vocabulary, plan: Plan, chance: random.Random
) -> None:
    plan = replace(plan, start=0, opened=False)
    _, notes = play(Writer(vocabulary, plan), chance)
    assert len([n for n in notes if n.bar == 0]) >= plan.min_notes
    for number, bar in enumerate(plan.bars):
        count = sum(note.bar == number for note in notes)
        beats = float(bar.meter.beats)
        limit = (beats * NOTES_PER_BEAT + 1) * len(set(plan.programs))
        assert count <= limit
        if plan.density is None:
            continue
        positions = vocabulary.grid(bar.meter).positions
        asked = plan.density * beats
        least = min(int(asked * (1 - DENSITY_TOLERANCE)), positions, limit - len(plan.programs))
        if plan.polyphony is None:
            assert count >= least
        assert count <= max(plan.min_notes, least, asked * (1 + DENSITY_TOLERANCE) + 1)


@pytest.mark.parametrize("polyphony", [1, 2, 4])
@pytest.mark.parametrize("density", [0.5, 1.0, 2.0, 4.0, 8.0])
def test_density_holds_with_few_voices(
    vocabulary: Vocabulary, density: float, polyphony: int
) -> None:
    plan = Plan((BarPlan(),) * 4, (0,), density=density, polyphony=polyphony)
    for seed in range(20):
        _, notes = play(Writer(vocabulary, plan), random.Random(seed))
        for bar in range(4):
            count = sum(note.bar == bar for note in notes)
            assert int(density * 3) <= count <= density * 5 + 1


def test_notes_come_at_an_even_pace(vocabulary: Vocabulary) -> None:
    """Two notes a beat: 6 to 10 in a bar, never behind 6, and less than a beat ahead of 10."""
    plan = Plan((BarPlan(),) * 2, (0,), density=2.0)
    for seed in range(30):
        _, notes = play(Writer(vocabulary, plan), random.Random(seed))
        for bar in range(2):
            ticks = [note.tick for note in notes if note.bar == bar]
            for beat in range(1, 5):
                begun = sum(tick < beat * 960 for tick in ticks)
                assert 6 * beat // 4 <= begun < 10 * beat / 4 + 2 + 1


def test_own_notes_stand_between_the_given_ones(vocabulary: Vocabulary) -> None:
    others = (Note(0, 960, DRUMS, 36, 80, 103), Note(0, 960, 40, 60, 960, 103))
    bar = BarPlan(Meter(2, 4), others)
    writer = Writer(vocabulary, Plan((bar,), (0,), low=60, high=60, start=959, density=0.1))
    names: list[str] = []
    own: list[Note] = []
    while not writer.finished:
        token = writer.forced()
        if token is None:
            token = writer.allowed().tolist()[0]
        names.append(vocabulary.tokens[token])
        own += [note for note in [writer.accept(token)] if note]
    assert names == [
        *("Bar_None", "TimeSig_2/4", "Position_12"),
        *("Program_-1", "PitchDrum_36", "Velocity_103", "Duration_0.1.12"),
        *("Program_0", "Pitch_60", "Velocity_7", "Duration_0.1.12"),
        *("Program_40", "Pitch_60", "Velocity_103", "Duration_1.0.6"),
    ]
    assert own == [Note(0, 960, 0, 60, 80, 7)]


def test_the_last_bar_line_finishes_the_take(vocabulary: Vocabulary) -> None:
    writer = Writer(vocabulary, Plan((BarPlan(),) * 2, (0,), min_notes=0))
    for bar in range(2):
        assert not writer.finished
        assert writer.accept(vocabulary.bar) is None
        assert writer.forced() == vocabulary.ids["TimeSig_4/4"]
        assert writer.accept(vocabulary.ids["TimeSig_4/4"]) is None
        assert writer.bar == bar
    writer.accept(vocabulary.bar)
    assert writer.finished


def test_what_is_not_allowed_is_not_accepted(vocabulary: Vocabulary) -> None:
    writer = Writer(vocabulary, Plan((BarPlan(),), (0,)))
    for name in ("TimeSig_4/4", "EOS_None", "Pitch_60"):
        with pytest.raises(ValueError, match="may not come"):
            writer.accept(vocabulary.ids[name])
    assert writer.forced() == vocabulary.bar


def test_variations_lean_towards_their_reference(vocabulary: Vocabulary) -> None:
    reference = [
        Note(0, 0, 0, 60, 480, 79),
        Note(0, 0, 0, 64, 480, 79),
        Note(1, 960, 0, 67, 960, 79),
    ]
    writer = Writer(
        vocabulary, Plan((BarPlan(),) * 2, (0,), reference=tuple(reference), reference_strength=3)
    )
    notes: list[Note] = []
    while not writer.finished:
        token = writer.forced()
        if token is None:
            hints = writer.bias()
            assert hints is not None
            assert set(hints[1].tolist()) == {3.0}
            token = next(i for i in hints[0].tolist() if i in writer.allowed())
        notes += [note for note in [writer.accept(token)] if note]
    assert notes == reference


def test_nobody_rests_for_longer_than_is_asked(vocabulary: Vocabulary) -> None:
    """Who follows every hint hears all instruments at once, and again after so many bars."""
    plan = Plan((BarPlan(),) * 6, (DRUMS, 0, 33), longest_rest=2)
    writer = Writer(vocabulary, plan)
    began: dict[int, list[int]] = {program: [] for program in plan.programs}
    while not writer.finished:
        allowed, hints = writer.allowed(), writer.bias()
        logits = np.zeros(len(vocabulary.all), np.float32)
        logits[vocabulary.position.start] = 2.0  # one downbeat a bar, and on to the next
        logits[vocabulary.bar] = 1.0
        if hints is not None:
            logits[hints[0]] += hints[1]
        note = writer.accept(int(allowed[np.argmax(logits[allowed])]))
        if note is not None:
            began[note.program].append(note.bar)
    for bars in began.values():
        assert bars[0] == 0
        assert all(later - earlier <= 3 for earlier, later in pairwise(bars))
        assert bars[-1] >= 3


@pytest.mark.parametrize(
    "change",
    [
        {"bars": ()},
        {"programs": ()},
        {"programs": (128,)},
        {"low": 70, "high": 60},
        {"high": 128},
        {"key": frozenset([1]), "low": 60, "high": 60},
        {"low": 61, "high": 63},
        {"key": frozenset([2])},
        {"density": 0.0},
        {"density": float("nan")},
        {"polyphony": 0},
        {"chord_share": 1.1},
        {"min_notes": -1},
        {"longest_rest": -1},
        {"start": 3840},
        {"reference_strength": float("inf")},
    ],
    ids=str,
)
def test_impossible_plans_are_refused(change: dict[str, object]) -> None:
    plan = Plan((BarPlan(chords=(ChordSpan(0, 3840, TRIAD),)),), (0,))
    with pytest.raises(SidemanError) as caught:
        replace(plan, **change)  # type: ignore[arg-type]
    assert caught.value.code is Code.BAD_ARGUMENTS


def test_drums_know_no_key_range_or_chord(vocabulary: Vocabulary) -> None:
    bar = BarPlan(chords=(ChordSpan(0, 3840, frozenset([6])),))
    plan = Plan((bar,), (DRUMS,), key=frozenset([0]), low=0, high=1, density=8.0)
    _, notes = play(Writer(vocabulary, plan), random.Random(1))
    assert len({note.pitch % 12 for note in notes}) > 4


def test_a_plan_beyond_the_vocabulary_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(SidemanError, match="widen the range"):
        Writer(vocabulary, Plan((BarPlan(),), (0,), low=120))


@pytest.mark.parametrize("meter", [Meter(1, 64), Meter(1, 32), Meter(64, 1), Meter(11, 8)], ids=str)
def test_odd_meters(vocabulary: Vocabulary, meter: Meter) -> None:
    plan = Plan((BarPlan(meter),) * 3, (0, DRUMS), density=2.0)
    for seed in range(5):
        _, notes = play(Writer(vocabulary, plan), random.Random(seed))
        assert notes
        for note in notes:
            assert note.bar * meter.ticks + note.tick + note.duration <= 3 * meter.ticks


def test_a_token_costs_little(vocabulary: Vocabulary) -> None:
    bar = BarPlan(chords=(ChordSpan(0, 3840, TRIAD),))
    plan = Plan((bar,) * 16, (0,), key=C_MAJOR, density=4.0, polyphony=6)
    chance = random.Random(1)
    best = 1.0
    for _ in range(3):
        writer = Writer(vocabulary, plan)
        spent, count = 0.0, 0
        while not writer.finished:
            start = time.perf_counter()
            token = writer.forced()
            allowed = writer.allowed()
            spent += time.perf_counter() - start
            token = int(allowed[chance.randrange(len(allowed))])
            start = time.perf_counter()
            writer.accept(token)
            spent += time.perf_counter() - start
            count += 1
        best = min(best, spent / count)
    assert best < 50e-6


def test_quantised_given_notes_keep_their_order(vocabulary: Vocabulary) -> None:
    notes = [Note(0, t, p, 60, 480, 80) for t in (0, 41, 79) for p in (73, DRUMS, 0)]
    written = quantise(vocabulary, vocabulary.grid(Meter()), notes)
    assert [n[:3] for n in written] == sorted(n[:3] for n in written)
