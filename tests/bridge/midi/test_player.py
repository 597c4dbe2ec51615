"""Notes at their moment, and each of them ended, whatever happens meanwhile."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.midi.player import Player
from engine.timing import Course, Timed

RATE = 1920.0
"""Ticks per second at 120 beats per minute."""


class Desk:
    """A player, the clock in our hand, and everything that went out with its moment."""

    def __init__(self, late: float = 0.1) -> None:
        self.now = 0.0
        self.out: list[tuple[float, bytes]] = []
        self.player = Player(lambda data: self.out.append((self.now, data)), late)

    def roll(self, tick: float = 0.0, rate: float = RATE) -> None:
        self.player.follow(Course(self.now, tick, rate, True), self.now)

    def stop(self) -> None:
        here = self.now * RATE
        self.player.follow(Course(self.now, here, RATE, False), self.now)

    def run(self, until: float) -> None:
        """Move the clock to each moment that the player asks for."""
        while (moment := self.player.next_moment()) is not None and moment <= until:
            self.now = max(self.now, moment)
            self.player.play_due(self.now)
        self.now = until
        self.player.play_due(until)

    @property
    def notes(self) -> list[tuple[float, int, int, int]]:
        """(moment, status without channel, pitch, velocity)."""
        return [(at, data[0] & 0xF0, data[1], data[2]) for at, data in self.out]


def note(onset: int, end: int, pitch: int = 60, channel: int = 1) -> Timed:
    return Timed(onset, end, channel, pitch, 90)


def test_notes_sound_at_their_moment_and_for_their_length() -> None:
    desk = Desk()
    desk.roll()
    desk.player.play(1, [note(960, 1920), note(1920, 2880, 64)])
    desk.run(3.0)
    assert desk.notes == [
        (0.5, 0x90, 60, 90), (1.0, 0x80, 60, 0), (1.0, 0x90, 64, 90), (1.5, 0x80, 64, 0),
    ]  # fmt: skip


def test_nothing_sounds_while_the_song_stands() -> None:
    desk = Desk()
    desk.player.play(1, [note(0, 960)])
    desk.run(5.0)
    assert desk.out == []
    assert desk.player.next_moment() is None


def test_a_change_of_tempo_moves_what_is_to_come() -> None:
    desk = Desk()
    desk.roll()
    desk.player.play(1, [note(1920, 2400)])
    desk.run(0.5)
    desk.roll(960.0, RATE / 2)
    desk.run(5.0)
    assert [at for at, *_ in desk.notes] == [1.5, 2.0]


def test_a_pitch_that_sounds_ends_before_it_is_struck_again() -> None:
    desk = Desk()
    desk.roll()
    desk.player.play(1, [note(0, 1920)])
    desk.player.play(2, [note(960, 2880)])
    desk.run(3.0)
    assert [(kind, at) for at, kind, *_ in desk.notes] == [
        (0x90, 0.0), (0x80, 0.5), (0x90, 0.5), (0x80, 1.5),
    ]  # fmt: skip


def test_what_sounds_ends_where_the_song_stops() -> None:
    desk = Desk()
    desk.roll()
    desk.player.play(1, [note(0, 9600), note(960, 1920, 64)])
    desk.run(0.25)
    desk.stop()
    assert desk.notes[-1] == (0.25, 0x80, 60, 0)
    desk.run(0.75)
    desk.roll(480.0)
    desk.run(3.0)
    assert [pitch for _, kind, pitch, _ in desk.notes if kind == 0x90] == [60, 64]
    assert not desk.player.sounding


def test_a_song_that_is_moved_leaves_what_lies_behind() -> None:
    desk = Desk()
    desk.roll()
    desk.player.play(1, [note(0, 9600), note(960, 1920, 62), note(19200, 20000, 64)])
    desk.run(0.1)
    desk.roll(19_000.0)
    assert desk.notes[-1] == (0.1, 0x80, 60, 0)
    desk.run(1.0)
    assert [pitch for _, kind, pitch, _ in desk.notes if kind == 0x90] == [60, 64]


def test_a_note_that_is_too_late_is_dropped_with_its_end() -> None:
    desk = Desk(late=0.05)
    desk.roll()
    desk.now = 1.0
    desk.player.play(1, [note(0, 5000), note(1920 - 90, 2400, 64)])
    desk.run(3.0)
    assert [pitch for _, _, pitch, _ in desk.notes] == [64, 64]
    assert desk.player.dropped == 1


def test_how_late_is_too_late_can_be_said_of_single_notes() -> None:
    desk = Desk(late=0.05)
    desk.roll()
    desk.now = 1.0
    desk.player.play(1, [note(960, 5000, 60)], 0.6)
    desk.player.play(1, [note(960, 5000, 62)], 0.4)
    desk.player.play(1, [note(1920, 5000, 64)], 0.0)
    desk.run(1.0)
    assert [pitch for _, _, pitch, _ in desk.notes] == [60, 64]
    assert desk.player.dropped == 1


def test_a_song_that_jumps_leaves_what_may_be_as_late_as_that() -> None:
    desk = Desk(late=0.0)
    desk.roll()
    desk.player.play(1, [note(1900, 5000, 60)], 0.1)
    desk.player.play(1, [note(1900, 5000, 62)])
    desk.roll(1920.0)
    desk.run(0.01)
    assert [pitch for _, _, pitch, _ in desk.notes] == [60]


def test_cut_takes_back_what_is_promised_of_one_track_only() -> None:
    desk = Desk()
    desk.roll()
    desk.player.play(1, [note(0, 1000), note(960, 1500, 62), note(1920, 2500, 64)])
    desk.player.play(2, [note(960, 1500, 72)])
    desk.run(0.1)
    desk.player.cut(1, 900, 1900, sounding=False)
    desk.run(3.0)
    assert [pitch for _, kind, pitch, _ in desk.notes if kind == 0x90] == [60, 72, 64]


def test_cut_ends_what_sounds_where_it_is_asked_to() -> None:
    desk = Desk()
    desk.roll()
    desk.player.play(1, [note(0, 9000)])
    desk.player.play(2, [note(0, 9000, 72)])
    desk.run(0.1)
    desk.player.cut(1, 0, None, sounding=True)
    assert desk.notes[-1] == (0.1, 0x80, 60, 0)
    assert desk.player.sounding == {(1, 72)}


def test_silence_ends_everything_and_tells_every_channel() -> None:
    desk = Desk()
    desk.roll()
    desk.player.play(1, [note(0, 9000), note(960, 1920, 62)])
    desk.run(0.1)
    desk.player.silence()
    assert not desk.player.sounding and not desk.player.promised
    assert sum(data[0] & 0xF0 == 0xB0 and data[1] == 123 for _, data in desk.out) == 16
    desk.run(3.0)
    assert [pitch for _, kind, pitch, _ in desk.notes if kind == 0x90] == [60]


times = st.floats(0.0, 0.7)
notes = st.builds(
    lambda onset, length, pitch, channel: Timed(onset, onset + length, channel, pitch, 80),
    st.integers(0, 8000), st.integers(0, 3000), st.integers(60, 63), st.integers(1, 2),
)  # fmt: skip
acts = st.one_of(
    st.tuples(st.just("play"), st.integers(1, 2), st.lists(notes, max_size=6)),
    st.tuples(st.just("cut"), st.integers(1, 2), st.integers(0, 8000), st.booleans()),
    st.tuples(st.just("roll"), st.floats(0.0, 8000.0), st.floats(300.0, 6000.0)),
    st.tuples(st.just("stop")),
    st.tuples(st.just("silence")),
    st.tuples(st.just("release"), st.integers(60, 63)),
)


@given(st.lists(st.tuples(times, acts), max_size=40))
def test_every_note_on_gets_its_note_off(script: list[tuple[float, tuple[Any, ...]]]) -> None:
    desk = Desk()
    for wait, act in script:
        desk.run(desk.now + wait)
        match act:
            case ("play", track, batch):
                desk.player.play(track, batch)
            case ("cut", track, start, sounding):
                desk.player.cut(track, start, None, sounding=sounding)
            case ("roll", tick, rate):
                desk.roll(tick, rate)
            case ("stop",):
                desk.stop()
            case ("silence",):
                desk.player.silence()
            case ("release", pitch):
                desk.player.release([(1, pitch)])
    desk.player.close()
    sounding: set[tuple[int, int]] = set()
    for _, data in desk.out:
        key = (data[0] & 0x0F, data[1])
        if data[0] & 0xF0 == 0x90:
            assert key not in sounding, "struck again without an end"
            sounding.add(key)
        elif data[0] & 0xF0 == 0x80:
            sounding.discard(key)
    assert not sounding
