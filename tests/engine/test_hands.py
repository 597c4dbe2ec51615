"""A musician's own time over a song that stands still."""

from __future__ import annotations

from bridge.clock import SongClock
from engine.hands import Hands
from engine.music import COMMON_TIME, Position
from tests.support.band import Band


def standing(bar: int = 2, bpm: float = 60.0) -> SongClock:
    clock = SongClock()
    clock.locate(0.0, playing=False, bpm=bpm, position=Position(bar), meter=COMMON_TIME)
    return clock


def test_while_the_song_runs_it_is_the_songs() -> None:
    clock = standing()
    clock.set_playing(0.0, True)
    hands = Hands(clock)
    for now in (0.0, 1.5, 40.0):
        assert hands.tick(now) == hands.end(now) == clock.tick(now)


def test_the_first_note_begins_where_the_song_stands_and_the_others_follow() -> None:
    hands = Hands(standing())
    line = 2 * 3840
    assert hands.end(5.0) == line
    assert hands.tick(10.0) == line
    assert hands.tick(11.0) == line + 960
    assert hands.tick(12.5) == line + 2400
    assert hands.end(99.0) == line + 2400


def test_a_song_that_goes_elsewhere_begins_a_new_phrase() -> None:
    clock = standing()
    hands = Hands(clock)
    hands.tick(10.0)
    hands.tick(14.0)
    clock.locate(20.0, playing=False, bpm=60.0, position=Position(9), meter=COMMON_TIME)
    assert hands.end(20.0) == 9 * 3840
    assert hands.tick(21.0) == 9 * 3840
    assert hands.tick(22.0) == 9 * 3840 + 960


def test_a_phrase_over_a_standing_song_is_what_is_gone_on_from(band: Band) -> None:
    band.transport(3, playing=False, bpm=120.0)
    for pitch in (60, 62, 64, 65, 67, 69):
        band.send("/sideman/track/on", 1, pitch, 90)
        band.wait(0.5, pump=True)
        band.send("/sideman/track/off", 1, pitch)
    track = band.session.track(1)
    assert [(n.bar, round(n.beat)) for n in band.session.notes(track, 3)] == [
        (3, beat) for beat in range(4)
    ]
    assert len(band.session.notes(track, 4)) == 2
    band.ask(1, bars=2)
    band.pump()
    (clip,) = band.clips()
    clip.check()
    assert clip.opened.bar == 4, "the bar line after the song's position"
    tokens = sum(map(len, band.lines[-1]._worker._players["default"].listener.tokens(5)))
    assert tokens > 6 * 4


def phrase(band: Band) -> None:
    """Six quarter notes over a song that stands at bar 3: they reach to the middle of bar 4."""
    band.transport(3, playing=False, bpm=120.0)
    for pitch in (60, 62, 64, 65, 67, 69):
        band.send("/sideman/track/on", 1, pitch, 90)
        band.wait(0.5, pump=True)
        band.send("/sideman/track/off", 1, pitch)


def bar_heard(band: Band, bar: int) -> list[int]:
    """The pitches of a bar that the worker was told."""
    band.wait(0.05, pump=True)
    return [note.pitch for note in band.lines[-1]._worker._heard[bar][1]]


def test_the_phrase_is_heard_without_the_take_that_is_replaced(band: Band) -> None:
    phrase(band)
    for req in (1, 2):
        band.ask(req, bars=2, seed=5, density=4)
        band.pump()
        assert band.clips(req)[0].opened.bar == 4
        assert bar_heard(band, 4) == [67, 69]
    assert band.clips(1)[0].rows() == band.clips(2)[0].rows(), "of the same past the same take"


def test_a_take_that_is_there_before_the_phrase_is_not_in_its_way(band: Band) -> None:
    band.play(range(4), track=2)
    band.transport(3, playing=False)
    band.ask(1, 2, bars=2, density=4)
    band.pump()
    assert len(bar_heard(band, 4)) > 2
    phrase(band)
    assert bar_heard(band, 4) == [67, 69]


def test_a_take_that_was_kept_is_part_of_the_past(band: Band) -> None:
    phrase(band)
    band.ask(1, bars=2, density=4)
    band.pump()
    take = band.clips()[0]
    band.send("/sideman/keep", take.take)
    own = [note.pitch for note in take.notes if note.bar == 4]
    assert sorted(bar_heard(band, 4)) == sorted([67, 69, *own])


def test_once_the_song_runs_or_goes_elsewhere_all_that_sounds_is_heard(band: Band) -> None:
    phrase(band)
    band.ask(1, bars=2, density=4)
    band.pump()
    own = [note.pitch for note in band.clips()[0].notes if note.bar == 4]
    for bar, playing in ((3, True), (6, False)):
        phrase(band)
        assert not set(own) <= set(bar_heard(band, 4))
        band.transport(bar, playing=playing)
        assert set(own) <= set(bar_heard(band, 4))
