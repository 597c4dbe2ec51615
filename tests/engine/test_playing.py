"""What of the session is played by MIDI, as takes come, cover each other and are undone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.clock import SongClock
from engine import presets
from engine.brief import Place, new_take, settle
from engine.messages import Ask
from engine.music import Meter, Note, Position
from engine.playing import Playing
from engine.session import Session
from engine.takes import Take
from engine.timing import Target, Timed
from tests.support.player import FakePlayer


def take(number: int, bar: int, bars: int, pitch: int, midi: bool = True) -> Take:
    notes = [Note(b, 0, 0, pitch, 960, 90) for b in range(bar, bar + bars)]
    return Take(number, 1, bar, bars, notes=notes, midi=midi, closed=True)


class Stage:
    def __init__(self) -> None:
        self.session, self.clock, self.player = Session(), SongClock(), FakePlayer()
        self.playing = Playing(self.session, self.clock)
        self.playing.connect(self.player)
        self.track = self.session.track(1)

    def place(self, one: Take) -> None:
        """As a request does: the take enters, its notes come, it is closed."""
        self.playing.enters(one)
        self.playing.notes(one, one.notes)
        self.session.place(one)

    def at(self, bar: int, now: float = 0.0) -> None:
        self.clock.locate(now, playing=True, bpm=120, position=Position(bar), meter=Meter())


def test_notes_are_promised_at_their_place_and_channel() -> None:
    stage = Stage()
    one = Take(1, 1, 2, 1, channels={0: 5}, midi=True)
    stage.playing.notes(one, [Note(2, 480, 0, 60, 240, 77)])
    onset = 2 * 3840 + 480
    assert stage.player.notes[1] == [Timed(onset, onset + 240, 5, 60, 77)]


def test_takes_that_were_not_asked_for_by_midi_are_not_played() -> None:
    stage = Stage()
    stage.place(take(1, 2, 2, 60, midi=False))
    assert stage.player.pitches() == []


def test_a_take_says_how_late_its_notes_may_be() -> None:
    stage = Stage()
    stage.place(replace(take(1, 2, 2, 60), late_seconds=0.02))
    assert stage.player.late == {1: 0.02}


LATE = {"": None, "late_ms = 0": 0.0, "late_ms = 20": 0.02}


@pytest.mark.parametrize("key", LATE)
def test_a_preset_says_it_for_its_takes(key: str) -> None:
    preset = presets.parse(f'kind = "midi"\nlicence = "none"\n[midi]\n{key}\n', "punctual")
    stage = Stage()
    brief = settle(
        Ask("continue", 1, 1), stage.track, stage.session, preset,
        explicit=True, parameters={}, seed=1, way="midi",
    )  # fmt: skip
    made = new_take(1, brief, Place(Target(2), 1, 2), 0)
    assert made.midi and made.late_seconds == LATE[key]


def test_a_take_on_top_replaces_the_bars_that_it_holds() -> None:
    stage = Stage()
    stage.place(take(1, 2, 4, 60))
    stage.place(take(2, 3, 2, 72))
    assert stage.player.pitches() == [60, 72, 72, 60]


def test_undo_brings_back_what_lay_beneath_from_here_on() -> None:
    stage = Stage()
    stage.place(take(1, 2, 4, 60))
    stage.place(take(2, 2, 4, 72))
    stage.at(3)
    assert stage.session.undo(stage.track)
    stage.playing.rearranged(stage.track, [], 0.1)
    assert [n.pitch for n in stage.player.notes[1] if n.onset > 3 * 3840] == [60, 60]
    assert stage.player.ended == [1]


def test_what_is_still_coming_lies_on_top() -> None:
    stage = Stage()
    stage.place(take(1, 2, 4, 60))
    stage.place(take(2, 2, 1, 64))
    coming = take(3, 4, 2, 72)
    stage.playing.enters(coming)
    stage.playing.notes(coming, coming.notes)
    assert stage.session.undo(stage.track)
    stage.playing.rearranged(stage.track, [coming], 0.0)
    assert stage.player.pitches() == [60, 60, 72, 72]


def test_quiet_takes_back_what_is_ahead_and_ends_what_sounds() -> None:
    stage = Stage()
    stage.place(take(1, 0, 4, 60))
    stage.at(2)
    stage.playing.quiet(stage.track, 0.1)
    assert [n.onset // 3840 for n in stage.player.notes[1]] == [0, 1, 2]
    assert stage.player.ended == [1]


def test_what_was_silenced_stays_silent() -> None:
    stage = Stage()
    stage.place(take(1, 2, 4, 60))
    stage.place(take(2, 2, 1, 64))
    stage.playing.silence()
    assert stage.session.undo(stage.track)
    stage.playing.rearranged(stage.track, [], 0.0)
    assert stage.player.pitches() == []
    stage.place(take(3, 2, 1, 67))
    assert stage.player.pitches() == [67]


def test_without_a_player_nothing_happens() -> None:
    session, clock = Session(), SongClock()
    playing = Playing(session, clock)
    assert not playing.is_open
    playing.notes(take(1, 0, 1, 60), take(1, 0, 1, 60).notes)
    playing.rearranged(session.track(1), [], 0.0)
    playing.silence()
    playing.moved()
