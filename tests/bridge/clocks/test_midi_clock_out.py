"""MIDI clock out: what followers are sent, and that ours understands it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.clocks.midi_clock import CLOCK, SIXTEENTH, MidiClock
from bridge.clocks.midi_clock_out import LATE, ClockOut, song_position
from engine.music import TICKS_PER_BEAT
from engine.timing import Course

F8, FA, FB, FC = (bytes((status,)) for status in (0xF8, 0xFA, 0xFB, 0xFC))
RATE = 1920.0
"""Ticks per second at 120 BPM."""


def stopped(tick: float = 0.0, rate: float = RATE) -> Course:
    return Course(0.0, tick, rate, False)


class Wire:
    """Sends what is due exactly when it is, and keeps it with its times."""

    def __init__(self, out: ClockOut, *followers: MidiClock) -> None:
        self.out = out
        self.followers = followers
        self.now = 0.0
        self.sent: list[tuple[float, bytes]] = []

    def follow(self, course: Course) -> None:
        self._send(self.out.follow(course, self.now))

    def run(self, until: float) -> None:
        while True:
            self._send(self.out.due(self.now))
            moment = self.out.next_moment(self.now)
            if moment is None or moment > until:
                break
            assert moment >= self.now
            # A float's grain can leave a moment just before its tick.
            self.now = max(moment, self.now + 1e-9)
        self.now = until

    def _send(self, messages: list[bytes]) -> None:
        for message in messages:
            self.sent.append((self.now, message))
            for follower in self.followers:
                hear(follower, message, self.now)

    def take(self) -> list[bytes]:
        messages = [message for _, message in self.sent]
        self.sent.clear()
        return messages


def hear(clock: MidiClock, message: bytes, now: float) -> None:
    if message[0] == 0xF2:
        clock.song_position(message[1] + (message[2] << 7), now)
    else:
        {0xF8: clock.tick, 0xFA: clock.start, 0xFB: clock.resume, 0xFC: clock.stop}[message[0]](now)


def test_nothing_is_sent_before_there_is_a_course() -> None:
    out = ClockOut()
    assert out.due(5.0) == []
    assert out.next_moment(5.0) is None


def test_clocks_go_on_while_the_song_stands() -> None:
    wire = Wire(ClockOut())
    wire.follow(stopped())
    wire.run(0.999)
    assert wire.take() == [F8] * 48
    wire.follow(stopped(rate=RATE / 2))
    wire.run(1.999)
    assert wire.take() in ([F8] * 24, [F8] * 25)


def test_a_song_from_the_top_is_told_by_start() -> None:
    wire = Wire(ClockOut())
    wire.follow(stopped())
    wire.run(1.003)
    wire.take()
    wire.follow(Course(1.003, 0.0, RATE, True))
    wire.run(1.1)
    assert wire.take() == [FA] + [F8] * 5
    wire.follow(Course(1.1, 186.0, RATE, False))
    wire.run(1.105)
    assert wire.take() == [FC]


def test_a_start_that_is_known_beforehand_is_told_just_before_it() -> None:
    wire = Wire(ClockOut())
    wire.follow(Course(1.0, 0.0, RATE, True))
    wire.run(0.9999)
    wire.run(1.0001)
    assert wire.take() == [F8] * 48 + [FA, F8]


@pytest.mark.parametrize(("tick", "sixteenth"), [(240.0, 1), (241.0, 1), (300.0, 2), (3840.0, 16)])
def test_elsewhere_it_is_told_at_the_next_sixteenth(tick: float, sixteenth: int) -> None:
    wire = Wire(ClockOut())
    wire.follow(stopped())
    wire.run(1.0)
    wire.take()
    wire.follow(Course(1.0, tick, RATE, True))
    wire.run(2.0)
    assert wire.sent[0] == (1.0, song_position(sixteenth))
    begun = [message for _, message in wire.sent].index(FB)
    assert begun < len(wire.sent)
    first = next(now for now, message in wire.sent[begun:] if message == F8)
    assert first == pytest.approx(max(1.0, 1.0 + (sixteenth * SIXTEENTH - tick) / RATE), abs=1e-6)


def test_a_jump_while_it_plays_stops_followers_first() -> None:
    wire = Wire(ClockOut())
    wire.follow(Course(0.0, 0.0, RATE, True))
    wire.run(1.0)
    wire.take()
    wire.follow(Course(1.0, 9600.0, RATE, True))
    wire.run(1.001)
    assert wire.take() == [FC, song_position(40), FB, F8]
    wire.follow(Course(1.001, 0.0, RATE, True))
    wire.run(1.002)
    assert wire.take() == [FC, FA, F8]


def test_a_place_while_it_stands_is_told() -> None:
    wire = Wire(ClockOut())
    wire.follow(stopped(960.0))
    assert wire.take() == [song_position(4)]
    wire.follow(stopped(960.0, RATE * 1.1))
    assert wire.take() == []
    wire.follow(stopped(0.0))
    assert wire.take() == [song_position(0)]


def test_after_a_short_stall_no_clock_is_missing_and_after_a_long_one_all_know_the_place() -> None:
    out = ClockOut()
    out.follow(Course(0.0, 0.0, RATE, True), 0.0)
    assert out.due(0.0) == [F8]
    assert out.due(0.2) == [F8] * 9
    late = out.due(60.0)
    assert late[0] == FC
    assert late[1] == song_position(480)


def test_beyond_the_last_song_position_the_last_is_told() -> None:
    assert song_position(16383) == song_position(20000) == bytes((0xF2, 0x7F, 0x7F))
    assert song_position(129) == bytes((0xF2, 1, 1))


changes = st.lists(
    st.tuples(
        st.sampled_from(["play", "stop", "jump", "tempo"]),
        st.floats(4.5, 8.0),
        st.integers(0, 100_000),
        st.floats(60, 200),
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(changes)
def test_what_we_send_we_understand(told: list[tuple[str, float, int, float]]) -> None:
    follower = MidiClock()
    wire = Wire(ClockOut(), follower)
    course = stopped()
    wire.follow(course)
    wire.run(2.0)
    for kind, seconds, tick, bpm in told:
        now, here = wire.now, course.tick_at(wire.now)
        rate = course.ticks_per_second
        match kind:
            case "play":
                course = Course(now, here, rate, True)
            case "stop":
                course = Course(now, here, rate, False)
            case "jump":
                course = Course(now, float(tick), rate, course.playing)
            case _:
                course = Course(now, here, bpm * TICKS_PER_BEAT / 60, course.playing)
        wire.follow(course)
        wire.run(now + seconds)
        assert follower.playing == course.playing
        off = follower.course.tick_at(wire.now) - course.tick_at(wire.now)
        if course.playing:
            assert abs(off) / course.ticks_per_second < 1e-3
        else:
            # A place that is no sixteenth is told as the next one, and a tiny step not at all.
            assert -LATE <= off <= SIXTEENTH
        assert follower.bpm == pytest.approx(course.bpm, abs=0.05)


def test_clocks_stay_in_place_through_a_night() -> None:
    out = ClockOut()
    course = Course(0.0, 0.0, 119.9 * 16, True)
    out.follow(course, 0.0)
    clocks = 0
    for quaver in range(1, 40_000):
        clocks += out.due(course.seconds_at(quaver * TICKS_PER_BEAT / 2) or 0.0).count(F8)
    assert abs(clocks - 1 - 39_999 * TICKS_PER_BEAT / 2 / CLOCK) <= 1
