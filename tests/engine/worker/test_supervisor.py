"""One worker kept alive: lines that do what they are told, and time moved by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from engine.worker import wire
from engine.worker.supervisor import BACK_OFF, HANG_SECONDS, LOAD_SECONDS, PING_EVERY, Supervisor


@dataclass(eq=False)
class Line:
    pid: int
    sent: list[wire.Message] = field(default_factory=list)
    killed: bool = False
    closed: bool = False

    def send(self, message: wire.Message) -> None:
        self.sent.append(message)

    def kill(self) -> None:
        self.killed = True

    def close(self, timeout: float = 1.0) -> None:
        self.closed = True


class Stage:
    """A supervisor, its lines, and what it tells of them."""

    def __init__(self) -> None:
        self.now = 50.0
        self.lines: list[Line] = []
        self.told: list[str] = []
        self.waits_when_died: list[float] = []
        self.cannot_start = 0
        self.supervisor = Supervisor(self._start, self)

    def _start(self) -> Line:
        if self.cannot_start:
            self.cannot_start -= 1
            raise OSError("no more processes")
        self.lines.append(Line(1000 + len(self.lines)))
        return self.lines[-1]

    # As a listener

    def worker_ready(self, loaded: wire.Loaded, now: float) -> None:
        self.told.append(f"ready {loaded.model}")
        self.supervisor.send(wire.Cancel(0))

    def worker_died(self, now: float) -> None:
        self.told.append("died")
        self.waits_when_died.append(self.supervisor.wait_seconds)

    def worker_says(self, message: wire.FromWorker, now: float) -> None:
        self.told.append(type(message).__name__)

    def model_failed(self, failed: wire.Failed, now: float) -> None:
        self.told.append(f"failed {failed.model}")

    # By hand

    def load(self, model: str = "m") -> None:
        self.supervisor.load(model, f"/models/{model}", "cpu", self.now)

    def say(self, message: wire.FromWorker | None, line: Line | None = None) -> None:
        self.supervisor.receive(line or self.lines[-1], message, self.now)

    def loaded(self, model: str = "m", step: float = 0.002) -> None:
        self.say(wire.Loaded(model, "numpy", "float32", "00", step))

    def wait(self, seconds: float, *, answer: bool = False) -> None:
        end = self.now + seconds
        while self.now < end:
            moment = self.supervisor.next_moment()
            self.now = end if moment is None else min(end, max(moment, self.now + 1e-6))
            alive = len(self.lines)
            self.supervisor.tick(self.now)
            if answer and len(self.lines) == alive and self.pings():
                self.say(wire.Pong(self.pings()[-1]))

    def pings(self) -> list[int]:
        return [m.n for m in self.lines[-1].sent if isinstance(m, wire.Ping)]

    def loads(self, line: int = -1) -> list[str]:
        return [m.model for m in self.lines[line].sent if isinstance(m, wire.Load)]


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def live(stage: Stage) -> Stage:
    stage.load()
    stage.wait(0.4)
    stage.loaded()
    return stage


def test_a_worker_is_started_for_the_first_model_and_ready_once_it_has_it(stage: Stage) -> None:
    assert not stage.supervisor.ready
    stage.load()
    assert stage.loads() == ["m"]
    assert not stage.supervisor.ready
    stage.loaded(step=0.003)
    assert stage.supervisor.ready
    assert stage.supervisor.step_seconds == 0.003
    assert stage.supervisor.loaded("m") is not None
    assert stage.told == ["ready m"]


def test_nothing_is_sent_before_it_is_ready(stage: Stage) -> None:
    stage.load()
    stage.supervisor.send(wire.Cancel(1))
    stage.loaded()
    stage.supervisor.send(wire.Cancel(2))
    assert [m.job for m in stage.lines[0].sent if isinstance(m, wire.Cancel)] == [0, 2]


def test_a_model_that_is_being_loaded_is_not_asked_for_twice(live: Stage) -> None:
    live.load("second")
    live.load("second")
    live.load("m")
    assert live.loads() == ["m", "second"]


def test_a_second_model_makes_nobody_forget_what_was_heard(live: Stage) -> None:
    live.load("second")
    live.loaded("second")
    assert live.told == ["ready m"]
    assert live.supervisor.loaded("second") is not None


def test_what_is_left_of_a_loading_is_known_from_the_last_one(live: Stage) -> None:
    assert live.supervisor.wait_seconds == 0.0
    live.load("second")
    assert live.supervisor.wait_seconds == pytest.approx(0.4)
    live.wait(0.3)
    assert live.supervisor.wait_seconds == pytest.approx(0.1)
    live.wait(5.0)
    assert live.supervisor.wait_seconds == pytest.approx(0.05)
    live.loaded("second")
    assert live.supervisor.wait_seconds == 0.0


def test_a_model_that_nobody_wants_any_more_does_not_count_as_loaded(live: Stage) -> None:
    live.load("second")
    live.supervisor.unload("second")
    live.loaded("second")
    assert live.supervisor.loaded("second") is None
    live.load("second")
    assert live.loads() == ["m", "second", "second"]


def test_a_worker_that_dies_is_replaced_at_once_and_gets_all_models(live: Stage) -> None:
    live.load("second")
    live.loaded("second")
    live.say(wire.Pong(0))
    live.say(None)
    assert live.told == ["ready m", "died"]
    assert live.supervisor.restarts == 1
    assert len(live.lines) == 2
    assert live.loads() == ["m", "second"]
    assert not live.supervisor.ready
    live.loaded()
    assert live.told == ["ready m", "died", "ready m"]


def test_who_is_told_of_a_death_knows_when_the_next_one_will_be_there(live: Stage) -> None:
    live.say(None)
    assert live.waits_when_died == [pytest.approx(0.4)]


def test_what_a_dead_worker_still_says_is_not_heard(live: Stage) -> None:
    first = live.lines[0]
    live.say(None)
    live.loaded()
    live.say(wire.JobDone(1, 1, 0.0), first)
    live.say(None, first)
    assert live.told == ["ready m", "died", "ready m"]
    assert live.supervisor.ready


def test_a_worker_that_answers_lives(live: Stage) -> None:
    live.wait(60.0, answer=True)
    assert len(live.lines) == 1
    assert live.pings() == list(range(1, 1 + len(live.pings())))
    assert len(live.pings()) == pytest.approx(60.0 / PING_EVERY, abs=2)


def test_a_worker_that_does_not_answer_is_killed_and_replaced(live: Stage) -> None:
    live.wait(HANG_SECONDS - 0.2)
    assert not live.lines[0].killed
    live.wait(1.5)
    assert live.lines[0].killed
    assert live.told == ["ready m", "died"]
    assert len(live.lines) == 2


def test_loading_may_take_longer_than_an_answer(stage: Stage) -> None:
    stage.load()
    stage.wait(LOAD_SECONDS - 1.0)
    assert not stage.lines[0].killed
    stage.loaded()
    # The pings of the meantime are answered right after it, but not before the next tick.
    stage.wait(0.01)
    assert not stage.lines[0].killed
    stage.say(wire.Pong(stage.pings()[-1]))
    stage.wait(1.0, answer=True)
    assert len(stage.lines) == 1


def test_a_worker_that_never_ends_loading_is_replaced(stage: Stage) -> None:
    stage.load()
    stage.wait(LOAD_SECONDS + 2.0)
    assert stage.lines[0].killed
    assert stage.told == ["died"]


def test_a_worker_is_not_killed_because_the_engine_slept(live: Stage) -> None:
    live.wait(PING_EVERY + 0.01)
    assert live.pings()
    live.now += 30.0
    live.supervisor.tick(live.now)
    assert not live.lines[0].killed
    live.say(wire.Pong(live.pings()[-1]))
    live.wait(5.0, answer=True)
    assert len(live.lines) == 1


def test_a_worker_that_cannot_start_is_tried_again_ever_more_seldom(stage: Stage) -> None:
    stage.load()
    starts = []
    for _ in range(9):
        starts.append(stage.now)
        count = len(stage.lines)
        stage.say(None)
        while len(stage.lines) == count:
            stage.wait(0.05)
    pauses = [b - a for a, b in pairwise(starts)]
    assert pauses == [pytest.approx(BACK_OFF[min(i, 6)], abs=0.11) for i in range(1, 9)]
    # Nobody who asks meanwhile makes it start earlier.
    stage.say(None)
    count = len(stage.lines)
    stage.load("second")
    assert len(stage.lines) == count
    stage.wait(BACK_OFF[-1] + 0.1)
    assert stage.loads() == ["m", "second"]
    # Once it has come up, a death is an accident again.
    stage.loaded()
    stage.loaded("second")
    stage.say(None)
    assert len(stage.lines) == count + 2


def test_a_process_that_cannot_be_made_is_tried_again(stage: Stage) -> None:
    stage.cannot_start = 3
    stage.load()
    assert not stage.lines
    stage.wait(3.0)
    assert stage.loads() == ["m"]
    stage.loaded()
    assert stage.told == ["ready m"]


def test_a_model_that_fails_is_not_loaded_into_the_next_worker(live: Stage) -> None:
    live.load("broken")
    live.say(wire.Failed("broken", "bad-file", "it is empty"))
    assert live.told == ["ready m", "failed broken"]
    assert live.supervisor.wait_seconds == 0.0
    live.say(None)
    assert live.loads() == ["m"]
    live.load("broken")
    assert live.loads() == ["m", "broken"]


def test_a_load_that_fails_late_is_no_hanging(live: Stage) -> None:
    live.load("broken")
    live.wait(20.0)
    live.say(wire.Failed("broken", "bad-file", "its hash is wrong"))
    live.wait(0.1)
    assert not live.lines[0].killed


def test_unloading(live: Stage) -> None:
    live.supervisor.unload("m")
    assert live.lines[0].sent[-1] == wire.Unload("m")
    assert not live.supervisor.ready
    live.say(None)
    assert live.loads() == []


def test_the_end(live: Stage) -> None:
    live.supervisor.close()
    assert live.lines[0].closed
    assert live.supervisor.pid is None
    live.say(None)
    live.wait(10.0)
    assert len(live.lines) == 1
    assert live.told == ["ready m"]


def test_what_a_worker_says_of_requests_is_handed_on(live: Stage) -> None:
    live.say(wire.Started(1, 4, False))
    live.say(wire.Made(1, 0, []))
    live.say(wire.Pong(1))
    assert live.told == ["ready m", "Started", "Made"]
