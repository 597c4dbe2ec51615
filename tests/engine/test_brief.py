"""From what was asked to what is made: who decides what, and where it goes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import presets
from engine.brief import (
    MOST_SEQUENCES,
    Brief,
    Place,
    chart_bars,
    has_context,
    new_take,
    phrase_bars,
    settle,
    variation_source,
    wish_for,
)
from engine.errors import Code, SidemanError
from engine.generate import plan_of
from engine.messages import Ask, Keys
from engine.music import DRUMS, Meter, MeterMap, Note
from engine.session import Session, Track
from engine.takes import Take
from engine.timing import Target
from tests.support.band import tune


def preset(midi: str = "", sampling: str = "") -> presets.Preset:
    text = f'kind = "midi"\n[sampling]\n{sampling}\n[midi]\n{midi}\n'
    return presets.parse(text, "some")


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def track(session: Session) -> Track:
    return session.track(1)


def brief(
    session: Session,
    keys: dict[str, Any] | None = None,
    *,
    verb: Any = "continue",
    midi: str = "",
    sampling: str = "",
    explicit: bool = False,
    parameters: dict[str, Any] | None = None,
    number: int = 1,
) -> Brief:
    ask = Ask(verb, 1, number, Keys.of(keys or {}))
    return settle(
        ask, session.track(number), session, preset(midi, sampling),
        explicit=explicit, parameters=parameters or {}, seed=5, way="osc",
    )  # fmt: skip


def place(bar: int = 8, bars: int = 2, tick: int = 0, source: int | None = None) -> Place:
    return Place(Target(bar, tick), bars, bar if source is None else source)


class TestWhoDecides:
    """The request, then the parameters, then the track, then the preset."""

    @pytest.mark.parametrize(
        ("keys", "parameters", "expected"),
        [
            ({"bars": 3}, {"bars": 5}, 3),
            ({}, {"bars": 5}, 5),
            ({}, {}, 7),
            ({"from": 4, "to": 6}, {"bars": 5}, 2),
        ],
    )
    def test_bars(
        self, session: Session, keys: dict[str, Any], parameters: dict[str, Any], expected: int
    ) -> None:
        settled = brief(session, keys, parameters=parameters, midi="bars = 7")
        assert settled.bars == expected

    def test_a_phrase_is_answered_at_its_own_length(self, session: Session, track: Track) -> None:
        for bar in (0, 1, 4, 5, 6):
            session.play(track, Note(bar, 0, 0, 60, 960, 90))
        assert phrase_bars(track, session) == 3
        assert brief(session, midi="call = 8\nbars = 2").bars == 3
        assert brief(session, midi="call = 2\nbars = 2").bars == 2
        assert brief(session, midi="bars = 2").bars == 2
        assert brief(session, {"bars": 5}, midi="call = 8").bars == 5
        assert brief(session, midi="call = 8\nbars = 2", number=2).bars == 2

    @pytest.mark.parametrize(
        ("keys", "parameters", "expected"),
        [({"temperature": 0.5}, {"temperature": 0.7}, 0.5), ({}, {"temperature": 0.0}, 0.0),
         ({}, {}, 1.5)],
    )  # fmt: skip
    def test_temperature(
        self, session: Session, keys: dict[str, Any], parameters: dict[str, Any], expected: float
    ) -> None:
        settled = brief(session, keys, parameters=parameters, sampling="temperature = 1.5")
        assert settled.temperature == expected

    def test_the_rest(self, session: Session) -> None:
        settled = brief(session, midi='key = "Dmin"\nlow = 40\nhigh = 70\ndensity = 2.0')
        assert (settled.key, settled.low, settled.high, settled.density) == ("Dmin", 40, 70, 2.0)
        assert (settled.late, settled.variations, settled.seed) == ("move", 1, 5)
        assert settled.deliver == {"osc"}
        settled = brief(
            session,
            {"key": "Cmaj", "low": 0, "high": 50, "seed": 0, "late": "drop", "deliver": "midi"},
            parameters={"density": 3.0, "late": "loop", "variations": 2},
            midi='key = "Dmin"\nlow = 40',
        )
        assert (settled.key, settled.low, settled.high, settled.density) == ("Cmaj", 0, 50, 3.0)
        assert (settled.late, settled.variations, settled.seed) == ("drop", 2, 0)
        assert settled.deliver == {"midi"}

    def test_a_density_of_zero_leaves_it_to_the_model(self, session: Session) -> None:
        assert brief(session, parameters={"density": 0.0}).density is None


class TestInstruments:
    def test_the_request_comes_first(self, session: Session, track: Track) -> None:
        track.program = 33
        for value, program in ((40, 40), ("drums", DRUMS), ("violin", 40)):
            settled = brief(session, {"program": value}, midi='programs = ["piano"]', explicit=True)
            assert settled.programs == (program,)

    def test_then_a_preset_that_was_named(self, session: Session, track: Track) -> None:
        track.program = 33
        midi = 'programs = ["piano", "drums"]'
        assert brief(session, midi=midi, explicit=True).programs == (0, DRUMS)
        assert brief(session, midi=midi).programs == (33,)

    def test_then_what_was_played_then_the_preset_in_use(
        self, session: Session, track: Track
    ) -> None:
        midi = 'programs = ["piano", "drums"]'
        assert brief(session, midi=midi).programs == (0, DRUMS)
        assert brief(session).programs == (0,)
        track.role = "drums"
        assert brief(session).programs == (DRUMS,)
        session.play(track, Note(0, 0, 40, 60, 960, 90))
        session.play(track, Note(1, 0, 42, 60, 960, 90))
        assert brief(session, midi=midi).programs == (40, 42)

    def test_channels(self, session: Session, track: Track) -> None:
        assert brief(session).channels == ((0, 1),)
        assert brief(session, number=3).channels == ((0, 3),)
        assert brief(session, {"program": "drums"}).channels == ((DRUMS, 10),)
        midi = 'programs = ["piano", "bass", "drums", "violin"]\nchannels = { bass = 7 }'
        settled = brief(session, midi=midi, explicit=True)
        assert dict(settled.channels) == {0: 1, 33: 7, DRUMS: 10, 40: 2}
        track.channel = 5
        assert brief(session).channels == ((0, 5),)
        settled = brief(session, midi=midi, explicit=True)
        assert dict(settled.channels)[0] == 5
        assert len(set(dict(settled.channels).values())) == 4

    def test_a_take_takes_them_over(self, session: Session) -> None:
        settled = brief(session, {"program": "drums", "seed": 9})
        take = new_take(7, settled, place(8, 2), 1)
        assert (take.number, take.track, take.bar, take.bars) == (7, 1, 8, 2)
        assert (take.seed, take.variation, take.channels) == (9, 1, {DRUMS: 10})
        assert (take.preset, take.model, take.verb) == ("some", "default", "continue")


class TestContext:
    def test_a_note_anywhere_or_a_key_that_is_down(self, session: Session, track: Track) -> None:
        assert not has_context(session, track)
        session.press(session.track(2), 60, 90, 0)
        assert has_context(session, track)
        session.release(session.track(2), 60, 960)
        assert has_context(session, track)

    def test_a_variation_of_the_last_bars(self, session: Session, track: Track) -> None:
        for bar in range(6):
            session.play(track, Note(bar, 0, 0, 60 + bar, 960, 90))
        found = variation_source(session, track, 2, Target(10), anywhere=True, whole=True)
        assert (found.target, found.bars, found.source) == (Target(10), 2, 4)
        assert [(n.bar, n.pitch) for n in found.reference] == [(0, 64), (1, 65)]

    def test_what_lies_behind_the_target_is_not_varied(
        self, session: Session, track: Track
    ) -> None:
        for bar in range(6):
            session.play(track, Note(bar, 0, 0, 60 + bar, 960, 90))
        found = variation_source(session, track, 2, Target(3), anywhere=True, whole=True)
        assert [(n.bar, n.pitch) for n in found.reference] == [(0, 61), (1, 62)]

    def test_a_take_that_is_to_come(self, session: Session, track: Track) -> None:
        session.play(track, Note(0, 0, 0, 60, 960, 90))
        session.place(Take(1, 1, 4, 3, notes=tune(4) + tune(6), closed=True))
        session.place(Take(2, 1, 8, 2, notes=tune(8), closed=True))
        for bars, target, anywhere, whole, expected in (
            (4, 2, True, True, (8, 2, 8)),
            (1, 2, True, False, (8, 1, 8)),
            (4, 2, False, True, (2, 4, -3)),
            (2, 9, True, True, (9, 2, 7)),
        ):
            found = variation_source(
                session, track, bars, Target(target), anywhere=anywhere, whole=whole
            )
            assert (found.target.bar, found.bars, found.source) == expected

    def test_nothing_to_vary(self, session: Session, track: Track) -> None:
        session.play(track, Note(5, 0, 0, 60, 960, 90))
        with pytest.raises(SidemanError) as caught:
            variation_source(session, track, 2, Target(3), anywhere=True, whole=True)
        assert caught.value.code == Code.NO_CONTEXT


class TestWishes:
    def test_the_others_are_given(self, session: Session, track: Track) -> None:
        session.play(session.track(2), Note(8, 0, 33, 40, 960, 90))
        session.play(track, Note(8, 0, 0, 60, 960, 90))
        wish = wish_for(brief(session), place(8, 2), session)
        assert [[row[3] for row in room.given] for room in wish.rooms] == [[40], []]
        assert wish.context_end == 8

    def test_accompaniment_hears_them_go_on_as_they_did(self, session: Session) -> None:
        other = session.track(2)
        for bar in range(4):
            session.play(other, Note(bar, 0, 33, 40 + bar, 960, 90))
        settled = brief(session, verb="accompany")
        wish = wish_for(settled, place(8, 2), session)
        assert [[row[3] for row in room.given] for room in wish.rooms] == [[42], [43]]
        wish = wish_for(settled, place(3, 2), session)
        assert [[row[3] for row in room.given] for room in wish.rooms] == [[43], []]

    def test_a_variation_hears_them_as_they_were(self, session: Session, track: Track) -> None:
        session.play(session.track(2), Note(4, 0, 33, 40, 960, 90))
        wish = wish_for(brief(session, verb="variation"), place(8, 2, source=4), session)
        assert [[row[3] for row in room.given] for room in wish.rooms] == [[40], []]

    def test_who_enters_in_the_middle_knows_what_came_before(
        self, session: Session, track: Track
    ) -> None:
        for note in [*tune(8, (60, 61, 62, 63)), *tune(9)]:
            session.play(track, note)
        for note in tune(8, (40, 41, 42, 43), program=33):
            session.play(session.track(2), note)
        session.press(session.track(3), 80, 90, session.meters.start(8) + 480)
        wish = wish_for(brief(session), place(8, 1, tick=1920), session)
        given = [(row[1], row[3]) for row in wish.rooms[0].given]
        assert sorted(given) == [
            (0, 40), (0, 60), (480, 80), (960, 41), (960, 61), (1920, 42), (2880, 43),
        ]  # fmt: skip
        held = next(row for row in wish.rooms[0].given if row[3] == 80)
        assert held[4] == 1440
        assert wish.start_tick == 1920

    def test_an_infill_has_candidates_and_knows_what_follows(self, session: Session) -> None:
        session.play(session.track(2), Note(10, 0, 33, 40, 960, 90))
        for variations in range(1, 9):
            settled = brief(session, {"variations": variations, "from": 8, "to": 10}, verb="infill")
            wish = wish_for(settled, place(8, 2), session)
            assert wish.candidates >= 2
            assert wish.candidates * variations <= MOST_SEQUENCES
            assert [row[3] for row in wish.after[0].given] == [40]
        assert not wish_for(brief(session), place(8, 2), session).after

    def test_chords_lie_in_their_bars(self, session: Session) -> None:
        session.meters = MeterMap([(9, Meter(3, 4))])
        settled = brief(session, {"chords": "C:2|Am:5"})
        wish = wish_for(settled, place(8, 2), session)
        spans = [[(s.start, s.end, s.pitch_classes) for s in room.chords] for room in wish.rooms]
        assert spans == [
            [(0, 1920, [0, 4, 7]), (1920, 3840, [0, 4, 9])],
            [(0, 2880, [0, 4, 9])],
        ]
        assert [(room.num, room.den) for room in wish.rooms] == [(4, 4), (3, 4)]

    def test_a_presets_chart_goes_round(self, session: Session) -> None:
        wish = wish_for(brief(session, midi='chords = "C:4|F:4"'), place(8, 5), session)
        roots = [room.chords[0].pitch_classes for room in wish.rooms]
        assert roots == [[0, 4, 7], [0, 5, 9]] * 2 + [[0, 4, 7]]
        asked = wish_for(
            brief(session, {"chords": "G:4"}, midi='chords = "C:4|F:4"'), place(8, 1), session
        )
        assert asked.rooms[0].chords[0].pitch_classes == [2, 7, 11]

    def test_a_wish_says_all_that_the_brief_does(self, session: Session) -> None:
        settled = brief(
            session,
            {"key": "Cmaj", "low": 40, "high": 70, "density": 2.0, "top_p": 0.5},
            midi="polyphony = 3\nchord_share = 0.9",
            sampling="repetition_penalty = 1.2\ndecay = 0.9\nwindow = 64\n"
            'curve = { shape = "sine", temperature = 0.2 }',
        )
        wish = wish_for(settled, place(), session)
        assert (wish.key, wish.low, wish.high) == ([0, 2, 4, 5, 7, 9, 11], 40, 70)
        assert (wish.density, wish.polyphony, wish.chord_share) == (2.0, 3, 0.9)
        assert (wish.top_p, wish.temperature, wish.seed) == (0.5, 0.95, 5)
        assert (wish.repetition_penalty, wish.penalty_decay, wish.penalty_window) == (1.2, 0.9, 64)
        assert wish.curve[:2] == ("sine", 0.2)

    @given(bar=st.integers(0, 99), bars=st.integers(1, 8), sixteenth=st.integers(0, 15))
    def test_every_wish_can_be_planned(self, bar: int, bars: int, sixteenth: int) -> None:
        session = Session()
        for number in (1, 2):
            for each in range(max(0, bar - 2), bar + 3):
                for note in tune(each):
                    session.play(session.track(number), note)
        for verb in ("continue", "variation", "infill", "accompany"):
            wish = wish_for(
                brief(session, verb=verb), place(bar, bars, tick=240 * sixteenth), session
            )
            plan = plan_of(wish)
            assert len(plan.bars) == bars
            assert plan.start == 240 * sixteenth
            assert all(0 <= note.tick < 3840 for each in plan.bars for note in each.given)


class TestChartBars:
    def test_meters_count(self) -> None:
        meters = MeterMap([(5, Meter(3, 4))])
        assert chart_bars("C:12", meters, 0) == 3
        assert chart_bars("C:10", meters, 4) == 3
        assert chart_bars("C|F|G", meters, 4) == 3

    def test_a_last_bar_that_is_begun_counts(self) -> None:
        assert chart_bars("C:4|F:1", MeterMap(), 0) == 2

    def test_longer_than_a_take(self) -> None:
        assert chart_bars("C:256", MeterMap(), 0) == 64
        with pytest.raises(SidemanError, match="64 bars"):
            chart_bars("C:257", MeterMap(), 0)
