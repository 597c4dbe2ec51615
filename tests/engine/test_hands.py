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
