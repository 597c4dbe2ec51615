"""The song's own past: the same however it was come by, causal, and worth something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.recall import blend, chains, contexts, loops, together
from engine.recall.bars import Signs, Struck
from engine.recall.compiled import loops as compile_loops
from engine.recall.contexts import COUNT
from engine.recall.gate import Gate
from engine.recall.habit import Habit
from engine.recall.memory import (
    ALL,
    FEWEST,
    KNOWN,
    Findings,
    Memory,
    Past,
    Recollection,
)
from engine.recall.refrain import Course, Refrain
from engine.tokens.vocabulary import Vocabulary
from engine.worker.wire import Room, Wish
from tests.support.tiny_model import GATE, TOKENIZER

PLAIN = loops.Loops(
    contexts.walk, chains.link, chains.unlink, blend.blend, together.advance, together.mix
)
VOCABULARY = Vocabulary.load(TOKENIZER)
SIZE = len(VOCABULARY)
KINDS = contexts.kinds_of(VOCABULARY)
GATE_OF_MODEL = Gate.load(GATE)

few = st.sampled_from(
    [VOCABULARY.bar, VOCABULARY.time_signature[3], *VOCABULARY.position[:3],
     *VOCABULARY.program[:2], *VOCABULARY.pitch[40:43], *VOCABULARY.velocity[7:9],
     *VOCABULARY.duration[:2]]
)  # fmt: skip
passages = st.lists(st.lists(few, min_size=1, max_size=12), max_size=8)


@pytest.fixture(autouse=True)
def _compiled() -> None:
    loops.use_compiled()


def named(bars: Sequence[Sequence[int]]) -> list[tuple[int, list[int]]]:
    """Bars with running hashes, as a listener gives them."""
    running, found = 0, []
    for bar in bars:
        running = hash((running, *bar))
        found.append((running, list(bar)))
    return found


def remembering(bars: Sequence[Sequence[int]]) -> Memory:
    memory = Memory(VOCABULARY, GATE_OF_MODEL)
    memory.follow(named(bars))
    return memory


def plain(memory: Memory, takes: int = 1, says: np.ndarray = ALL) -> Recollection:
    """The mixture alone: no bar is to be repeated."""
    courses = [
        Course(lambda bars: None, Habit([], 1, 1, number), Signs.of(VOCABULARY), {0})
        for number in range(takes)
    ]
    return Recollection(memory._past, memory.gate, courses, says)


def wish(*programs: int, **more: Any) -> Wish:
    numbers = [VOCABULARY.programs[program] for program in programs]
    first = Wish(context_end=0, rooms=[Room(4, 4, [], [])] * 8, programs=numbers, seed=3)
    return replace(first, **more)


def expected(recollection: Recollection, rows: int = 1) -> np.ndarray:
    """From a network that has no opinion."""
    return recollection.expect(np.zeros((rows, SIZE), dtype=np.float32))


def logits(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (1, SIZE)).astype(np.float32)


def alone(network: np.ndarray) -> np.ndarray:
    """The network's own log-probabilities."""
    chances = np.exp(network.astype(np.float64))
    found: np.ndarray = np.log(chances / chances.sum())
    return found


class TestFollow:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(passages, min_size=1, max_size=5))
    def test_however_it_was_come_by(self, histories: list[list[list[int]]]) -> None:
        memory = Memory(VOCABULARY, GATE_OF_MODEL)
        for history in histories:
            memory.follow(named(history))
        fresh = remembering(histories[-1])
        assert len(memory) == len(fresh) == sum(map(len, histories[-1]))
        np.testing.assert_array_equal(expected(plain(memory)), expected(plain(fresh)))

    @settings(max_examples=30, deadline=None)
    @given(passages, passages)
    def test_who_reads_keeps_what_was(
        self, before: list[list[int]], after: list[list[int]]
    ) -> None:
        memory = remembering(before)
        recollection = plain(memory)
        first = expected(recollection).copy()
        memory.follow(named(after))
        np.testing.assert_array_equal(expected(recollection), first)
        np.testing.assert_array_equal(expected(plain(memory)), expected(plain(remembering(after))))

    def test_room_is_made(self) -> None:
        bar = [VOCABULARY.bar, *VOCABULARY.position[:40]]
        memory = remembering([bar] * (2 * FEWEST // len(bar)))
        assert len(memory) > FEWEST
        chances = np.exp(expected(plain(memory))[0])
        assert chances.argmax() == VOCABULARY.bar

    def test_what_was_taken_back_does_not_fill_the_table(self) -> None:
        """Each note of a jam makes another context of the open bar; a table that is full hangs."""
        memory = Memory(VOCABULARY, GATE_OF_MODEL)
        random = np.random.default_rng(1)
        for _ in range(120):
            bars = [random.integers(0, SIZE, 200).tolist() for _ in range(4)]
            memory.follow(named(bars))
            assert memory._past.filled <= 0.75 * len(memory._past.keys)
        assert len(memory._past.tokens) == FEWEST
        np.testing.assert_array_equal(expected(plain(memory)), expected(plain(remembering(bars))))

    def test_what_is_the_same_is_not_done_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        memory = remembering([[1, 2, 3]] * 4)
        added: list[int] = []
        add = Past.add
        monkeypatch.setattr(
            Past, "add", lambda past, tokens: (added.append(len(tokens)), add(past, tokens))[1]
        )
        memory.follow(named([[1, 2, 3]] * 4))
        assert added == []
        memory.follow(named([[1, 2, 3]] * 4 + [[5, 6]]))
        assert added == [2]


def sounding(pitch: int, velocity: int = 8, duration: int = 3) -> list[int]:
    v = VOCABULARY
    return [v.bar, v.time_signature[3], v.position[0], v.program[0], v.pitch[pitch],
            v.velocity[velocity], v.duration[duration]]  # fmt: skip


def distances(song: Sequence[Sequence[int]], *programs: int) -> list[int]:
    numbers = [VOCABULARY.programs[program] for program in programs or (0,)]
    echoes = remembering(song).outlook(numbers).echoes
    return [0 if echo is None else echo.distance for echo in echoes]


def test_distances_of_repetition() -> None:
    start, a, b, c = [1], sounding(40), sounding(41), sounding(42)
    assert distances([]) == []
    assert distances([start, a]) == []
    assert distances([start, a, a]) == [1]
    assert distances([start, a, b, a, c]) == [0, 2, 0]
    assert distances([start, *[a, b] * 12]) == [2] * 16
    assert distances([start, a, a], 4) == [0]  # of another instrument there is nothing


def test_loud_and_long_make_no_other_bar() -> None:
    assert distances([[1], sounding(40, 3, 3), sounding(40, 5, 5)]) == [1]


def test_an_outlook_is_kept_while_nothing_is_heard() -> None:
    song = [[1], *[sounding(40)] * 4]
    memory = remembering(song)
    first = memory.outlook([0])
    echoes = first.echoes
    assert memory.outlook([0]) is first
    assert memory.outlook([0]).echoes is echoes
    memory.follow(named([*song, sounding(41)]))
    assert memory.outlook([0]).echoes == remembering([*song, sounding(41)]).outlook([0]).echoes
    assert memory.outlook([0]).echoes != echoes
    memory.follow(named(song))
    assert memory.outlook([0]).echoes == echoes
    for program in range(1, 20):
        memory.outlook([program])
    assert memory.outlook([0]) is not first


class TestExpect:
    @settings(max_examples=40, deadline=None)
    @given(passages, st.integers(0, 2**32 - 1))
    def test_they_are_probabilities(self, bars: list[list[int]], seed: int) -> None:
        found = plain(remembering(bars)).expect(logits(seed))
        found = np.exp(found.astype(np.float64))
        assert found.sum() == pytest.approx(1, abs=1e-4)
        assert (found >= 0).all()

    @settings(max_examples=30, deadline=None)
    @given(passages, st.lists(few, max_size=20), st.integers(0, 2**32 - 1))
    def test_a_take_counts_as_if_it_had_been_heard(
        self, bars: list[list[int]], take: list[int], seed: int
    ) -> None:
        assume(take.count(VOCABULARY.bar) < 3)  # who repeats a bar gets bored of the past
        recollection = plain(remembering(bars))
        for token in take:
            recollection.accept([token])
        heard = plain(remembering([*bars, take] if take else bars))
        np.testing.assert_allclose(
            recollection.expect(logits(seed)), heard.expect(logits(seed)), atol=1e-5
        )

    def test_what_always_followed_is_expected(self) -> None:
        v = VOCABULARY
        bar = [v.bar, v.time_signature[3], v.position[0], v.program[0], v.pitch[40],
               v.velocity[8], v.duration[3], v.position[12], v.program[0], v.pitch[44],
               v.velocity[8], v.duration[3]]  # fmt: skip
        recollection = plain(remembering([bar] * 4))
        for token in bar:
            chances = np.exp(expected(recollection)[0])
            assert chances.argmax() == token
            assert chances[token] > 0.5
            recollection.accept([token])

    def test_without_a_past_it_is_the_network(self) -> None:
        found = plain(remembering([])).expect(logits(1))
        np.testing.assert_allclose(found, alone(logits(1)), atol=1e-5)

    def test_a_share_of_nothing_is_the_network_itself(self) -> None:
        memory = remembering([[1, 2, 3]] * 4)
        found = plain(memory, says=0 * ALL).expect(logits(1))
        np.testing.assert_allclose(found, alone(logits(1)), atol=1e-4)

    def test_a_share_lies_between(self) -> None:
        memory = remembering([[1, 2, 3]] * 4)
        none, half, whole = (
            np.exp(plain(memory, says=share * ALL).expect(logits(1))) for share in (0.0, 0.5, 1.0)
        )
        np.testing.assert_allclose(half, (none + whole) / 2, atol=1e-5)

    def test_a_stranger_may_join_in(self) -> None:
        v = VOCABULARY
        bar = [v.bar, v.time_signature[3], v.position[0], v.program[0], v.pitch[40],
               v.velocity[8], v.duration[3]]  # fmt: skip
        memory = remembering([bar] * 4)
        assert memory.recollect(wish(0))._says.tolist() == ALL.tolist()
        assert memory.recollect(wish(0, 5))._says.tolist() == KNOWN.tolist()
        known, joined = plain(memory), plain(memory, says=KNOWN)
        for token in bar:
            sure, open_ = np.exp(expected(known)[0]), np.exp(expected(joined)[0])
            if token in bar[4:]:
                assert open_[token] == pytest.approx(sure[token])
            else:
                assert open_[token] == pytest.approx(1 / SIZE, rel=1e-3)
                assert sure[token] > 10 * open_[token]
            known.accept([token])
            joined.accept([token])

    def test_takes_go_their_own_ways(self) -> None:
        bar = [VOCABULARY.bar, *VOCABULARY.position[:4]]
        memory = remembering([bar] * 4)
        both = plain(memory, 2)
        both.accept([VOCABULARY.bar, VOCABULARY.position[7]])
        first, second = np.exp(expected(both, 2))
        assert first.argmax() == VOCABULARY.position[0]
        both.keep([1])
        np.testing.assert_array_equal(np.exp(expected(both))[0], second)

    def test_a_long_take_has_room(self) -> None:
        recollection = plain(remembering([[1, 2, 3]]))
        for i in range(2000):
            recollection.accept([i % SIZE])
        assert np.isfinite(expected(recollection)).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(few, min_size=1, max_size=60), st.integers(0, 2**32 - 1))
def test_compiled_and_plain_are_the_same(tokens: list[int], seed: int) -> None:
    outcome = []
    for kind in (PLAIN, compile_loops()):
        past = Past(KINDS, 64)
        fresh = np.array(tokens, dtype=np.int32)
        past.tokens[: len(tokens)] = fresh
        state = contexts.beginning(SIZE)
        kind.walk(past.tokens, 0, len(tokens), KINDS, state, past.contexts)
        kind.link(past.contexts, 0, len(tokens), past.earlier, past.keys, past.latest)
        half = len(tokens) // 2
        kind.unlink(past.contexts, half, len(tokens), past.earlier, past.keys, past.latest)
        kind.link(past.contexts, half, len(tokens), past.earlier, past.keys, past.latest)
        chances = np.full(SIZE, 1 / SIZE, dtype=np.float32)
        findings = Findings()
        kind.blend(
            chances, int(state[0]), np.log(SIZE), 1 / SIZE,
            past.contexts[len(tokens)], past.tokens, past.earlier, past.keys, past.latest,
            np.zeros(1, np.int32), np.zeros((1, COUNT), np.int64), 0, 0,
            GATE_OF_MODEL.base, GATE_OF_MODEL.experts, *findings.arrays,
        )  # fmt: skip
        outcome.append((past, state, chances, findings))
    (past, state, chances, findings), (other, *rest) = outcome
    np.testing.assert_array_equal(past.contexts, other.contexts)
    np.testing.assert_array_equal(past.earlier, other.earlier)
    np.testing.assert_array_equal(past.latest, other.latest)
    np.testing.assert_array_equal(state, rest[0])
    np.testing.assert_allclose(chances, rest[1], rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(findings.found, rest[2].found)


@settings(max_examples=15, deadline=None)
@given(passages, st.lists(st.tuples(few, few, few), max_size=12), st.integers(0, 2**32 - 1))
def test_compiled_and_plain_takes_are_the_same(
    bars: list[list[int]], steps: list[tuple[int, ...]], seed: int
) -> None:
    network = np.random.default_rng(seed).normal(0, 3, (3, SIZE)).astype(np.float32)
    outcome = []
    for kind in (PLAIN, compile_loops()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loops, "_fastest", kind)
            recollection = plain(remembering(bars), 3)
            for i, step in enumerate(steps):
                recollection.accept([None if i == 5 else step[0], *step[1:]])
            all_of_them = recollection.expect(network).copy()
            some = recollection.expect(network, [2, 0]).copy()
            recollection.keep([2, 0])
            kept = recollection.expect(network[[2, 0]])
            np.testing.assert_array_equal(some, all_of_them[[2, 0]])
            np.testing.assert_array_equal(kept, some)
            outcome.append(all_of_them)
    np.testing.assert_allclose(*outcome, rtol=1e-4, atol=1e-5)


class TestRefrain:
    """Bars that are drawn to be repeated are."""

    def bar(self, pitch: int) -> list[int]:
        v = VOCABULARY
        note = [v.program[0], v.pitch[pitch], v.velocity[8], v.duration[3]]
        other = [v.program[4], v.pitch[pitch - 12], v.velocity[8], v.duration[3]]
        return [v.bar, v.time_signature[3], v.position[0], *note, *other, v.position[24], *other]

    def only(self, bar: Sequence[int], programs: Sequence[int]) -> list[int]:
        """Of a bar of the above, what some instruments play."""
        v = VOCABULARY
        kept = list(bar[:2])
        if 0 in programs or 4 in programs:
            kept.append(bar[2])
        kept += bar[3:7] if 0 in programs else []
        kept += bar[7:] if 4 in programs else []
        assert set(programs) <= {0, 4} and v.program[0] == bar[3]
        return kept

    def best(self, recollection: Recollection) -> int:
        """What comes next where the network would rather have something else."""
        network = np.zeros((1, SIZE), dtype=np.float32)
        network[0, VOCABULARY.position[47]] = 6.0
        return int(recollection.expect(network)[0].argmax())

    @pytest.mark.parametrize("programs", [(0, 4), (0,), (4,)])
    def test_a_bar_comes_again_for_the_instruments_of_the_take(
        self, programs: tuple[int, ...]
    ) -> None:
        song = [[1], self.bar(40), self.bar(43), *[self.bar(40), self.bar(43)] * 6]
        repeated = 0
        for seed in range(8):
            recollection = remembering(song).recollect(wish(*programs, seed=seed))
            for earlier in (song[-2], song[-1], song[-2], song[-1]):
                wanted = self.only(earlier, programs)
                recollection.accept([wanted[0]])
                recollection.accept([wanted[1]])
                made = wanted[:2]
                for token in wanted[2:]:
                    made.append(self.best(recollection))
                    recollection.accept([token])
                repeated += made == wanted
        assert repeated >= 20

    def row(self, refrain: Refrain) -> np.ndarray:
        """What a network without an opinion is urged to."""
        row = np.full(SIZE, -np.log(SIZE), dtype=np.float32)
        refrain.urge(row)
        return row

    def begun(self, held: Sequence[bool]) -> tuple[list[Struck], Refrain]:
        signs = Signs.of(VOCABULARY)
        notes = signs.read(self.bar(40))
        refrain = Refrain(notes, held, signs)
        refrain.accept(VOCABULARY.bar)
        refrain.accept(VOCABULARY.time_signature[3])
        return notes, refrain

    def test_a_note_that_was_left_out_takes_none_along(self) -> None:
        """What the grammar rules out is gone, and what stands behind it still comes."""
        v = VOCABULARY
        notes, refrain = self.begun([True] * 3)
        for token in (v.position[0], v.program[0], v.pitch[50], v.velocity[8], v.duration[3]):
            refrain.accept(token)
        assert self.row(refrain).argmax() == v.program[4]
        refrain.accept(v.program[4])
        assert self.row(refrain).argmax() == notes[1].pitch

    def test_free_notes_are_others_up_to_the_next_that_is_held(self) -> None:
        v = VOCABULARY
        notes, refrain = self.begun([False, False, True])
        assert refrain.free
        row = self.row(refrain)
        assert row[v.position[24]] == row[v.position[3]] > row[v.position[25]]
        assert row[v.bar] == row[v.position[40]] == row[v.position[25]]
        refrain.accept(v.position[0])
        refrain.accept(v.program[0])
        row = self.row(refrain)
        assert row[notes[0].pitch] < row[v.pitch[41]] == row[v.pitch[39]]
        refrain.accept(v.pitch[41])
        assert refrain.free
        np.testing.assert_array_equal(self.row(refrain), np.float32(-np.log(SIZE)))
        for token in (v.velocity[8], v.duration[3], v.position[24], v.program[0]):
            refrain.accept(token)
        refrain.accept(v.pitch[20])
        refrain.accept(v.velocity[8])
        refrain.accept(v.duration[3])
        assert self.row(refrain).argmax() == v.program[4]
        refrain.accept(v.program[4])
        assert self.row(refrain).argmax() == notes[2].pitch

    def test_a_bar_ends_where_the_earlier_one_did(self) -> None:
        v = VOCABULARY
        _, refrain = self.begun([True] * 3)
        for token in self.bar(40)[2:]:
            assert self.row(refrain).argmax() == token
            refrain.accept(token)
        assert self.row(refrain).argmax() == v.bar

    def test_elsewhere_nothing_is_expected(self) -> None:
        v = VOCABULARY
        _, refrain = self.begun([True] * 3)
        refrain.accept(v.position[3])
        np.testing.assert_array_equal(self.row(refrain), np.float32(-np.log(SIZE)))
