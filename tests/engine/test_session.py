"""Tracks, what was played on them, takes, and what has to be told to the model."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.errors import Code, SidemanError
from engine.messages.keys import LAST_BAR
from engine.messages.spec import LAST_TRACK
from engine.music import DRUMS, Meter, MeterMap, Note
from engine.session import MAX_BAR_NOTES, MAX_HAND_NOTES, Session, Track
from engine.takes import Take
from tests.support.band import tune


def fails(code: Code):
    return pytest.raises(SidemanError, check=lambda error: error.code == code)


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def track(session: Session) -> Track:
    return session.track(1)


def take(number: int, bar: int, bars: int = 2, pitch: int = 60, track: int = 1) -> Take:
    notes = [note for i in range(bars) for note in tune(bar + i, (pitch,))]
    return Take(number, track, bar, bars, notes=notes, closed=True)


def pitches(session: Session, track: Track, bar: int) -> list[int]:
    return [note.pitch for note in session.notes(track, bar)]


class TestTracks:
    def test_a_number_makes_a_track_and_a_name_must_be_known(self, session: Session) -> None:
        assert session.track(3) is session.track(3)
        assert session.track("3") is session.track(3)
        with fails(Code.UNKNOWN_TRACK):
            session.track("bass")
        session.rename(session.track(3), "bass")
        assert session.track("bass") is session.track(3)

    @pytest.mark.parametrize("number", [-1, LAST_TRACK + 1, 10**9])
    def test_numbers_have_an_end(self, session: Session, number: int) -> None:
        with fails(Code.UNKNOWN_TRACK):
            session.track(number)
        with fails(Code.UNKNOWN_TRACK):
            session.track(str(number))
        assert not session.tracks

    def test_an_unknown_name_is_answered_with_the_known_ones(self, session: Session) -> None:
        session.rename(session.track(3), "bass")
        with pytest.raises(SidemanError, match="known: bass"):
            session.track("base")

    @pytest.mark.parametrize("name", ["", "  ", "a/b", "x" * 65, "2", "piano"])
    def test_names_that_cannot_be(self, session: Session, name: str) -> None:
        session.rename(session.track(1), "piano")
        with fails(Code.BAD_ARGUMENTS):
            session.rename(session.track(3), name)
        assert session.track(3).name == "3"

    def test_a_track_may_keep_its_own_name(self, session: Session) -> None:
        session.rename(session.track(3), "bass")
        session.rename(session.track(3), "bass")
        session.rename(session.track(3), "3")

    def test_channels(self, session: Session) -> None:
        track = session.track(2)
        assert track.output_channel == 2
        session.set_program(track, DRUMS)
        assert track.output_channel == 10
        track.channel = 5
        assert track.output_channel == 5
        melodic = [session.track(n).output_channel for n in range(1, 40)]
        track.channel = None
        assert 10 not in melodic
        assert set(melodic) == set(range(1, 17)) - {10}

    def test_a_program_holds_for_what_was_played_before(
        self, session: Session, track: Track
    ) -> None:
        for note in [*tune(0), *tune(1, (50,), program=DRUMS)]:
            session.play(track, note)
        session.take_changes()
        session.set_program(track, 33)
        assert {n.program for n in session.notes(track, 0)} == {33}
        assert {n.program for n in session.notes(track, 1)} == {DRUMS}
        assert session.take_changes() == [0, 1]
        session.set_program(track, 33)
        assert not session.take_changes()


class TestPlaying:
    def test_notes_stay_in_order(self, session: Session, track: Track) -> None:
        for note in reversed(tune(2)):
            session.play(track, note)
        assert session.notes(track, 2) == tune(2)
        assert session.take_changes() == [2]
        assert session.take_changes() == []
        assert session.last_track == 1

    def test_a_beat_beyond_the_bar_is_in_the_next(self, session: Session, track: Track) -> None:
        session.meters = MeterMap([(0, Meter(3, 4))])
        session.play(track, Note(1, 3 * 960, 0, 60, 960, 90))
        assert session.notes(track, 2) == [Note(2, 0, 0, 60, 960, 90)]

    def test_a_bar_beyond_all_songs_is_a_mistake(self, session: Session, track: Track) -> None:
        with fails(Code.BAD_ARGUMENTS):
            session.play(track, Note(LAST_BAR + 1, 0, 0, 60, 960, 90))
        assert not session.bars(track)

    def test_a_bar_has_an_end_to_its_notes(self, session: Session, track: Track) -> None:
        session.play(track, Note(0, 0, 0, 60, 960, 90))
        track.played[0] *= MAX_BAR_NOTES
        with fails(Code.BAD_ARGUMENTS):
            session.play(track, Note(0, 1, 0, 60, 960, 90))
        assert len(track.played[0]) == MAX_BAR_NOTES

    def test_another_past(self, session: Session, track: Track) -> None:
        session.play(track, Note(2, 0, 0, 60, 960, 90))
        session.press(track, 64, 90, 0)
        session.place(take(1, 4))
        session.take_changes()
        session.play_instead(track, {5: tune(5), -3: tune(-3)})
        assert session.bars(track) == {5, -3}
        assert session.notes(track, 5) == tune(5)
        assert not session.sounding(960)
        assert session.take_changes() == [-3, 2, 4, 5]

    def test_a_key_goes_down_and_comes_up(self, session: Session, track: Track) -> None:
        session.press(track, 60, 90, 3840 + 960)
        assert session.release(track, 60, 3840 + 2400) == Note(1, 960, 0, 60, 1440, 90)
        assert session.release(track, 60, 9999) is None
        assert pitches(session, track, 1) == [60]

    def test_the_same_key_again_ends_the_first(self, session: Session, track: Track) -> None:
        session.press(track, 60, 90, 0)
        session.press(track, 60, 80, 480)
        session.release(track, 60, 960)
        assert [(n.tick, n.duration) for n in session.notes(track, 0)] == [(0, 480), (480, 480)]

    def test_a_note_has_some_length(self, session: Session, track: Track) -> None:
        session.press(track, 60, 90, 100)
        note = session.release(track, 60, 100)
        assert note is not None and note.duration == 1

    def test_held_notes_sound_with_their_length_so_far(self, session: Session) -> None:
        session.press(session.track(1), 60, 90, 0)
        session.press(session.track(2), 40, 70, 960)
        session.set_program(session.track(2), 33)
        assert session.sounding(1440) == [
            Note(0, 0, 0, 60, 1440, 90), Note(0, 960, 33, 40, 480, 70),
        ]  # fmt: skip
        assert not session.mix(0)

    def test_the_mix_is_all_tracks_but_some(self, session: Session) -> None:
        for number in (1, 2, 3):
            session.play(session.track(number), Note(0, 0, 0, 60 + number, 960, 90))
        assert [n.pitch for n in session.mix(0)] == [61, 62, 63]
        assert [n.pitch for n in session.mix(0, without=[2])] == [61, 63]

    def test_where_the_music_ends(self, session: Session, track: Track) -> None:
        assert session.end_of_music(100) == 0
        session.play(track, Note(4, 0, 0, 60, 960, 90))
        session.play(session.track(2), Note(7, 0, 0, 60, 960, 90))
        assert session.end_of_music(100) == 8
        assert session.end_of_music(7) == 5

    def test_programs_of_the_last_bars(self, session: Session, track: Track) -> None:
        for bar in range(20):
            session.play(track, Note(bar, 0, 5 if bar < 10 else 7, 60, 960, 90))
        assert session.programs(track) == (7,)
        assert session.programs(track, last_bars=11) == (5, 7)
        assert session.programs(session.track(9)) == ()


class TestTakes:
    def test_a_take_sounds_with_what_was_played(self, session: Session, track: Track) -> None:
        session.play(track, Note(4, 960, 0, 50, 960, 90))
        session.place(take(1, 4))
        assert pitches(session, track, 4) == [60, 50]
        assert session.bars(track) == {4, 5}

    def test_asking_again_replaces_and_undo_brings_back(
        self, session: Session, track: Track
    ) -> None:
        session.place(take(1, 4, pitch=61))
        session.place(take(2, 4, pitch=62))
        assert pitches(session, track, 4) == [62]
        assert session.undo(track)
        assert pitches(session, track, 4) == [61]
        assert session.undo(track)
        assert pitches(session, track, 4) == []
        assert not session.undo(track)
        assert session.redo(track) and session.redo(track)
        assert pitches(session, track, 4) == [62]

    def test_a_part_that_is_covered_is_not_heard(self, session: Session, track: Track) -> None:
        session.place(take(1, 4, 4, pitch=61))
        session.place(take(2, 6, 4, pitch=62))
        assert [pitches(session, track, bar) for bar in range(4, 10)] == [
            [61], [61], [62], [62], [62], [62],
        ]  # fmt: skip

    def test_a_silent_take_silences(self, session: Session, track: Track) -> None:
        session.place(take(1, 4))
        session.place(Take(2, 1, 4, 2, closed=True))
        assert pitches(session, track, 4) == []

    def test_undo_is_of_one_track(self, session: Session, track: Track) -> None:
        session.place(take(1, 4))
        session.place(take(2, 4, track=2))
        assert session.undo(track)
        assert pitches(session, session.track(2), 4) == [60]

    def test_keep_and_discard(self, session: Session, track: Track) -> None:
        session.place(take(1, 4, pitch=61))
        session.takes[2] = take(2, 4, pitch=62)
        session.keep(session.takes[2])
        assert pitches(session, track, 4) == [62]
        session.discard(session.takes[2])
        assert pitches(session, track, 4) == [61]
        assert session.undo(track)
        assert pitches(session, track, 4) == [62]

    def test_clearing_forgets_the_past_and_undo_finds_the_takes(
        self, session: Session, track: Track
    ) -> None:
        session.play(track, Note(0, 0, 0, 60, 960, 90))
        session.press(track, 64, 90, 0)
        session.place(take(1, 4))
        session.take_changes()
        session.clear(track)
        assert not session.bars(track)
        assert not session.sounding(960)
        assert session.take_changes() == [0, 4, 5]
        assert session.undo(track)
        assert session.bars(track) == {4, 5}

    def test_everything_can_be_told_anew(self, session: Session, track: Track) -> None:
        session.play(track, Note(3, 0, 0, 60, 960, 90))
        session.place(take(1, 8, track=2))
        session.take_changes()
        assert not session.has_changes()
        session.touch_all()
        assert session.take_changes() == [3, 8, 9]


class Story(RuleBasedStateMachine):
    """Whatever happens: undo takes it back step by step, and no change goes unnoticed."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session()
        self.past: dict[int, list] = {1: [], 2: []}
        self.future: dict[int, list] = {1: [], 2: []}
        self.told: dict[int, list[Note]] = {}
        for number in self.past:
            self.session.track(number)

    def view(self, number: int) -> object:
        now = self.session.track(number).history.now
        return copy.deepcopy(now)

    def step(self, number: int, before: object) -> None:
        if self.view(number) != before:
            self.past[number].append(before)
            self.future[number].clear()

    tracks = st.integers(1, 2)
    bars = st.integers(0, 8)

    @rule(number=tracks, bar=bars, pitch=st.integers(40, 80))
    def play(self, number: int, bar: int, pitch: int) -> None:
        self.session.play(self.session.track(number), Note(bar, 0, 0, pitch, 960, 90))

    @rule(number=tracks, bar=bars, bars=st.integers(1, 4), pitch=st.integers(40, 80))
    def place(self, number: int, bar: int, bars: int, pitch: int) -> None:
        before = self.view(number)
        self.session.place(take(len(self.session.takes) + 1, bar, bars, pitch, number))
        self.step(number, before)

    @rule(number=tracks, bar=bars, pitch=st.integers(40, 80))
    def alternative(self, number: int, bar: int, pitch: int) -> None:
        other = take(len(self.session.takes) + 1, bar, 2, pitch, number)
        self.session.takes[other.number] = other

    @precondition(lambda self: self.session.takes)
    @rule(data=st.data(), keep=st.booleans())
    def judge(self, data: st.DataObject, keep: bool) -> None:
        judged = data.draw(st.sampled_from(list(self.session.takes.values())))
        before = self.view(judged.track)
        (self.session.keep if keep else self.session.discard)(judged)
        self.step(judged.track, before)

    @rule(number=tracks)
    def clear(self, number: int) -> None:
        before = self.view(number)
        self.session.clear(self.session.track(number))
        self.step(number, before)

    @rule(number=tracks)
    def undo(self, number: int) -> None:
        before = self.view(number)
        assert self.session.undo(self.session.track(number)) == bool(self.past[number])
        if self.past[number]:
            assert self.view(number) == self.past[number].pop()
            self.future[number].append(before)

    @rule(number=tracks)
    def redo(self, number: int) -> None:
        before = self.view(number)
        assert self.session.redo(self.session.track(number)) == bool(self.future[number])
        if self.future[number]:
            assert self.view(number) == self.future[number].pop()
            self.past[number].append(before)

    @rule(number=tracks, program=st.integers(0, 3))
    def program(self, number: int, program: int) -> None:
        self.session.set_program(self.session.track(number), program)

    @rule()
    def listen(self) -> None:
        for bar in self.session.take_changes():
            self.told[bar] = self.session.mix(bar)
        for bar in range(14):
            assert self.told.get(bar, []) == self.session.mix(bar)

    @invariant()
    def every_bar_with_notes_is_known(self) -> None:
        for number in self.past:
            track = self.session.track(number)
            sounding = {bar for bar in range(14) if self.session.notes(track, bar)}
            assert sounding <= self.session.bars(track)

    def teardown(self) -> None:
        for number in self.past:
            track = self.session.track(number)
            while self.session.undo(track):
                pass
            assert not self.session.active(track)
            assert not track.history.now.kept


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.integers(0, 8)))
def test_bars_that_changed_come_once_and_in_order(bars: list[int]) -> None:
    session = Session()
    for bar in bars:
        session.play(session.track(1), Note(bar, 0, 0, 60, 960, 90))
    assert session.take_changes() == sorted(set(bars))


def test_what_no_hands_can_play_is_not_kept() -> None:
    session = Session()
    track = session.track(1)
    for n in range(MAX_HAND_NOTES + 10):
        session.press(track, n % 128, 90, 0)
        session.release(track, n % 128, 10)
    assert len(track.played[0]) == MAX_HAND_NOTES
    assert len(list(session.heard(0, 100))) == 100
