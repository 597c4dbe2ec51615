"""Ableton Link: our place in the song on a session's beat, made up here, and a real one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import cast

import pytest

from bridge.clocks.link import LinkClock, Session
from engine.errors import SidemanError

LINK_AHEAD = 1234.5
"""Link's clock does not begin when ours does."""


class MadeUp:
    """A session in simulated time, whose beats are a line; also its state and its clock."""

    def __init__(self) -> None:
        self.enabled = True
        self.startStopSyncEnabled = True
        self.now = 50.0
        self.peers = 1
        self.bpm = 120.0
        self.since, self.beat = LINK_AHEAD + 50.0, 0.0
        self.playing = False
        self.played = 0

    def micros(self) -> int:
        return round((self.now + LINK_AHEAD) * 1e6)

    def clock(self) -> MadeUp:
        return self

    def captureSessionState(self) -> MadeUp:  # noqa: N802
        return self

    def commitSessionState(self, state: MadeUp) -> None:  # noqa: N802
        assert state is self

    def numPeers(self) -> int:  # noqa: N802
        return self.peers

    def tempo(self) -> float:
        return self.bpm

    def setTempo(self, bpm: float, at: int) -> None:  # noqa: N802
        self.beat = self.beatAtTime(at, 4.0)
        self.since, self.bpm = at * 1e-6, bpm

    def beatAtTime(self, at: int, quantum: float) -> float:  # noqa: N802
        return self.beat + (at * 1e-6 - self.since) * self.bpm / 60

    def phaseAtTime(self, at: int, quantum: float) -> float:  # noqa: N802
        return self.beatAtTime(at, quantum) % quantum

    def isPlaying(self) -> bool:  # noqa: N802
        return self.playing

    def setIsPlaying(self, playing: bool, at: int) -> None:  # noqa: N802
        self.playing, self.played = playing, at

    def timeForIsPlaying(self) -> int:  # noqa: N802
        return self.played

    def setIsPlayingAndRequestBeatAtTime(  # noqa: N802
        self, playing: bool, at: int, beat: float, quantum: float
    ) -> None:
        self.setIsPlaying(playing, at)
        if not self.peers:
            self.since, self.beat = at * 1e-6, beat


class Joined:
    """A clock in a made-up session, polled every 10 ms."""

    def __init__(self, *, leading: bool = False) -> None:
        self.session = MadeUp()
        self.clock = LinkClock(
            leading=leading,
            session=cast(Session, self.session),
            monotonic=lambda: self.session.now,
        )

    @property
    def now(self) -> float:
        return self.session.now

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        last = self.beats
        while self.session.now < end - 1e-9:
            self.session.now = min(end, self.session.now + 0.01)
            self.clock.poll(self.now)
            assert self.beats >= last - 1e-9
            last = self.beats

    @property
    def apart(self) -> float:
        """Beats between our place in the bar and Link's."""
        phase = self.session.phaseAtTime(self.session.micros(), 4.0)
        return abs((self.beats - phase + 2.0) % 4.0 - 2.0)

    @property
    def beats(self) -> float:
        course = self.clock.poll(self.now)
        assert course is not None
        return course.tick_at(self.now) / 960

    def play(self) -> None:
        self.session.setIsPlaying(True, self.session.micros())


def test_alone_it_has_no_course_but_where_it_leads() -> None:
    joined = Joined()
    joined.session.peers = 0
    assert joined.clock.poll(50.0) is None
    joined.clock.leading = True
    assert joined.clock.poll(50.0) is not None


def test_a_song_begins_at_links_bar_line() -> None:
    joined = Joined()
    joined.run(0.7)
    joined.play()
    joined.run(1.28)
    assert joined.beats == 0.0
    joined.run(1.02)
    assert joined.beats == pytest.approx(2.0, abs=1e-3)
    assert joined.clock.relocations == 0


def test_a_start_that_was_on_the_bar_line_is_in_time() -> None:
    joined = Joined()
    joined.run(1.995)
    joined.session.setIsPlaying(True, round((LINK_AHEAD + 52.0) * 1e6))
    joined.run(0.105)
    assert joined.beats == pytest.approx(0.2, abs=1e-3)


def test_a_session_that_plays_already_is_joined_at_its_next_bar() -> None:
    joined = Joined()
    joined.session.setIsPlaying(True, round((LINK_AHEAD + 10.0) * 1e6))
    joined.session.now = 51.0
    joined.run(0.9)
    assert joined.beats == 0.0
    joined.run(0.6)
    assert joined.beats == pytest.approx(1.0, abs=1e-3)


def test_after_stop_the_song_goes_on_where_it_was() -> None:
    joined = Joined()
    joined.run(0.01)
    joined.play()
    joined.run(4.99)
    at_stop = joined.beats
    joined.session.setIsPlaying(False, joined.session.micros())
    joined.run(3.0)
    assert joined.beats == at_stop
    joined.play()
    joined.run(2.0)
    assert at_stop < joined.beats <= at_stop + 4
    assert joined.apart < 1e-3


def test_the_place_in_the_song_is_ours() -> None:
    joined = Joined()
    joined.run(0.1)
    joined.clock.locate(joined.now, 960 * 41, 960 * 40, 4.0)
    assert joined.beats == 41.0
    joined.play()
    joined.run(0.5)
    assert joined.beats == pytest.approx(41.2, abs=1e-3), "Link has been at beat 1.2"


def test_a_tempo_that_changes_is_followed_without_a_jump() -> None:
    joined = Joined()
    joined.run(0.01)
    joined.play()
    joined.run(3.99)
    for bpm in (90.0, 140.0, 60.0, 200.0):
        joined.clock.set_tempo(bpm)
        joined.run(4.0)
        assert joined.clock.bpm == bpm
        assert joined.apart < 2e-3
    assert joined.clock.relocations == 0


def test_a_phase_that_jumps_is_a_relocation() -> None:
    joined = Joined()
    joined.run(0.01)
    joined.play()
    joined.run(4.0)
    before = joined.beats
    joined.session.beat += 1.5
    assert joined.beats == pytest.approx(before + 1.5, abs=1e-3)
    assert joined.clock.relocations == 1


def test_bars_of_another_meter_go_on_without_a_jump() -> None:
    joined = Joined()
    joined.run(0.01)
    joined.play()
    joined.run(4.0)
    joined.clock.set_meter(joined.now, 960 * 8, 3.5)
    joined.run(1.75)
    joined.clock.set_meter(joined.now, round(960 * 11.5), 3.0)
    joined.run(10.0)
    assert joined.beats == pytest.approx((joined.now - 50.0) * 2, abs=0.1)
    assert joined.clock.relocations == 0


def test_leading_alone_it_begins_at_once() -> None:
    joined = Joined(leading=True)
    joined.session.peers = 0
    joined.run(0.33)
    joined.clock.set_playing(joined.now, True)
    joined.run(0.5)
    assert joined.beats == pytest.approx(1.0, abs=1e-3)
    joined.clock.set_playing(joined.now, False)
    joined.run(0.5)
    assert joined.beats == pytest.approx(1.0, abs=1e-2)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "link", None)
    with pytest.raises(SidemanError) as caught:
        LinkClock()
    assert caught.value.text == "the clock link needs the extra: pip install 'sideman[link]'"


PEER = """
import sys, time
from bridge.clocks.link import LinkClock
clock = LinkClock(97.0, leading=True)
print("here", flush=True)
for line in sys.stdin:
    word, _, value = line.strip().partition(" ")
    now = time.monotonic()
    if word == "tempo":
        clock.set_tempo(float(value))
    elif word == "play":
        clock.set_playing(now, value == "on")
    clock.poll(now)
    print("done", flush=True)
clock.close()
"""


class Peer:
    """Another process in the session, which does as it is told."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._line()

    def tell(self, words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()
        self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def leave(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def poll_until(clock: LinkClock, what: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "the peer was not heard"
        clock.poll(time.monotonic())
        time.sleep(0.005)


def test_two_processes_share_tempo_phase_and_start() -> None:
    pytest.importorskip("link", reason="needs the extra 'link': pip install 'sideman[link]'")
    clock = LinkClock(120.0)
    peer = Peer()
    try:
        try:
            poll_until(clock, lambda: clock.peers == 1)
        except AssertionError:
            pytest.skip("this machine's network carries no multicast, which Link needs")
        peer.tell("tempo 240")
        poll_until(clock, lambda: abs(clock.bpm - 240.0) < 1e-3)
        assert clock.poll(time.monotonic()) is not None
        peer.tell("play on")

        def playing() -> bool:
            course = clock.poll(time.monotonic())
            return course is not None and course.playing

        poll_until(clock, playing)
        course = clock.poll(time.monotonic())
        assert course is not None
        assert course.bpm == pytest.approx(240.0, rel=1e-3)
        peer.tell("play off")
        poll_until(clock, lambda: not playing())
        peer.leave()
        poll_until(clock, lambda: clock.peers == 0)
        assert clock.poll(time.monotonic()) is None
    finally:
        clock.close()
        peer.leave()
