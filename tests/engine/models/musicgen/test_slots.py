"""Buffers that are lent: to one at a time, whoever ends a stream, and whenever."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from engine.models.audio import Sampling
from engine.models.musicgen import slots as module
from engine.models.musicgen.slots import KEPT, Size, Slots


class Tensor:
    def zero_(self) -> None:
        pass

    def fill_(self, value: float) -> None:
        pass


class Buffers:
    nbytes = 10

    def __init__(self) -> None:
        self.past = self.temperature = self.top_p = Tensor()


class Slot:
    """As little of one as is lent, and who has it."""

    def __init__(self, packed: Any, size: Size, sampling: Sampling) -> None:
        self.size, self.buffers = size, Buffers()
        self.held = threading.Lock()


class Stream:
    """Holds a slot until it is collected, which takes a collection: it is part of a circle."""

    def __init__(self, slots: Slots, size: Size) -> None:
        self.slot: Any = slots.take(size, Sampling())
        self.circle = self
        assert self.slot.held.acquire(blocking=False), "lent to two at once"
        weakref.finalize(self, _end, slots, self.slot)


def _end(slots: Slots, slot: Any) -> None:
    slot.held.release()
    slots.give_back(slot)


@pytest.fixture
def slots(monkeypatch: pytest.MonkeyPatch) -> Slots:
    monkeypatch.setattr(module, "Slot", Slot)
    return Slots(None)  # type: ignore[arg-type]


@pytest.fixture
def restless() -> Iterator[None]:
    """Garbage is collected at nearly every object that is made."""
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    yield
    gc.set_threshold(*before)


def size(number: int) -> Size:
    return Size(number, (), 64, 32, False, 250, False)


def test_the_last_ones_given_back_wait_in_their_order(slots: Slots) -> None:
    taken = [slots.take(size(n), Sampling()) for n in range(KEPT + 2)]
    for slot in taken:
        slots.give_back(slot)
    assert slots.nbytes == 10 * KEPT
    assert slots.take(size(3), Sampling()) is taken[3]
    slots.give_back(taken[0])
    slots.give_back(taken[1])
    assert slots.take(size(2), Sampling()) is not taken[2], "it was the oldest"
    assert slots.take(size(4), Sampling()) is taken[4]
    slots.clear()
    assert slots.nbytes == 0


def test_a_stream_may_end_while_the_others_are_counted(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Collecting garbage gives back slots of other sizes, in the middle of anything."""
    more = iter(range(100, 200))

    def nbytes(_: Buffers) -> int:
        slots.give_back(Slot(None, size(next(more)), Sampling()))  # type: ignore[arg-type]
        return 10

    for number in range(3):
        slots.give_back(Slot(None, size(number), Sampling()))  # type: ignore[arg-type]
    monkeypatch.setattr(Buffers, "nbytes", property(nbytes))
    assert slots.nbytes == 30


def test_threads_and_garbage_collection_share_them(slots: Slots, restless: None) -> None:
    begin, problems = threading.Barrier(4), []

    def play(number: int) -> None:
        begin.wait()
        try:
            for turn in range(300):
                Stream(slots, size((number + turn) % 3))
                if turn % 7 == 0:
                    assert 0 <= slots.nbytes <= 10 * KEPT
                if turn % 50 == 49:
                    slots.clear()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=play, args=(n,), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads), "they wait for each other"
    assert problems == []
    gc.collect()
    assert slots.nbytes <= 10 * KEPT
