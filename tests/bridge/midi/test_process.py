"""The process that plays, without its ports, and as a real process that loses its engine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.midi import wire
from bridge.midi.process import Musician, play
from bridge.midi.trace import Trace, read
from engine.errors import Code, SidemanError
from engine.timing import Course, Timed
from engine.triggers import Trigger
from engine.worker.wire import Message, frame, read_frame
from tests.bridge.midi.test_ports import FakeHandle, FakeSystem

VIRTUAL = [wire.Port("in", "Sideman In", True), wire.Port("out", "Sideman Out", True)]


class Stage:
    """A musician with ports of lists."""

    def __init__(self, **opening: object) -> None:
        self.said: list[Message] = []
        self.heard: list[tuple[int, bytes]] = []
        self.system = FakeSystem()
        self.musician = Musician(
            self.said.append,
            lambda port, data, now: self.heard.append((port, data)),
            system=lambda api: self.system,
        )
        self.musician.obey(wire.Open("auto", VIRTUAL, **opening), 0.0)  # type: ignore[arg-type]

    @property
    def out(self) -> FakeHandle:
        return self.system.handles[1][1]

    @property
    def play_in(self) -> Callable[[bytes], None]:
        return self.system.handles[0][2]

    def roll(self) -> None:
        self.musician.obey(wire.Follow.of(Course(0.0, 0.0, 1920.0, True)), 0.0)


def test_it_says_which_ports_are_open() -> None:
    stage = Stage()
    assert stage.said == [
        wire.PortState(0, "Sideman In"),
        wire.PortState(1, "Sideman Out"),
        wire.Opened("fake"),
    ]


def test_it_says_why_there_is_no_midi() -> None:
    said: list[Message] = []

    def none(api: str) -> FakeSystem:
        raise SidemanError(Code.NOT_ALLOWED, "alsa: no such device")

    musician = Musician(said.append, lambda *_: None, system=none)
    musician.obey(wire.Open("auto", VIRTUAL), 0.0)
    assert said == [wire.Opened("", "alsa: no such device")]
    musician.obey(wire.Play(1, [Timed(0, 10, 1, 60, 90)]), 0.0)  # nobody hears it
    musician.close()


def test_notes_go_out_and_their_own_echo_is_not_heard() -> None:
    stage = Stage()
    stage.roll()
    stage.musician.obey(wire.Play(1, [Timed(0, 960, 1, 60, 90)]), 0.0)
    stage.musician.play(0.01)
    assert stage.out.sent == [b"\x90\x3c\x5a"]
    stage.play_in(b"\x90\x3c\x5a")
    stage.play_in(b"\x90\x3e\x5a")
    assert stage.heard == [(0, b"\x90\x3e\x5a")]


def test_thru_passes_on_what_comes_in_and_ends_it() -> None:
    stage = Stage(thru=True, echo_seconds=0.0)
    stage.play_in(b"\x90\x3c\x5a")
    stage.play_in(b"\xb0\x07\x40")
    assert stage.out.sent == [b"\x90\x3c\x5a", b"\xb0\x07\x40"]
    stage.musician.close()
    assert stage.out.sent[-1] == b"\x80\x3c\x00" and stage.out.closed


def test_midi_clock_is_sent_where_it_is_wanted() -> None:
    stage = Stage(send_clock=True)
    stage.roll()
    now = 0.0
    while (moment := stage.musician.next_moment(now)) is not None and moment < 0.5:
        now = moment
        stage.musician.play(now)
    assert stage.out.sent.count(b"\xfa") == 1
    assert stage.out.sent.count(b"\xf8") == pytest.approx(24, abs=1)
    stage.musician.obey(wire.Follow.of(Course(0.5, 960.0, 1920.0, False)), 0.5)
    stage.musician.play(0.5)
    assert b"\xfc" in stage.out.sent


def test_closing_ends_every_note() -> None:
    stage = Stage()
    stage.roll()
    stage.musician.obey(wire.Play(1, [Timed(0, 9600, 1, p, 90) for p in (60, 64, 67)]), 0.0)
    stage.musician.play(0.0)
    stage.musician.close()
    assert sorted(stage.out.sent[3:]) == [bytes((0x80, p, 0)) for p in (60, 64, 67)]


def test_a_panic_pad_does_not_wait_for_the_engine() -> None:
    pushed: list[wire.ToPlayer] = []
    system = FakeSystem()
    musician = Musician(
        lambda message: None, lambda *_: None, push=pushed.append, system=lambda api: system
    )
    musician.obey(wire.Open("auto", VIRTUAL), 0.0)
    panics = ("16 note 41", "2 cc 7", "1 program 3", "1 bend")
    musician.obey(wire.PanicBy([Trigger.parse(text) for text in panics]), 0.0)
    for data in (b"\x9f\x29\x00", b"\x8f\x29\x00", b"\xb1\x07\x10", b"\xc0\x04", b"\x9f\x29",
                 b"\xe0\x00\x40"):  # fmt: skip
        musician.hear(0, data)
    assert pushed == []
    for data in (b"\x9f\x29\x64", b"\xb1\x07\x7f", b"\xc0\x03", b"\xe0\x7f\x7f"):
        musician.hear(0, data)
    assert pushed == [wire.Silence()] * 4


def test_how_the_sending_goes_is_told() -> None:
    stage = Stage(late_seconds=0.05)
    stage.roll()
    notes = [Timed(0, 10, 1, 60, 90), Timed(1920, 1930, 1, 62, 90)]
    stage.musician.obey(wire.Play(1, notes), 0.0)
    stage.musician.play(1.0)
    stage.musician.rest(1.0, 0.001)
    sent = stage.said[-1]
    assert isinstance(sent, wire.Sent)
    assert (sent.notes, sent.dropped) == (1, 1)


class Waiting:
    """An inbox whose messages are all there; it closes when they have been taken."""

    def __init__(self, *messages: wire.ToPlayer) -> None:
        self.messages = list(messages)
        self.closed = False

    def take(self) -> wire.ToPlayer | None:
        self.closed = not self.messages
        return None if self.closed else self.messages.pop(0)

    def wait(self, seconds: float | None = None) -> None:
        assert self.closed, "there is something to do"


def test_what_is_due_goes_before_what_is_still_to_be_read() -> None:
    stage, left = Stage(), []
    now = time.monotonic()
    talk = [wire.Cut(2, n) for n in range(100)]
    follow = wire.Follow.of(Course(now, 0.0, 1920.0, True))
    inbox = Waiting(follow, wire.Play(1, [Timed(0, 1, 1, 60, 90)]), *talk)
    send = stage.out.send
    stage.out.send = lambda data: (left.append(len(inbox.messages)), send(data))  # type: ignore
    play(inbox, stage.musician)  # type: ignore[arg-type]
    assert left[0] >= len(talk) - 1
    assert stage.out.sent[0] == b"\x90\x3c\x5a"


def test_a_trace_says_what_the_loop_did(tmp_path: Path) -> None:
    trace = Trace()
    trace.sleeps()
    trace.woke(1.0, 1.002)
    trace.obeyed(0.001)
    trace.sent(1.0015, 1.004)
    trace.looked(0.5, 0.75)
    trace.write(tmp_path / "trace")
    traced = read(tmp_path / "trace")
    (note,) = traced.notes
    assert (note.deadline, note.at, note.obeyed) == (1.0015, 1.004, 0.001)
    assert note.woken == pytest.approx(0.002) and 0.0 <= note.waited < 1.0
    assert traced.looks == [(0.5, 0.75)]


def test_a_real_process_ends_with_its_engine(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge.midi.process"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    begun = time.monotonic()
    # A system that is not of this build on any machine: the process answers, and goes on.
    process.stdin.write(frame(wire.Open("none such", VIRTUAL)))
    process.stdin.flush()
    body = read_frame(process.stdout)
    assert body is not None
    opened = wire.from_player(body)
    assert isinstance(opened, wire.Opened) and not opened.api and opened.problem
    process.stdin.close()
    assert process.wait(10.0) == 0
    assert time.monotonic() - begun < 10.0
    process.stdout.close()
