"""MIDI clock in: what each message means, and what a bad cable may do."""

from __future__ import annotations

import random
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.clock import SongClock
from bridge.clocks.midi_clock import CLOCK, SIXTEENTH, MidiClock
from engine.music import TICKS_PER_BEAT
from engine.timing import Course

BEAT = TICKS_PER_BEAT


class Sequencer:
    """A source whose clock never rests, and the clock that hears it."""

    def __init__(self, bpm: float = 120.0, idle_beats: int = 8) -> None:
        self.clock = MidiClock()
        self.now = 100.0
        """When the next tick comes."""
        self.bpm = bpm
        self.run(24 * idle_beats)

    @property
    def period(self) -> float:
        return 60.0 / (24 * self.bpm)

    def run(self, ticks: int, *, lost: bool = False) -> None:
        for _ in range(ticks):
            if not lost:
                self.clock.tick(self.now)
            self.now += self.period

    @property
    def between(self) -> float:
        """A moment between the last tick and the next."""
        return self.now - 0.4 * self.period

    @property
    def place(self) -> float:
        """Where the clock has the song at the last tick, in clocks."""
        return self.clock.course.tick_at(self.now - self.period) / CLOCK


def test_it_stands_at_the_beginning_until_it_hears_something() -> None:
    clock = MidiClock()
    assert not (clock.playing or clock.locked or clock.silent or clock.check(5.0))
    assert (clock.course.tick, clock.bpm, clock.heard) == (0.0, 120.0, None)


def test_clock_while_stopped_tells_the_tempo_and_moves_nothing() -> None:
    source = Sequencer(97.0)
    assert source.clock.locked
    assert not source.clock.playing
    assert source.clock.bpm == pytest.approx(97.0, abs=1e-6)
    assert source.clock.course.bpm == pytest.approx(97.0, abs=1e-2)
    assert source.clock.course.tick == 0.0


def test_start_is_position_0_at_the_next_clock() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    assert not source.clock.playing
    source.run(1)
    assert source.clock.playing
    assert source.place == pytest.approx(0.0, abs=1e-6)
    source.run(48)
    assert source.place == pytest.approx(48.0, abs=1e-6)


def test_a_clock_that_begins_with_start_is_followed_from_its_second_tick() -> None:
    source = Sequencer(idle_beats=0)
    source.clock.start(source.now - 0.001)
    source.run(1)
    assert not source.clock.playing, "one tick says nothing about the tempo"
    source.run(1)
    assert source.clock.playing
    assert source.place == pytest.approx(1.0)
    source.run(95)
    assert source.place == pytest.approx(96.0)
    assert source.clock.bpm == pytest.approx(120.0)


def test_start_begins_anew_and_continue_goes_on() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.run(50)
    source.clock.stop(source.between)
    assert not source.clock.playing
    stood = source.clock.course.tick / CLOCK
    assert 49 <= stood < 50
    source.run(30)
    assert source.clock.course.tick / CLOCK == stood
    source.clock.resume(source.between)
    source.run(1)
    assert source.place == pytest.approx(50.0, abs=1e-6)
    source.run(10)
    assert source.place == pytest.approx(60.0, abs=1e-6)
    assert source.clock.relocations == 0
    source.clock.stop(source.between)
    source.clock.start(source.between)
    assert source.clock.course.tick == 0.0
    source.run(1)
    assert source.place == pytest.approx(0.0, abs=1e-6)
    assert source.clock.relocations == 1


def test_continue_while_it_plays_changes_nothing() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.run(30)
    source.clock.resume(source.between)
    source.run(1)
    assert source.place == pytest.approx(30.0, abs=1e-6)


def test_stop_before_the_first_clock_takes_start_back() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.clock.stop(source.between)
    source.run(10)
    assert not source.clock.playing


@pytest.mark.parametrize("sixteenths", [0, 1, 33, 16383])
def test_song_position_and_continue(sixteenths: int) -> None:
    source = Sequencer()
    source.clock.song_position(sixteenths, source.between)
    assert source.clock.course.tick == sixteenths * SIXTEENTH
    assert not source.clock.playing
    source.run(3)
    source.clock.resume(source.between)
    source.run(1)
    assert source.place == pytest.approx(6 * sixteenths, abs=1e-6)


def test_song_position_0_after_stop_is_not_start() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.run(100)
    source.clock.stop(source.between)
    source.clock.song_position(0, source.between)
    assert source.clock.course.tick == 0.0
    assert source.clock.relocations == 1
    source.run(5)
    assert not source.clock.playing
    source.clock.resume(source.between)
    source.run(25)
    assert source.place == pytest.approx(24.0, abs=1e-6)


def test_song_position_while_it_plays_is_where_the_next_clock_is() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.run(100)
    source.clock.song_position(64, source.between)
    assert source.clock.playing
    assert source.clock.relocations == 1
    source.run(1)
    assert source.place == pytest.approx(6 * 64, abs=1e-6)
    source.clock.start(source.between)
    assert source.clock.playing
    source.run(1)
    assert source.place == pytest.approx(0.0, abs=1e-6)


def test_stop_after_a_song_position_that_came_while_it_played() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.run(100)
    source.clock.song_position(64, source.between)
    source.clock.stop(source.between)
    assert source.clock.course.tick == 64 * SIXTEENTH
    source.clock.resume(source.between)
    source.run(1)
    assert source.place == pytest.approx(6 * 64, abs=1e-6)


def test_song_position_that_names_the_next_clock_is_no_relocation() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.run(96)
    source.clock.song_position(16, source.between)
    source.run(1)
    assert source.clock.relocations == 0
    assert source.place == pytest.approx(96.0, abs=1e-6)


@pytest.mark.parametrize("lost", [1, 2, 5, 23])
def test_ticks_lost_in_a_row_are_counted(lost: int) -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.run(100)
    source.run(lost, lost=True)
    source.run(20)
    assert source.clock.lost == lost
    assert source.place == pytest.approx(119.0 + lost, abs=0.01)
    assert source.clock.bpm == pytest.approx(120.0, abs=0.01)


@pytest.mark.parametrize("bpm", [60.0, 120.0, 200.0])
def test_a_drop_out_of_two_seconds_is_bridged_and_said(bpm: float) -> None:
    source = Sequencer(bpm)
    clock = source.clock
    clock.start(source.between)
    source.run(200)
    beat = 60.0 / bpm
    gone = round(2.0 / source.period)
    pulled = source.now - source.period
    assert not clock.check(pulled + 0.99 * max(0.5, beat))
    assert clock.locked
    assert clock.check(pulled + 1.01 * max(0.5, beat))
    assert not clock.check(pulled + 1.5 * max(0.5, beat)), "said once"
    assert clock.silent
    assert not clock.locked
    assert clock.playing
    source.run(gone, lost=True)
    assert source.place == pytest.approx(199.0 + gone, abs=0.01)
    source.run(1)
    assert not clock.silent
    source.run(10)
    assert source.place == pytest.approx(210.0 + gone, abs=0.01)
    assert clock.dropouts == 1


def test_silence_while_stopped_is_said_but_no_drop_out() -> None:
    source = Sequencer()
    assert source.clock.check(source.now + 1.0)
    assert source.clock.silent
    assert source.clock.dropouts == 0


BLOCK_TEMPOS = (
    95.0,
    100.0,
    105.0,
    110.0,
    113.0,
    117.1875,
    120.0,
    125.0,
    140.0,
    160.0,
    180.0,
    200.0,
)


@pytest.mark.parametrize("bpm", BLOCK_TEMPOS)
@pytest.mark.parametrize("block", [256 / 48_000, 512 / 48_000, 1024 / 48_000, 1024 / 44_100])
def test_a_host_that_sends_once_a_block_is_counted_right(bpm: float, block: float) -> None:
    """Ticks come in pairs now and then where a block is a little longer than a tick, and there are
    holes where it is a little shorter."""
    source = Sequencer(bpm)
    source.clock.start(source.between)
    begin, ticks = source.now, 24 * 64
    for n in range(ticks):
        due = begin + n * source.period
        source.clock.tick(ceil(due / block) * block)
    last = begin + (ticks - 1) * source.period
    off = source.clock.course.tick_at(last) / CLOCK - (ticks - 1)
    assert abs(off) * source.period < block + 0.003


def test_a_tick_that_was_late_was_not_lost() -> None:
    source = Sequencer(200.0)
    source.clock.start(source.between)
    source.run(100)
    source.clock.tick(source.now + 0.65 * source.period)
    source.now += source.period
    source.run(100)
    assert source.clock.lost == 0
    assert abs(source.place - 200.0) * source.period < 1e-3


def test_a_first_tick_that_is_late_is_made_good_within_two_beats() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.clock.tick(source.now + 0.008)
    source.now += source.period
    assert source.clock.playing
    source.run(48)
    off = abs(source.place - 48.0) * source.period
    assert off < 1e-3


def test_a_tick_far_off_is_not_believed() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.run(100)
    source.clock.tick(source.now + 0.009)
    source.now += source.period
    assert source.clock.outliers == 1
    assert abs(source.place - 100.0) * source.period < 1e-3


@pytest.mark.parametrize(
    ("before", "after"), [(120, 60), (60, 120), (90, 140), (140, 90), (120, 130), (100, 103)]
)
@pytest.mark.parametrize("part", [0.0, 0.3, 0.7])
def test_another_tempo_loses_no_clock(before: float, after: float, part: float) -> None:
    source = Sequencer(before)
    source.clock.start(source.between)
    source.run(100)
    # The tempo changes between two clocks.
    source.now += part * (60.0 / (24 * after) - source.period)
    source.bpm = after
    source.run(96)
    assert source.clock.bpm == pytest.approx(after, abs=0.05)
    assert abs(source.place - 195.0) * source.period < 1e-3
    assert source.clock.lost == 0


def test_a_source_that_sets_its_clock_anew_at_start_is_followed_at_once() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.now += 0.3 * source.period
    source.run(1)
    assert source.place == pytest.approx(0.0, abs=1e-6)
    source.run(24)
    assert source.place == pytest.approx(24.0, abs=0.01)
    assert source.clock.bpm == pytest.approx(120.0, abs=0.01)


def test_another_tempo_after_a_pause_without_clock() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.run(100)
    source.clock.stop(source.between)
    source.now += 30.0
    source.bpm = 73.0
    source.clock.start(source.between)
    source.run(97)
    assert source.clock.bpm == pytest.approx(73.0, abs=0.05)
    assert abs(source.place - 96.0) * source.period < 1e-3
    assert source.clock.lost == 0


def test_a_course_stays_while_it_is_right() -> None:
    source = Sequencer()
    source.clock.start(source.between)
    source.run(96)
    course = source.clock.course
    source.run(960)
    assert source.clock.course is course


events = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 60)),
    st.tuples(st.just("bpm"), st.floats(30, 300)),
    st.tuples(st.just("start"), st.just(0)),
    st.tuples(st.just("stop"), st.just(0)),
    st.tuples(st.just("resume"), st.just(0)),
    st.tuples(st.just("song_position"), st.integers(0, 16383)),
    st.tuples(st.just("lose"), st.integers(1, 60)),
    st.tuples(st.just("double"), st.just(0)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(events, max_size=25), st.integers(0, 2**32), st.sampled_from([0.0, 1e-3, 3e-3]))
def test_it_jumps_only_where_the_source_does(
    told: list[tuple[str, float]], seed: int, jitter: float
) -> None:
    draw = random.Random(seed)
    clock = MidiClock()
    now = planned = 100.0
    bpm = 120.0
    playing = jumped = False
    last = 0.0

    def look(moment: float) -> None:
        """The song may go on from where it was, and never back."""
        nonlocal now, last
        moment = max(moment, now)
        before = clock.course
        here = before.tick_at(moment)
        assert here >= last - 1e-6
        now, last = moment, here

    def check_after(*, may_jump: bool, most: float = 0.0) -> None:
        nonlocal last
        here = clock.course.tick_at(now)
        if not may_jump:
            assert -1e-6 <= here - last <= most + 1e-6
        last = here

    for kind, value in told:
        if kind == "bpm":
            bpm = value
        elif kind == "lose":
            planned += int(value) * 60.0 / (24 * bpm)
            look(planned)
            clock.check(now)
            check_after(may_jump=False)
        elif kind in ("run", "double"):
            for _ in range(int(value) if kind == "run" else 2):
                look(planned + draw.uniform(-jitter, jitter))
                stood = not clock.playing
                clock.tick(now)
                # Continue begins with a clock.
                check_after(may_jump=jumped, most=CLOCK if stood else 0.0)
                jumped = jumped and not clock.playing
                if kind == "run":
                    planned += 60.0 / (24 * bpm)
                look((now + planned) / 2)
        else:
            look(max(now, planned - 0.5 * 60.0 / (24 * bpm)))
            arguments = (int(value),) if kind == "song_position" else ()
            getattr(clock, kind)(*arguments, now)
            standing = not clock.playing
            jump = kind in ("start", "song_position")
            check_after(may_jump=standing and (jump or (kind == "stop" and jumped)))
            jumped = (jumped or jump) and kind != "stop"
            playing = {"start": True, "resume": True, "stop": False}.get(kind, playing)
            if not playing:
                jumped = False
        course = clock.course
        assert course.tick >= 0.0
        assert course.ticks_per_second > 0.0
        assert playing or not course.playing
        if course.playing:
            when = course.seconds_at(course.tick_at(now + 3.0))
            assert when is not None
            assert abs(when - now - 3.0) * course.ticks_per_second < 1e-9 * BEAT
            song = SongClock()
            song.follow(course)
            assert abs(song.tick(now) - course.tick_at(now)) <= 1.0


@given(st.floats(0, 1e5), st.floats(0, 1e6), st.floats(10, 600), st.integers(0, 10**7))
def test_beats_to_seconds_and_back(seconds: float, tick: float, bpm: float, place: int) -> None:
    course = Course(seconds, tick, bpm * 16, True)
    when = course.seconds_at(place)
    assert when is not None
    if when >= seconds:
        assert abs(course.tick_at(when) - place) < 1e-9 * BEAT * max(1.0, when / 1e5)
    song = SongClock()
    song.follow(course)
    again = song.seconds(place)
    assert again is not None
    assert abs(again - when) * course.ticks_per_second < 1e-9 * BEAT * max(1.0, abs(when) / 1e5)
