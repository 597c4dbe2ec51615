"""What each command does, and that what is refused changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Code, SidemanError
from engine.messages.replies import Accepted, Done, Fail, Late, Pong, Synced, Value
from engine.music import DRUMS, Meter, MeterMap, Note
from engine.worker import wire
from tests.support.band import Band, tune
from tests.support.player import FakePlayer


@dataclass(frozen=True)
class File:
    """What a loader has read."""

    bars: int
    notes: tuple[Note, ...]
    meters: MeterMap = field(default_factory=MeterMap)
    program: int | None = None


def state(band: Band) -> Any:
    """All that a refused message must leave as it was."""
    session = band.session
    return (
        {
            number: (track.name, track.program, track.channel, track.preset, track.role,
                     track.history.now, {b: list(n) for b, n in track.played.items()},
                     dict(track.held))
            for number, track in session.tracks.items()
        },
        dict(session.takes), session.meters, dict(band.conductor.settings.values),
        band.conductor.clock.tick(band.now), len(band.requests), list(band.store.kinds()),
        band.conductor.status(),
    )  # fmt: skip


def heard(band: Band) -> dict[int, list[wire.NoteRow]]:
    """What the worker knows of each bar."""
    found = band.lines[-1]._worker._heard
    return {bar: [wire.row(note) for note in notes] for bar, (_, notes) in found.items() if notes}


def overheard(band: Band) -> list[Any]:
    """What is sent to the worker from now on; it does not get it."""
    sent: list[Any] = []
    band.lines[-1].send = sent.append  # type: ignore[method-assign]
    return sent


class TestWhere:
    """``next``, ``now`` and a bar number."""

    @pytest.mark.parametrize(("bar", "beat"), [(7, 0.0), (7, 0.01), (7, 3.2)])
    @pytest.mark.parametrize("playing", [False, True])
    def test_next_is_the_bar_line_after(
        self, rolling: Band, bar: int, beat: float, playing: bool
    ) -> None:
        rolling.transport(bar, beat, playing=playing)
        rolling.ask(1)
        assert rolling.replies(Accepted)[-1].bar == bar + 1

    def test_next_of_a_song_that_never_moved_is_bar_one(self, band: Band) -> None:
        band.play(range(1))
        band.ask(1)
        band.pump()
        assert band.clips()[0].opened.bar == 1

    @pytest.mark.parametrize(
        ("beat", "bar", "entry"), [(0.0, 7, 0.25), (1.3, 7, 1.5), (3.75, 8, 0.0), (3.9, 8, 0.0)]
    )
    def test_now_is_the_next_sixteenth(
        self, rolling: Band, beat: float, bar: int, entry: float
    ) -> None:
        rolling.transport(7, beat, playing=False)
        rolling.ask(1, at="now", bars=2, density=8)
        rolling.pump()
        assert rolling.replies(Accepted)[-1].bar == bar
        (clip,) = rolling.clips()
        clip.check()
        assert (clip.opened.bar, clip.opened.bars) == (bar, 2)
        assert all((note.bar, note.beat) >= (bar, entry) for note in clip.notes)

    def test_a_bar_by_its_number(self, rolling: Band) -> None:
        rolling.ask(1, at=20, bars=2)
        rolling.pump()
        rolling.clips()[0].check()
        assert rolling.clips()[0].opened.bar == 20

    def test_bars_are_those_of_the_meters(self, band: Band) -> None:
        band.transport(0, playing=False, meter=(3, 4))
        band.play(range(4), steps=3)
        band.transport(6, playing=False, meter=(6, 8))
        band.transport(3, playing=False, meter=(3, 4))
        band.ask(1, bars=4, density=4)
        band.pump()
        (clip,) = band.clips()
        clip.check(MeterMap([(0, Meter(3, 4)), (6, Meter(6, 8))]))
        assert clip.opened.bar == 4

    @pytest.mark.parametrize("name", ["piano", "3"])
    def test_a_track_by_its_name(self, band: Band, name: str) -> None:
        band.send("/sideman/track/set", 3, "name", "piano")
        band.play(range(2), track=name)
        band.ask(1, name)
        band.pump()
        assert band.clips()[0].opened.track == "piano"


class TestVerbs:
    def test_continue_follows_what_all_tracks_play(self, rolling: Band) -> None:
        rolling.ask(1, seed=5)
        rolling.pump()
        rolling.send("/sideman/discard", 1)
        rolling.play(range(4, 8), track=2, pitch=40)
        rolling.ask(2, seed=5)
        rolling.pump()
        assert rolling.clips(1)[0].rows() != rolling.clips(2)[0].rows()

    def test_a_variation_varies_the_last_bars(self, rolling: Band) -> None:
        rolling.ask(1, verb="variation", seed=5, bars=2)
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        assert (clip.opened.bar, clip.opened.bars) == (8, 2)
        rolling.ask(2, bars=2, seed=5)
        rolling.pump()
        assert rolling.clips(2)[0].rows() != clip.rows()

    def test_a_variation_knows_what_it_varies_and_hears_what_was_before(
        self, rolling: Band
    ) -> None:
        sent = overheard(rolling)
        rolling.ask(1, verb="variation", bars=2)
        wish = sent[-1].wish
        assert wish.context_end == 6
        assert [(row[0], row[1], row[3]) for row in wish.reference] == [
            (bar, 960 * i, 60 + 2 * i) for bar in range(2) for i in range(4)
        ]

    def test_a_variation_of_what_is_still_to_come_replaces_it(self, rolling: Band) -> None:
        rolling.ask(1, bars=3, at=10)
        rolling.pump()
        rolling.ask(2, verb="variation")
        rolling.pump()
        first, second = rolling.clips(1)[0], rolling.clips(2)[0]
        second.check()
        assert (second.opened.bar, second.opened.bars) == (10, 3)
        assert second.rows() != first.rows()
        track = rolling.session.track(1)
        assert [n.pitch for n in rolling.session.notes(track, 10)] == [
            n.pitch for n in rolling.session.takes[2].notes if n.bar == 10
        ]
        rolling.send("/sideman/undo", 1)
        assert rolling.replies(Done)[-1].args() == ("/sideman/undo", 1, 1)

    def test_a_variation_of_a_length(self, rolling: Band) -> None:
        rolling.ask(1, bars=4, at=10)
        rolling.pump()
        rolling.ask(2, verb="variation", bars=2)
        rolling.pump()
        assert (rolling.clips(2)[0].opened.bar, rolling.clips(2)[0].opened.bars) == (10, 2)
        rolling.ask(3, verb="variation", bars=2, at=20)
        rolling.pump()
        assert rolling.clips(3)[0].opened.bar == 20

    def test_nothing_to_vary(self, rolling: Band) -> None:
        rolling.ask(1, 2, verb="variation")
        assert rolling.fails() == ["no-context"]

    def test_an_infill_lies_between_two_bars(self, rolling: Band) -> None:
        rolling.play(range(10, 12))
        rolling.ask(1, verb="infill", variations=2, **{"from": 8, "to": 10})
        rolling.pump()
        for clip in rolling.clips():
            clip.check()
            assert (clip.opened.bar, clip.opened.bars) == (8, 2)
        job = rolling.lines[-1]._worker
        assert not job._jobs

    def test_an_infill_knows_what_follows(self, rolling: Band) -> None:
        sent = overheard(rolling)
        rolling.play(range(10, 12))
        rolling.ask(1, verb="infill", **{"from": 8, "to": 10})
        wish = sent[-1].wish
        assert wish.candidates > 1
        assert [row[3] for row in wish.after[0].given] == [60, 62, 64, 66]

    def test_accompany_plays_to_what_the_others_play(self, rolling: Band) -> None:
        rolling.ask(1, 2, verb="accompany", program=33, bars=2, seed=5)
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        assert clip.opened.track == "2"
        assert {note.program for note in rolling.session.takes[1].notes} == {33}

    def test_accompany_hears_what_they_are_known_to_play(self, rolling: Band) -> None:
        asked = {"verb": "accompany", "program": 33, "at": 2, "bars": 2, "seed": 5}
        rolling.transport(0, playing=False)
        rolling.ask(1, 2, **asked)
        rolling.pump()
        rolling.send("/sideman/discard", 1)
        rolling.play(range(2, 4), track=3, pitch=80)
        rolling.ask(2, 2, **asked)
        rolling.pump()
        assert rolling.clips(1)[0].opened.bar == rolling.clips(2)[0].opened.bar == 2
        assert rolling.clips(1)[0].rows() != rolling.clips(2)[0].rows()

    def test_audio_needs_what_is_not_there(self, rolling: Band) -> None:
        rolling.ask(1, verb="audio", preset="lost sound")
        assert rolling.fails() == ["unknown-model"]


class TestKeys:
    def test_key_and_range(self, rolling: Band) -> None:
        rolling.ask(1, key="Cmaj", low=48, high=72, density=4)
        rolling.pump()
        notes = rolling.clips()[0].notes
        assert notes
        assert {note.pitch % 12 for note in notes} <= {0, 2, 4, 5, 7, 9, 11}
        assert all(48 <= note.pitch <= 72 for note in notes)

    def test_density(self, rolling: Band) -> None:
        for req, density in ((1, 1.0), (2, 4.0)):
            rolling.ask(req, density=density, bars=4)
            rolling.pump()
            count = len(rolling.clips(req)[0].notes)
            assert 0.7 * 16 * density <= count <= 1.3 * 16 * density

    def test_chords(self, rolling: Band) -> None:
        rolling.ask(1, chords="C:4|Am:4", bars=2, density=4)
        rolling.pump()
        tones = ({0, 4, 7}, {9, 0, 4})
        notes = rolling.clips()[0].notes
        inside = sum(note.pitch % 12 in tones[note.bar - 8] for note in notes)
        assert inside >= 0.8 * len(notes)

    def test_an_instrument_by_name(self, rolling: Band) -> None:
        rolling.ask(1, program="bass")
        rolling.pump()
        assert {note.program for note in rolling.session.takes[1].notes} == {33}

    def test_a_preset_by_name(self, rolling: Band) -> None:
        channels = set()
        for req in range(1, 7):  # in any one of them somebody may be silent
            rolling.ask(req, preset="trio", density=4, bars=8, seed=req)
            rolling.pump()
            (clip,) = rolling.clips(req)
            clip.check()
            channels |= {note.channel for note in clip.notes}
            take = rolling.session.takes[req]
            assert take.preset == "trio"
            assert {take.channels[n.program] for n in take.notes} == {n.channel for n in clip.notes}
            rolling.send("/sideman/discard", req)
        assert channels == {1, 2, 10}

    def test_a_preset_of_the_track(self, rolling: Band) -> None:
        rolling.send("/sideman/track/set", 1, "preset", "opener")
        rolling.ask(1)
        rolling.pump()
        assert rolling.clips()[0].opened.bars == 2

    def test_parameters_hold_where_the_request_is_silent(self, rolling: Band) -> None:
        rolling.send("/sideman/set", "bars", 1)
        rolling.send("/sideman/set", "variations", 2)
        rolling.send("/sideman/set", "seed", 9)
        rolling.ask(1)
        rolling.ask(2, bars=3, variations=1)
        rolling.pump()
        assert [clip.opened.bars for clip in rolling.clips(1)] == [1, 1]
        assert [clip.opened.bars for clip in rolling.clips(2)] == [3]
        assert {take.seed for take in rolling.session.takes.values()} == {9}

    @pytest.mark.parametrize(
        ("keys", "code"),
        [
            ({"chords": "C:4|H:4"}, "bad-arguments"),
            ({"chords": "C:4", "bars": 2}, "bad-arguments"),
            ({"chords": "C:4|C:4|C:4", "bars": 2}, "bad-arguments"),
            ({"key": "Hmaj"}, "bad-arguments"),
            ({"program": "kazoo"}, "bad-arguments"),
            ({"preset": "nobody"}, "unknown-preset"),
            ({"preset": "lost"}, "unknown-model"),
            ({"low": 61, "high": 61, "key": "Cmaj"}, "bad-arguments"),
            ({"bars": 0}, "bad-arguments"),
            ({"bars": 10_000}, "bad-arguments"),
            ({"temperature": float("nan")}, "bad-arguments"),
            ({"verb": "infill", "from": 4, "to": 4}, "bad-arguments"),
            ({"verb": "infill"}, "bad-arguments"),
            ({"late": "never"}, "bad-arguments"),
        ],
    )
    def test_what_cannot_be_fulfilled_changes_nothing(
        self, rolling: Band, keys: dict[str, Any], code: str
    ) -> None:
        before = state(rolling)
        rolling.ask(1, **keys)
        (fail,) = rolling.replies(Fail)
        assert (fail.req, fail.code) == (1, code)
        assert fail.text and "\n" not in fail.text
        assert state(rolling) == before
        rolling.ask(1)
        rolling.pump()
        assert rolling.order()[-1] == "done"


class TestContext:
    def test_nothing_was_played(self, band: Band) -> None:
        band.ask(1)
        assert band.fails() == ["no-context"]

    @pytest.mark.parametrize("keys", [{"preset": "opener"}, {"chords": "C:16"}])
    def test_a_preset_that_may_begin_and_chords_need_none(
        self, band: Band, keys: dict[str, Any]
    ) -> None:
        band.ask(1, bars=4, **keys)
        band.pump()
        band.clips()[0].check()

    def test_a_note_that_is_held_is_enough(self, band: Band) -> None:
        band.transport(0)
        band.send("/sideman/track/on", 1, 60, 90)
        band.wait(0.2)
        band.ask(1)
        band.pump()
        assert band.order()[-1] == "done"

    def test_clearing_forgets(self, rolling: Band) -> None:
        rolling.ask(1, seed=5)
        rolling.pump()
        rolling.send("/sideman/track/clear", 1)
        assert rolling.replies(Done)[-1].args() == ("/sideman/track/clear",)
        rolling.ask(2)
        assert rolling.fails() == ["no-context"]
        rolling.wait(0.05, pump=True)
        assert heard(rolling) == {}

    def test_held_notes_count_with_their_length_so_far(self, rolling: Band) -> None:
        rolling.transport(8, 1.0)
        rolling.send("/sideman/track/on", 1, 48, 80)
        rolling.wait(0.5)
        rolling.ask(1)
        ((_, tick, _, pitch, duration, velocity),) = heard(rolling)[8]
        assert (tick, pitch, velocity) == (960, 48, 80)
        assert duration == pytest.approx(960, abs=2)
        # Once it ends, it has its real length.
        rolling.wait(0.25)
        rolling.send("/sideman/track/off", 1, 48)
        rolling.wait(0.05)
        assert heard(rolling)[8][0][4] == pytest.approx(1440, abs=2)

    def test_held_notes_count_at_now_as_well(self, rolling: Band) -> None:
        rolling.transport(8, 1.0)
        rolling.send("/sideman/track/on", 1, 48, 80)
        rolling.wait(0.5)
        sent = overheard(rolling)
        rolling.ask(1, at="now", late="shorten")
        given = sent[-1].wish.rooms[0].given
        assert [(row[1], row[3]) for row in given] == [(960, 48)]
        assert sent[-1].wish.start_tick >= 1920

    def test_a_take_is_heard_by_the_next(self, rolling: Band) -> None:
        rolling.ask(1, bars=2)
        rolling.pump()
        rolling.ask(2, at=10)
        take = rolling.session.takes[1]
        assert heard(rolling)[8] == [wire.row(note) for note in take.notes if note.bar == 8]

    def test_a_take_that_is_replaced_is_not(self, rolling: Band) -> None:
        for req in (1, 2):
            rolling.ask(req, bars=1, seed=req)
            rolling.pump()
        rolling.wait(0.05, pump=True)
        assert heard(rolling)[8] == [wire.row(note) for note in rolling.session.takes[2].notes]
        rolling.send("/sideman/undo", 1)
        rolling.wait(0.05, pump=True)
        assert heard(rolling)[8] == [wire.row(note) for note in rolling.session.takes[1].notes]
        rolling.send("/sideman/undo", 1)
        rolling.wait(0.05, pump=True)
        assert 8 not in heard(rolling)

    def test_the_worker_hears_of_a_take_without_being_asked(self, rolling: Band) -> None:
        rolling.transport(7, 2.0, playing=False)
        rolling.ask(1, bars=1)
        rolling.pump()
        rolling.wait(0.1)
        assert 8 in heard(rolling)


class TestTakes:
    def test_asking_again_replaces_and_undo_brings_back(self, rolling: Band) -> None:
        for req in (1, 2):
            rolling.ask(req, seed=req)
            rolling.pump()
        track = rolling.session.track(1)
        assert rolling.session.notes(track, 8) == [
            n for n in rolling.session.takes[2].notes if n.bar == 8
        ]
        for command, shown in (("undo", 1), ("undo", 0), ("redo", 1), ("redo", 2)):
            rolling.send(f"/sideman/{command}", 1)
            assert rolling.replies(Done)[-1].args() == (f"/sideman/{command}", 1, shown)
        rolling.send("/sideman/redo", 1)
        assert rolling.fails() == ["no-context"]

    def test_nothing_to_undo(self, rolling: Band) -> None:
        before = state(rolling)
        rolling.send("/sideman/undo", 1)
        rolling.send("/sideman/redo", 1)
        assert rolling.fails() == ["no-context", "no-context"]
        assert state(rolling) == before

    def test_a_kept_alternative_is_the_one_that_sounds(self, rolling: Band) -> None:
        rolling.ask(1, variations=3, bars=2)
        rolling.pump()
        rolling.send("/sideman/keep", 3)
        assert rolling.replies(Done)[-1].args() == ("/sideman/keep", 3)
        track = rolling.session.track(1)
        assert rolling.session.notes(track, 8) == [
            n for n in rolling.session.takes[3].notes if n.bar == 8
        ]
        rolling.send("/sideman/discard", 3)
        assert rolling.replies(Done)[-1].args() == ("/sideman/discard", 3)
        assert rolling.session.notes(track, 8) == [
            n for n in rolling.session.takes[1].notes if n.bar == 8
        ]

    @pytest.mark.parametrize("command", ["keep", "discard"])
    def test_a_take_that_is_not_there(self, rolling: Band, command: str) -> None:
        before = state(rolling)
        rolling.send(f"/sideman/{command}", 9)
        assert rolling.fails() == ["bad-arguments"]
        assert state(rolling) == before

    def test_a_take_that_is_still_being_made_cannot_be_kept(self, rolling: Band) -> None:
        rolling.ask(1)
        rolling.pump(wire.Made)
        rolling.send("/sideman/keep", 1)
        assert rolling.fails() == ["bad-arguments"]

    def test_the_journal_tells_of_each(self, rolling: Band) -> None:
        rolling.ask(1, variations=2)
        rolling.pump()
        for address in ("undo", "redo"):
            rolling.send(f"/sideman/{address}", 1)
        rolling.send("/sideman/keep", 2)
        rolling.send("/sideman/discard", 1)
        rolling.send("/sideman/track/clear", 1)
        kinds = rolling.store.kinds()
        assert {"placed", "alternative"} <= set(kinds)
        assert kinds[-5:] == ["undo", "redo", "keep", "discard", "clear"]


class TestTracks:
    def test_unknown_tracks(self, rolling: Band) -> None:
        for address, *args in (
            ("/sideman/continue", 1, "bass"),
            ("/sideman/undo", "bass"),
            ("/sideman/track/note", "bass", 60, 90, 0, 0.0, 1.0),
            ("/sideman/track/on", "bass", 60, 90),
            ("/sideman/track/clear", "bass"),
        ):
            before = state(rolling)
            rolling.send(address, *args)
            assert rolling.fails()[-1] == "unknown-track"
            assert state(rolling) == before

    def test_a_refusal_makes_no_track(self, rolling: Band) -> None:
        before = state(rolling)
        for address, *args in (
            ("/sideman/undo", 5),
            ("/sideman/variation", 1, 5),
            ("/sideman/continue", 1, 5, "preset", "nobody"),
            ("/sideman/track/set", 5, "name", "a/b"),
            ("/sideman/track/load", 5, "nowhere.mid"),
            ("/sideman/track/note", 5, 60, 90, 1_000_000, 99.0, 1.0),
        ):
            rolling.send(address, *args)
            assert rolling.fails()
            assert state(rolling) == before, address

    def test_what_a_track_is(self, band: Band) -> None:
        for key, value in (
            ("program", 33), ("channel", 4), ("preset", "trio"), ("name", "low"), ("role", "bass"),
        ):  # fmt: skip
            band.send("/sideman/track/set", 2, key, value)
        track = band.session.track("low")
        assert (track.program, track.channel, track.preset, track.role) == (33, 4, "trio", "bass")
        assert band.store.events[-1] == {
            "event": "track", "track": 2, "name": "low", "program": 33, "channel": 4,
            "preset": "trio", "role": "bass",
        }  # fmt: skip
        band.send("/sideman/track/set", "low", "drums", 1)
        assert track.program == DRUMS
        band.send("/sideman/track/set", "low", "drums", 0)
        assert track.program == 0
        assert not band.replies()

    @pytest.mark.parametrize(
        ("key", "value"),
        [("program", 128), ("channel", 17), ("preset", "nobody"), ("name", "a/b"), ("colour", 1)],
    )
    def test_what_a_track_cannot_be(self, band: Band, key: str, value: Any) -> None:
        band.session.track(2)
        before = state(band)
        band.send("/sideman/track/set", 2, key, value)
        assert band.fails()
        assert state(band) == before

    def test_notes_are_of_the_tracks_program(self, band: Band) -> None:
        band.send("/sideman/track/set", 2, "program", 33)
        band.play(range(1), track=2)
        assert {note.program for note in band.session.mix(0)} == {33}

    def test_notes_are_journalled_within_a_second(self, band: Band) -> None:
        band.play(range(2))
        assert "played" not in band.store.kinds()
        band.wait(1.1)
        played = [e for e in band.store.events if e["event"] == "played"]
        assert [(e["track"], e["bar"], len(e["notes"])) for e in played] == [(1, 0, 4), (1, 1, 4)]

    def test_panic_ends_every_note(self, rolling: Band) -> None:
        player = FakePlayer()
        rolling.requests.delivery.playing.connect(player)
        rolling.send("/sideman/track/on", 1, 60, 90)
        rolling.send("/sideman/track/on", 2, 40, 90)
        rolling.send("/sideman/panic")
        assert rolling.replies(Done)[-1].args() == ("/sideman/panic",)
        assert player.silenced
        assert not rolling.session.sounding(10**6)

    def test_a_velocity_of_zero_is_a_note_off(self, rolling: Band) -> None:
        rolling.send("/sideman/track/on", 2, 60, 90)
        rolling.wait(0.5)
        rolling.send("/sideman/track/on", 2, 60, 0)
        (note,) = rolling.session.notes(rolling.session.track(2), 7)
        assert note.duration == pytest.approx(960, abs=2)


class TestLoad:
    def test_a_file_is_the_past_and_ends_at_the_next_bar_line(self, rolling: Band) -> None:
        notes = tuple(note for bar in range(3) for note in tune(bar, (50, 52)))
        rolling.shelf.files["song.mid"] = File(3, notes, program=40)
        rolling.send("/sideman/track/load", 2, "song.mid")
        assert not rolling.replies(Done)
        rolling.shelf.read()
        assert rolling.replies(Done)[-1].args() == ("/sideman/track/load", 2, 3)
        track = rolling.session.track(2)
        assert sorted(rolling.session.bars(track)) == [5, 6, 7]
        assert track.program == 40
        assert {note.program for note in rolling.session.notes(track, 5)} == {40}
        rolling.ask(1, 2, seed=5)
        rolling.pump()
        assert rolling.clips()[0].opened.bar == 8

    def test_it_replaces_what_was_there(self, rolling: Band) -> None:
        rolling.shelf.files["song.mid"] = File(1, tuple(tune(0, (50,))))
        rolling.send("/sideman/track/load", 1, "song.mid")
        rolling.shelf.read()
        assert [n.pitch for n in rolling.session.mix(7)] == [50]
        assert sorted(rolling.session.bars(rolling.session.track(1))) == [7]

    def test_a_file_may_be_longer_than_the_song(self, band: Band) -> None:
        notes = tuple(note for bar in range(20) for note in tune(bar, (50,)))
        band.shelf.files["song.mid"] = File(20, notes)
        band.send("/sideman/track/load", 1, "song.mid")
        band.shelf.read()
        band.ask(1)
        band.pump()
        assert band.clips()[0].opened.bar == 1
        assert len(heard(band)) == 20

    def test_a_file_in_another_meter_keeps_its_time(self, rolling: Band) -> None:
        waltz = MeterMap([(0, Meter(3, 4))])
        notes = tuple(Note(bar, 960 * i, 0, 60, 960, 90) for bar in range(4) for i in range(3))
        rolling.shelf.files["waltz.mid"] = File(4, notes, waltz)
        rolling.send("/sideman/track/load", 2, "waltz.mid")
        rolling.shelf.read()
        track = rolling.session.track(2)
        beats = [(n.bar, n.beat) for bar in range(8) for n in rolling.session.notes(track, bar)]
        assert beats == [(bar, float(i)) for bar in range(5, 8) for i in range(4)]

    def test_commands_of_that_client_wait_for_the_file(self, band: Band) -> None:
        band.shelf.files["song.mid"] = File(1, tuple(tune(0)))
        band.send("/sideman/track/load", 1, "song.mid")
        band.ask(1)
        band.send("/sideman/continue", 2, "nobody")
        band.send("/sideman/sync", 5)
        band.send("/sideman/ping", 6)
        band.send("/sideman/sync", 7, client=2)
        assert [type(reply) for reply in band.replies()] == [Pong]
        assert band.replies(client=2) == [Synced(7)]
        band.shelf.read()
        kinds = [type(reply) for reply in band.replies()]
        assert kinds == [Pong, Done, Accepted, Fail, Synced]
        assert band.replies(Fail)[0].req == 2
        band.pump()
        assert band.order()[-1] == "done"

    def test_files_one_after_the_other(self, band: Band) -> None:
        for name, pitch in (("a.mid", 50), ("b.mid", 51)):
            band.shelf.files[name] = File(1, tuple(tune(0, (pitch,))))
        band.send("/sideman/track/load", 1, "a.mid")
        band.send("/sideman/track/load", 1, "b.mid")
        band.send("/sideman/sync", 1)
        band.shelf.read()
        assert not band.replies(Synced)
        band.shelf.read()
        assert band.replies(Synced)
        assert [n.pitch for n in band.session.mix(0)] == [51]

    def test_outside_the_folders(self, rolling: Band) -> None:
        before = state(rolling)
        rolling.send("/sideman/track/load", 1, "/etc/passwd")
        assert rolling.fails() == ["not-allowed"]
        assert state(rolling) == before
        rolling.send("/sideman/sync", 1)
        assert rolling.replies(Synced)

    def test_a_meter_that_changes_while_it_is_read(self, rolling: Band) -> None:
        rolling.shelf.files["song.mid"] = File(1, tuple(tune(0, (50,))))
        rolling.send("/sideman/track/load", 2, "song.mid")
        rolling.send("/sideman/transport", 1, 120.0, 6, 0.0, 3, 4, client=2)
        rolling.shelf.read()
        assert not rolling.replies(Done), "it has to be laid out anew"
        rolling.shelf.read()
        assert rolling.replies(Done)[-1].args() == ("/sideman/track/load", 2, 1)
        (note,) = rolling.session.notes(rolling.session.track(2), 6)
        assert (note.bar, note.beat) == (6, 2.0), "one beat of its four lies in the bar before"

    def test_it_is_in_the_journal_at_once(self, rolling: Band) -> None:
        notes = (*tune(0, (50,)), *tune(1, (51,)))
        rolling.shelf.files["song.mid"] = File(2, notes, program=40)
        rolling.send("/sideman/track/note", 2, 70, 90, 3, 0.0, 1.0)
        rolling.send("/sideman/track/load", 2, "song.mid")
        rolling.shelf.read()
        events = rolling.store.events[-4:]
        assert [e["event"] for e in events] == ["clear", "track", "played", "played"]
        assert [(e["bar"], e["notes"][0][3]) for e in events[2:]] == [(6, 50), (7, 51)]
        rolling.wait(2.0)
        played = [e for e in rolling.store.events if e["event"] == "played" and e["track"] == 2]
        assert played == events[2:], "and not once more"

    def long(self, band: Band) -> list[Any]:
        """A thousand bars of eight notes are loaded; what is sent to the worker from then on."""
        notes = tuple(n for bar in range(1000) for n in tune(bar, tuple(range(50, 54))) * 2)
        band.transport(1000, playing=False)
        band.shelf.files["long.mid"] = File(1000, notes)
        band.send("/sideman/track/load", 1, "long.mid")
        sent = overheard(band)
        band.shelf.read()
        return sent

    def test_a_long_file_is_told_a_little_at_a_time_the_latest_bars_first(self, band: Band) -> None:
        sent = self.long(band)
        band.wait(0.4)
        heard = [m.bars for m in sent if isinstance(m, wire.Hear)]
        assert all(sum(len(rows) for *_, rows in bars) <= 2000 + 8 for bars in heard)
        assert [bar for bars in heard for bar, *_ in bars] == list(range(1000, 0, -1))

    def test_a_trigger_does_not_wait_for_that(self, band: Band) -> None:
        sent = self.long(band)
        band.wait(0.005)
        band.ask(1)
        kinds = [type(m) for m in sent if not isinstance(m, wire.Ping)]
        make = kinds.index(wire.Make)
        told = {bar for m in sent[:make] if isinstance(m, wire.Hear) for bar, *_ in m.bars}
        assert told == set(range(1, 1001))

    def test_a_file_that_holds_too_much_for_a_bar(self, rolling: Band) -> None:
        before = state(rolling)
        rolling.shelf.files["noise.mid"] = File(1, tuple(tune(0)) * 2000)
        rolling.send("/sideman/track/load", 1, "noise.mid")
        rolling.send("/sideman/sync", 1)
        rolling.shelf.read()
        assert rolling.fails() == ["bad-arguments"]
        assert state(rolling) == before
        assert rolling.replies(Synced)

    @pytest.mark.parametrize("error", [SidemanError(Code.BAD_FILE, "it is empty"), OSError("no")])
    def test_a_file_that_cannot_be_read(self, rolling: Band, error: Exception) -> None:
        before = state(rolling)
        rolling.shelf.files["song.mid"] = error
        rolling.send("/sideman/track/load", 1, "song.mid")
        rolling.shelf.read()
        assert rolling.fails() == ["bad-file"]
        assert state(rolling) == before
        rolling.send("/sideman/sync", 1)
        assert rolling.replies(Synced)


class TestSteering:
    def test_ping_and_sync(self, rolling: Band) -> None:
        rolling.send("/sideman/ping", 4)
        rolling.send("/sideman/sync", 5)
        assert rolling.replies() == [Pong(4, rolling.now), Synced(5)]

    def test_a_preset_is_chosen(self, rolling: Band) -> None:
        rolling.send("/sideman/preset", "opener")
        assert rolling.replies(Done)[-1].args() == ("/sideman/preset", "opener")
        assert ("preset", "opener") in rolling.out.values
        assert rolling.status().preset == "opener"
        rolling.ask(1)
        rolling.pump()
        assert rolling.clips()[0].opened.bars == 2

    @pytest.mark.parametrize(
        ("name", "code"), [("nobody", "unknown-preset"), ("lost", "unknown-model")]
    )
    def test_a_preset_that_cannot_be(self, rolling: Band, name: str, code: str) -> None:
        before = state(rolling)
        rolling.send("/sideman/preset", name)
        rolling.send("/sideman/set", "preset", name)
        assert rolling.fails() == [code, code]
        assert state(rolling) == before

    def test_a_preset_with_another_model_loads_it(self, rolling: Band) -> None:
        rolling.send("/sideman/preset", "other")
        assert rolling.status().state == "loading"
        rolling.pump()
        assert rolling.status().state == "ready"

    def test_a_model_that_is_broken_makes_the_engine_degraded(
        self, rolling: Band, tmp_path: Path
    ) -> None:
        rolling.models["second"] = tmp_path
        rolling.send("/sideman/preset", "other")
        rolling.pump()
        assert rolling.status().state == "degraded"
        rolling.send("/sideman/preset", "plain")
        assert rolling.status().state == "ready"
        rolling.models["second"] = rolling.models["default"]
        rolling.send("/sideman/preset", "other")
        rolling.pump()
        assert rolling.status().state == "ready"

    def test_models_are_loaded_and_unloaded(self, rolling: Band) -> None:
        rolling.send("/sideman/model/load", "second")
        rolling.pump()
        assert rolling.worker.loaded("second") is not None
        rolling.send("/sideman/model/unload", "second")
        assert rolling.worker.loaded("second") is None
        rolling.send("/sideman/model/unload", "default")
        rolling.send("/sideman/model/load", "nowhere")
        rolling.send("/sideman/model/unload", "nowhere")
        assert rolling.fails() == ["not-allowed", "unknown-model", "unknown-model"]

    def test_a_model_that_was_unloaded_is_not_loaded_to_guess(self, rolling: Band) -> None:
        rolling.ask(1, preset="other")
        rolling.pump()
        rolling.send("/sideman/model/unload", "second")
        rolling.wait(5.0, pump=True)
        assert rolling.worker.loaded("second") is None

    def test_what_was_heard_while_no_model_was_there_is_heard_by_the_next(
        self, rolling: Band
    ) -> None:
        rolling.models["second"] = Path("/nowhere")
        rolling.send("/sideman/preset", "other")
        rolling.pump()
        rolling.send("/sideman/model/unload", "default")
        rolling.send("/sideman/track/clear", 1)
        rolling.play(range(2), track=2, pitch=40)
        rolling.wait(0.1)
        rolling.send("/sideman/preset", "plain")
        rolling.pump()
        assert sorted(heard(rolling)) == [0, 1]

    def test_adapters_and_learning_are_not_there(self, rolling: Band) -> None:
        rolling.send("/sideman/adapter", "jazz", 1.0)
        rolling.send("/sideman/learn", "continue")
        assert rolling.fails() == ["unknown-model", "not-allowed"]

    def test_others_hear_of_it(self, rolling: Band) -> None:
        rolling.send("/sideman/panic")
        assert rolling.out.shared[-1] == (1, Done("/sideman/panic"))


class TestParameters:
    def test_what_is_set_can_be_got(self, band: Band) -> None:
        band.send("/sideman/set", "temperature", 0.5)
        band.send("/sideman/get", "temperature")
        band.send("/sideman/listen", "temperature", 1)
        assert band.replies() == [Value("temperature", 0.5)] * 3
        assert band.out.values == [("temperature", 0.5)]

    def test_what_is_not_set_is_the_presets(self, band: Band) -> None:
        for name, value in (
            ("temperature", 0.95), ("bars", 4), ("seed", -1), ("late", "move"), ("speculation", 1),
            ("preset", "plain"), ("tempo", 120.0), ("playing", 0), ("meter", "4/4"),
        ):  # fmt: skip
            band.send("/sideman/get", name)
            assert band.replies()[-1] == Value(name, value)

    def test_the_song_is_told_to_those_that_listen(self, band: Band) -> None:
        band.transport(3, bpm=90.0, meter=(3, 4))
        assert band.out.values == [("tempo", 90.0), ("playing", 1)]
        band.send("/sideman/get", "meter")
        assert band.replies()[-1] == Value("meter", "3/4")
        band.send("/sideman/set", "tempo", 100.0)
        assert band.conductor.clock.bpm == 100.0

    @pytest.mark.parametrize(
        ("name", "value"), [("playing", 1), ("bars", 99), ("colour", 1), ("late", "soon")]
    )
    def test_what_cannot_be_set(self, band: Band, name: str, value: Any) -> None:
        before = state(band)
        band.send("/sideman/set", name, value)
        assert band.fails()
        assert state(band) == before

    def test_a_meter_is_journalled_once(self, band: Band) -> None:
        for bar in (2, 3):
            band.transport(bar, meter=(3, 4))
        events = [e for e in band.store.events if e["event"] == "meters"]
        assert [e["changes"] for e in events] == [[(0, 4, 4), (2, 3, 4)]]


class TestTime:
    def test_it_says_when_it_wants_to_be_called(self, rolling: Band) -> None:
        moment = rolling.conductor.next_moment(rolling.now)
        assert rolling.now < moment <= rolling.now + 0.5
        rolling.ask(1)
        assert rolling.conductor.next_moment(rolling.now) <= rolling.now + 0.005

    def test_time_tags_reach_eight_bars_ahead(self, rolling: Band) -> None:
        assert rolling.conductor.horizon_seconds(rolling.now) == 16.0

    def test_bar_after_bar_without_a_late_note(self, rolling: Band) -> None:
        """Each bar a request, its music played before it sounds."""
        for req in range(1, 201):
            rolling.play(range(7 + req, 8 + req), steps=1)
            rolling.ask(req, bars=1)
            rolling.pump()
            rolling.wait(2.0)
        assert not rolling.replies(Late)
        bars = [rolling.clips(req)[0].opened.bar for req in range(1, 201)]
        assert bars == list(range(8, 208))
