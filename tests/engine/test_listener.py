"""A listener's state is that of its context's tokens, however it came there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.listener import WINDOW_BARS, Listener, digest
from engine.models import registry
from engine.models.base import Model
from engine.music import COMMON_TIME, Meter, Note
from engine.tokens.encode import decode, encode_bar
from engine.tokens.vocabulary import Vocabulary
from tests.support.band import tune
from tests.support.tiny_model import TOKENIZER

WALTZ = Meter(3, 4)


class Snapshot(tuple[int, ...]):
    nbytes = 1000


class Diary:
    """A stream that remembers every token and nothing else."""

    batch = 1
    logits = np.zeros((1, 1), dtype=np.float32)

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.fed = 0

    def feed(self, tokens: NDArray[np.int32]) -> None:
        self.tokens += [int(token) for token in tokens]
        self.fed += len(tokens)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.tokens)

    def restore(self, snapshot: Snapshot) -> None:
        self.tokens = list(snapshot)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load(TOKENIZER)


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def listener(vocabulary: Vocabulary, diary: Diary) -> Listener:
    return Listener(vocabulary, diary, prelude=[1])  # type: ignore[arg-type]


def flat(listener: Listener, end: int) -> list[int]:
    return [token for bar in listener.tokens(end) for token in bar]


def play(listener: Listener, bars: range, meter: Meter = COMMON_TIME) -> None:
    for bar in bars:
        listener.hear(bar, meter, tune(bar, (60 + bar % 12, 64)))


def arrive(listener: Listener, end: int, limit: int = 32) -> int:
    fed = 0
    while moved := listener.approach(end, limit):
        assert moved <= limit
        fed += moved
    return fed


def test_the_context_is_what_was_heard_bar_by_bar(
    listener: Listener, vocabulary: Vocabulary
) -> None:
    play(listener, range(3))
    assert listener.tokens(3) == [
        [1],
        *(encode_bar(vocabulary, COMMON_TIME, tune(bar, (60 + bar, 64))) for bar in range(3)),
    ]


def test_only_what_lies_before_the_end_is_heard(listener: Listener) -> None:
    play(listener, range(6))
    assert len(listener.tokens(4)) == 1 + 4
    assert listener.tokens(0) == [[1]]
    assert listener.tokens(-5) == [[1]]


def test_silence_around_the_music_is_left_out_and_inside_it_kept(
    listener: Listener, vocabulary: Vocabulary
) -> None:
    listener.hear(2, COMMON_TIME, [])
    listener.hear(3, WALTZ, tune(3, (60,)))
    listener.hear(6, COMMON_TIME, tune(6))
    listener.hear(9, COMMON_TIME, [])
    waltz = encode_bar(vocabulary, WALTZ, [])
    # A bar that nobody spoke of has the meter of the last one that somebody did.
    assert listener.tokens(20)[2:4] == [waltz, waltz]
    assert len(listener.tokens(20)) == 1 + 4
    listener.hear(4, COMMON_TIME, [])
    assert listener.tokens(20)[2] == encode_bar(vocabulary, COMMON_TIME, [])


@given(end=st.integers(-10, 500))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_window_holds_enough_and_moves_seldom(listener: Listener, end: int) -> None:
    for bar in range(max(0, end - 2 * WINDOW_BARS - 3), max(0, end)):
        listener.hear(bar, COMMON_TIME, tune(bar))
    count = len(listener.tokens(end)) - 1
    assert min(max(end, 0), WINDOW_BARS) <= count < 2 * WINDOW_BARS
    first = max(end, 0) - count
    assert first % WINDOW_BARS == 0 or first == 0
    listener.forget()


def test_going_on_by_a_bar_feeds_that_bar_alone(listener: Listener, diary: Diary) -> None:
    play(listener, range(WINDOW_BARS))
    arrive(listener, WINDOW_BARS)
    for bar in range(WINDOW_BARS, 2 * WINDOW_BARS - 1):
        play(listener, range(bar, bar + 1))
        assert arrive(listener, bar + 1) == len(listener.tokens(bar + 1)[-1])


def test_the_context_after_the_window_has_moved_is_made_ahead(
    listener: Listener, diary: Diary
) -> None:
    for bar in range(2 * WINDOW_BARS):
        play(listener, range(bar, bar + 1))
        while listener.advance(32):
            pass
    # The context of the next bar line begins 32 bars later, and only its last bar is to be fed.
    before = diary.fed
    arrive(listener, 2 * WINDOW_BARS)
    assert diary.tokens == flat(listener, 2 * WINDOW_BARS)
    assert diary.fed == before


def test_going_back_feeds_nothing(listener: Listener, diary: Diary) -> None:
    play(listener, range(10))
    arrive(listener, 10)
    for end in (5, 1, 8, 0, 10):
        assert arrive(listener, end) == 0
        assert diary.tokens == flat(listener, end)


def test_what_changes_late_in_a_bar_leaves_its_beginning(listener: Listener, diary: Diary) -> None:
    busy = [Note(0, 240 * i, 0, 60 + i, 240, 90) for i in range(16)]
    listener.hear(0, COMMON_TIME, busy)
    arrive(listener, 1)
    listener.hear(0, COMMON_TIME, [*busy[:-1], Note(0, 3600, 0, 40, 240, 90)])
    assert arrive(listener, 1) < 20 < len(flat(listener, 1)) - 40
    assert diary.tokens == flat(listener, 1)


def test_taking_back_a_change_feeds_nothing(listener: Listener, diary: Diary) -> None:
    play(listener, range(8))
    arrive(listener, 8)
    before = diary.fed
    listener.hear(4, COMMON_TIME, tune(4, (20, 21, 22)))
    arrive(listener, 8)
    assert diary.fed > before
    before = diary.fed
    play(listener, range(4, 5))
    assert arrive(listener, 8) == 0
    assert diary.fed == before


def test_marks_and_digests_are_those_of_the_context(listener: Listener) -> None:
    play(listener, range(4))
    mark, name = listener.mark(4), digest(listener.tokens(4))
    assert (listener.mark(9), digest(listener.tokens(9))) == (mark, name)
    assert listener.mark(3) != mark
    listener.hear(1, COMMON_TIME, [])
    assert listener.mark(4) != mark
    assert digest(listener.tokens(4)) != name
    play(listener, range(1, 2))
    assert (listener.mark(4), digest(listener.tokens(4))) == (mark, name)


@pytest.mark.parametrize("budget", [1, 3_000, 20_000])
def test_memory_is_bounded(vocabulary: Vocabulary, diary: Diary, budget: int) -> None:
    listener = Listener(vocabulary, diary, prelude=[1], memory=budget)  # type: ignore[arg-type]
    for bar in range(40):
        play(listener, range(bar, bar + 1))
        arrive(listener, bar + 1)
        kept = listener._snapshots
        assert len(kept) <= max(2, budget // Snapshot.nbytes)
        assert listener._used == len(kept) * Snapshot.nbytes
        assert diary.tokens == flat(listener, bar + 1)


bars = st.integers(0, 70)
tunes = st.lists(
    st.builds(
        Note,
        st.just(0),
        st.integers(0, 2879),
        st.sampled_from([0, 32, -1]),
        st.integers(36, 80),
        st.integers(1, 4000),
        st.integers(1, 127),
    ),
    max_size=4,
)
moves = st.one_of(
    st.tuples(st.just("hear"), bars, st.sampled_from([COMMON_TIME, WALTZ]), tunes),
    st.tuples(st.just("go"), bars, st.integers(1, 60)),
    st.tuples(st.just("advance"), st.integers(1, 60)),
    st.tuples(st.just("forget")),
)


@given(st.lists(moves, max_size=40), st.sampled_from([1_000, 6_000, 10**9]), bars)
@settings(max_examples=60, deadline=None)
def test_however_it_came_there_its_state_is_that_of_its_context(
    vocabulary: Vocabulary, story: list[tuple], memory: int, last: int
) -> None:
    diary = Diary()
    listener = Listener(vocabulary, diary, prelude=[1], memory=memory)  # type: ignore[arg-type]
    heard: dict[int, tuple[Meter, list[Note]]] = {}
    for kind, *rest in [*story, ("go", last, 10**6)]:
        if kind == "hear":
            bar, meter, notes = rest
            listener.hear(bar, meter, notes)
            heard[bar] = (meter, notes)
        elif kind == "forget":
            listener.forget()
            heard.clear()
        elif kind == "advance":
            for _ in range(2000):
                if not listener.advance(rest[0]):
                    break
            else:
                raise AssertionError("it never comes to rest")
        else:
            end, limit = rest
            arrive(listener, end, limit)
            assert diary.tokens == flat(listener, end)
    fresh = Listener(vocabulary, Diary(), prelude=[1])  # type: ignore[arg-type]
    for bar, (meter, notes) in heard.items():
        fresh.hear(bar, meter, notes)
    assert diary.tokens == flat(fresh, last)
    assert listener.mark(last) == fresh.mark(last)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    model = registry.load(tiny_model)
    model.warm_up()
    return model


@given(
    story=st.lists(st.tuples(st.integers(0, 7), tunes, st.integers(0, 8)), max_size=8),
    limit=st.integers(1, 40),
)
@settings(max_examples=25, deadline=None)
def test_a_models_logits_are_bit_by_bit_those_of_the_tokens(
    model: Model, vocabulary: Vocabulary, story: list[tuple], limit: int
) -> None:
    listener = Listener(vocabulary, model.open(), memory=5 * model.open().snapshot().nbytes)
    for bar, notes, end in story:
        listener.hear(bar, COMMON_TIME, notes)
        arrive(listener, end, limit)
    arrive(listener, 8, limit)
    fresh = model.open()
    fresh.feed(flat(listener, 8))
    assert np.array_equal(listener.stream.logits, fresh.logits)


def test_what_was_heard_can_be_read_back(listener: Listener, vocabulary: Vocabulary) -> None:
    play(listener, range(2, 5))
    notes = decode(vocabulary, flat(listener, 9)[1:])
    assert [(n.bar, n.tick, n.pitch) for n in notes] == [
        (bar - 2, tick, pitch) for bar in range(2, 5) for tick, pitch in ((0, 60 + bar), (960, 64))
    ]
