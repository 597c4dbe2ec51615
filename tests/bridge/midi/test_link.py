"""What the engine remembers for a process that may die."""

from __future__ import annotations

import pytest

from bridge.midi import wire
from bridge.midi.link import BACK_OFF, Link
from engine.timing import Course, Timed
from engine.triggers import Trigger
from engine.worker.wire import Message

OPENING = wire.Open("jack", [wire.Port("out", "Sideman Out", True)])


class FakeLine:
    pid = 1

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.closed = False

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def close(self, timeout: float = 1.0) -> None:
        self.closed = True


class Starter:
    def __init__(self) -> None:
        self.lines: list[FakeLine] = []
        self.refuses = False

    def __call__(self) -> FakeLine:
        if self.refuses:
            raise OSError("no more processes")
        self.lines.append(FakeLine())
        return self.lines[-1]


@pytest.fixture
def start() -> Starter:
    return Starter()


def playing(tick: float, seconds: float = 0.0) -> Course:
    return Course(seconds, tick, 1920.0, True)


def note(onset: int, end: int, pitch: int) -> Timed:
    return Timed(onset, end, 1, pitch, 90)


def test_the_ports_are_opened_first(start: Starter) -> None:
    Link(start, OPENING)
    assert start.lines[0].sent[0] == OPENING


def test_a_new_process_is_told_what_is_to_come_and_what_has_to_end(start: Starter) -> None:
    link = Link(start, OPENING)
    link.follow(playing(0.0))
    link.play(1, [note(0, 3000, 60), note(1920, 2000, 62), note(5000, 6000, 64)], 0.25)
    link.receive(start.lines[0], None, 1.5)  # at tick 2880
    again = start.lines[1].sent
    assert again[0] == OPENING
    assert again[1] == wire.PanicBy([])
    assert again[2] == wire.Follow.of(playing(0.0))
    assert again[3] == wire.Release([(1, 60), (1, 62)])
    assert again[4:] == [wire.Play(1, [note(5000, 6000, 64)], 0.25)]


def test_what_was_cut_is_not_promised_again(start: Starter) -> None:
    link = Link(start, OPENING)
    link.follow(playing(0.0))
    link.play(1, [note(5000, 6000, 60), note(9000, 9500, 62)])
    link.play(2, [note(5000, 6000, 72)])
    link.cut(1, 4000, 8000, sounding=False)
    link.receive(start.lines[0], None, 0.0)
    plays = [m for m in start.lines[1].sent if isinstance(m, wire.Play)]
    assert [m.notes[0].pitch for m in plays] == [62, 72]


def test_a_process_that_cannot_start_is_tried_again(start: Starter) -> None:
    link = Link(start, OPENING)
    start.refuses = True
    link.receive(start.lines[0], None, 10.0)
    moment = link.next_moment()
    assert moment is not None and 0 < moment - 10.0 <= BACK_OFF[-1]
    start.refuses = False
    link.tick(moment)
    assert len(start.lines) == 2 and link.next_moment() is None


def test_processes_that_die_at_once_are_started_ever_more_slowly(start: Starter) -> None:
    link, now, waits = Link(start, OPENING), 0.0, []
    for _ in BACK_OFF:
        link.receive(start.lines[-1], None, now)
        moment = link.next_moment()
        waits.append(0.0 if moment is None else moment - now)
        now = now if moment is None else moment
        link.tick(now)
    assert waits == pytest.approx(list(BACK_OFF))
    link.receive(start.lines[-1], wire.Opened("jack"), now)
    link.receive(start.lines[-1], None, now)
    assert link.next_moment() is None, "one that worked is replaced at once"


def test_a_dead_process_has_no_say(start: Starter) -> None:
    link = Link(start, OPENING)
    link.receive(start.lines[0], None, 0.0)
    assert not link.receive(start.lines[0], wire.Opened("jack"), 0.0)


def test_a_course_that_leads_to_the_same_place_is_told_once(start: Starter) -> None:
    link = Link(start, OPENING)
    for second in range(5):
        link.follow(playing(1920.0 * second, float(second)))
    assert sum(isinstance(m, wire.Follow) for m in start.lines[0].sent) == 2  # with the first one
    link.follow(playing(9600.0 + 2.0, 5.0))
    assert isinstance(start.lines[0].sent[-1], wire.Follow)


def test_what_was_played_is_forgotten_in_time(start: Starter) -> None:
    link = Link(start, OPENING)
    link.follow(playing(0.0))
    for n in range(5000):
        link.play(1, [note(n * 10, n * 10 + 5, 60)])
        link.tick(n * 10 / 1920.0)
    assert len(link._promised) < 1000


def test_closing_lets_the_process_end_its_notes(start: Starter) -> None:
    link = Link(start, OPENING)
    link.close()
    assert start.lines[0].closed
    link.silence()  # nobody is there, and nobody minds


def test_panic_does_not_wait_and_its_triggers_are_known_to_the_next_process(start: Starter) -> None:
    link = Link(start, OPENING)
    panics = [Trigger.parse(text) for text in ("16 note 41", "2 cc 7", "1 program 3", "1 bend")]
    link.panic_by(panics)
    link.silence_now()
    assert isinstance(start.lines[0].sent[-1], wire.Silence)
    link.receive(start.lines[0], None, 0.0)
    assert wire.PanicBy(panics) in start.lines[1].sent
