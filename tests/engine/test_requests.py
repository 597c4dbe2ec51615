"""Requests in time, rule by rule: the order of replies, late rules, dying workers, duplicates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine import requests
from engine.delivery import TOO_LATE_TO_HEAR
from engine.ledger import DECIDE_AHEAD, MOST_REQUESTS
from engine.messages.replies import Accepted, ClipClose, ClipNote, ClipOpen, Done, Fail, Late
from engine.worker import wire
from tests.support.band import Band
from tests.support.player import FakePlayer

BAR = 2.0
"""Seconds in a bar of 4/4 at 120 BPM; the song of ``rolling`` is 0.95 s before bar 8."""

SLOW = 0.5
"""Seconds to a token that make any first note take longer than a bar and a half."""


def slow(band: Band, token_seconds: float = SLOW) -> None:
    """Let the machine have measured itself as that slow."""
    band.requests.speed.token_seconds = token_seconds


class TestOrder:
    def test_a_request_from_beginning_to_end(self, rolling: Band) -> None:
        rolling.ask(1, bars=4, seed=5)
        accepted, *more = rolling.replies(Accepted)
        assert not more
        assert accepted.req == 1
        assert accepted.bar == 8
        assert 0 < accepted.eta_ms < 950
        rolling.pump()
        assert rolling.order() == ["accepted", "clip/open", "clip/note", "clip/close", "done"]
        (clip,) = rolling.clips()
        clip.check()
        assert (clip.opened.bar, clip.opened.bars, clip.opened.track) == (8, 4, "1")
        assert {note.channel for note in clip.notes} == {1}

    def test_notes_go_out_as_they_are_made(self, rolling: Band) -> None:
        rolling.ask(1)
        rolling.pump(wire.Made)
        assert rolling.order() == ["accepted", "clip/open", "clip/note"]
        (clip,) = rolling.clips()
        assert len(clip.notes) == len(rolling.heard[-1].notes) > 0

    def test_variations_have_a_take_each_and_all_are_opened_first(self, rolling: Band) -> None:
        rolling.ask(1, variations=4, seed=3)
        rolling.pump()
        kinds = rolling.order()
        assert kinds[:3] == ["accepted", "clip/open", "clip/note"]
        assert kinds[-2:] == ["clip/close", "done"]
        clips = rolling.clips()
        assert len(clips) == len({clip.take for clip in clips}) == 4
        for clip in clips:
            clip.check()
        assert len({tuple(clip.rows()) for clip in clips}) == 4
        rolling.ask(2, seed=3)
        rolling.pump()
        assert rolling.clips(2)[0].rows() == clips[0].rows()

    def test_done_comes_after_the_take_is_on_disk_and_in_the_journal(self, rolling: Band) -> None:
        rolling.store.slow = True
        rolling.ask(1)
        rolling.pump()
        assert rolling.order() == ["accepted", "clip/open", "clip/note"]
        assert rolling.store.kinds()[-1] == "take"
        rolling.store._later.pop(0)()
        assert rolling.store.kinds()[-1] == "placed"
        assert rolling.order()[-1] == "clip/note"
        rolling.store._later.pop(0)()
        assert rolling.order()[-1] == "clip/close"
        assert rolling.store.kinds()[-1] == "done"
        rolling.store._later.pop(0)()
        assert rolling.order()[-1] == "done"

    def test_a_disk_that_fails_does_not_stop_the_music(self, rolling: Band) -> None:
        rolling.store.broken = "no room left"
        rolling.ask(1)
        rolling.pump()
        assert rolling.order()[-2:] == ["clip/close", "done"]
        assert 1 in rolling.session.takes

    def test_the_journal_holds_the_request_and_its_outcome(self, rolling: Band) -> None:
        rolling.ask(7, seed=5, bars=2, deliver="osc")
        rolling.pump()
        events = [e for e in rolling.store.events if e["event"] in ("request", "done")]
        assert events == [
            {"event": "request", "client": 1, "req": 7, "verb": "continue", "track": 1,
             "keys": {"seed": 5, "bars": 2, "deliver": "osc"}, "seed": 5, "bar": 8, "bars": 2},
            {"event": "done", "client": 1, "req": 7, "takes": [1]},
        ]  # fmt: skip

    def test_others_are_told_if_they_want_to_know(self, rolling: Band) -> None:
        rolling.ask(1)
        rolling.pump()
        shared = [reply for besides, reply in rolling.out.shared if besides == 1]
        assert [r for r in shared if isinstance(r, ClipNote)] == rolling.replies(ClipNote)
        kinds = {type(reply) for reply in shared}
        assert {Accepted, ClipOpen, ClipNote, ClipClose, Done} <= kinds

    def test_a_take_says_where_it_came_from(self, rolling: Band) -> None:
        rolling.ask(1, seed=5)
        rolling.pump()
        (take,) = rolling.store.takes
        assert (take.seed, take.verb) == (5, "continue")
        assert (take.preset, take.model) == ("plain", "default")
        assert len(take.model_hash) == 64
        assert len(take.context_hash) == 16
        assert take.timing["first_note_ms"] >= 0
        assert take.notes == sorted(take.notes)

    def test_takes_are_numbered_one_after_the_other(self, rolling: Band) -> None:
        for req in (1, 2):
            rolling.ask(req, variations=2)
        rolling.pump()
        assert sorted(rolling.session.takes) == [1, 2, 3, 4]


class TestDuplicates:
    def test_a_request_that_lives_is_the_same_request(self, rolling: Band) -> None:
        rolling.ask(1)
        rolling.ask(1)
        rolling.ask(1, bars=7)
        first, second, third = rolling.replies(Accepted)
        assert first == second == third
        assert len(rolling.requests) == 1
        rolling.pump()
        assert len(rolling.clips()) == 1
        assert len([r for r in rolling.of(1) if isinstance(r, Done)]) == 1

    def test_another_client_may_use_the_same_number(self, rolling: Band) -> None:
        rolling.ask(1, client=1, seed=1)
        rolling.ask(1, client=2, seed=2)
        rolling.pump()
        for client in (1, 2):
            (clip,) = rolling.clips(1, client)
            clip.check()
        assert rolling.clips(1, 1)[0].rows() != rolling.clips(1, 2)[0].rows()

    def test_once_it_is_done_the_number_is_free(self, rolling: Band) -> None:
        rolling.ask(1)
        rolling.pump()
        rolling.ask(1)
        assert len(rolling.requests) == 1


class TestRepeatable:
    def test_the_same_seed_and_context_give_the_same_take(self, rolling: Band) -> None:
        rows = []
        for req, seed in ((1, 5), (2, 5), (3, 6)):
            rolling.ask(req, seed=seed)
            rolling.pump()
            rolling.send("/sideman/discard", rolling.clips(req)[0].take)
            rows.append(rolling.clips(req)[0].rows())
        assert rows[0] == rows[1] != rows[2]
        hashes = {take.context_hash for take in rolling.session.takes.values()}
        assert len(hashes) == 1

    def test_others_are_let_in_once_the_first_note_is_out(self, rolling: Band) -> None:
        rolling.ask(1)
        rolling.pump()
        (at,) = rolling.out.flushed
        said = [reply for _, reply in rolling.out.said[:at]]
        assert isinstance(said[-1], ClipNote)
        assert sum(isinstance(reply, ClipNote) for reply in said) == 1

    @pytest.mark.parametrize("speculation", [0, 1])
    def test_what_was_made_ahead_is_what_would_have_been_made(
        self, rolling: Band, speculation: int
    ) -> None:
        rolling.send("/sideman/set", "speculation", speculation)
        rolling.send("/sideman/set", "seed", 77)
        rolling.wait(0.05, pump=True)
        rolling.ask(1)
        rolling.pump()
        started = next(m for m in rolling.heard if isinstance(m, wire.Started))
        assert started.speculated == bool(speculation)
        if speculation:
            fresh = Band(rolling.models["default"])
            fresh.send("/sideman/set", "speculation", 0)
            fresh.play(range(8))
            fresh.transport(7, 2.0)
            fresh.ask(1, seed=77)
            fresh.pump()
            assert fresh.clips()[0].rows() == rolling.clips()[0].rows()

    def test_what_was_made_ahead_is_out_before_the_worker_is_asked(self, rolling: Band) -> None:
        rolling.wait(0.05, pump=True)
        rolling.ask(1)
        at_once = rolling.clips()[0].rows()
        assert at_once
        assert rolling.replies(Accepted)[-1].eta_ms == 0
        rolling.pump()
        whole = rolling.clips()[0]
        whole.check()
        assert whole.rows()[: len(at_once)] == at_once
        assert len(whole.rows()) > len(at_once)

    def test_what_was_made_ahead_outlives_the_worker_that_made_it(self, rolling: Band) -> None:
        rolling.wait(0.05, pump=True)
        rolling.ask(1, at=20)
        at_once = rolling.clips()[0].rows() if rolling.clips() else []
        rolling.kill()
        rolling.pump()
        assert rolling.clips()[0].rows()[: len(at_once)] == at_once
        assert rolling.order()[-1] == "done"

    def test_a_guess_knows_the_seed_that_will_be_drawn(self, rolling: Band) -> None:
        rolling.ask(1)
        rolling.pump()
        started = next(m for m in rolling.heard if isinstance(m, wire.Started))
        assert started.speculated
        (event,) = [e for e in rolling.store.events if e["event"] == "request"]
        assert event["seed"] == 1000
        # The next one has a seed of its own.
        rolling.ask(2)
        assert [e["seed"] for e in rolling.store.events if e["event"] == "request"][1] == 1001

    @pytest.mark.parametrize("change", ["key", "note", "density"])
    def test_a_wrong_guess_is_thrown_away(self, rolling: Band, change: str) -> None:
        keys: dict[str, Any] = {"key": {"key": "Cmin"}, "density": {"density": 2.0}}.get(change, {})
        if change == "note":
            rolling.play(range(7, 8), pitch=50, steps=1)
        rolling.ask(1, seed=5, **keys)
        rolling.pump()
        started = next(m for m in rolling.heard if isinstance(m, wire.Started))
        assert not started.speculated
        rolling.clips()[0].check()

    def test_what_was_asked_last_is_what_is_made_ahead(self, rolling: Band) -> None:
        rolling.ask(1, key="Dmin", bars=2)
        rolling.pump()
        rolling.send("/sideman/discard", 1)
        rolling.wait(0.05, pump=True)
        rolling.ask(2, key="Dmin", bars=2)
        rolling.pump()
        assert [m.speculated for m in rolling.heard if isinstance(m, wire.Started)] == [False, True]


class TestLateAtAcceptance:
    """The machine knows beforehand that the bar line can't be met."""

    def test_move_goes_to_the_first_bar_line_that_can_be_met(self, rolling: Band) -> None:
        slow(rolling)  # a first note in 4 s, and the next bar line is in 0.95 s
        rolling.ask(1, bars=1)
        accepted, late = rolling.fresh()[-2:]
        assert isinstance(accepted, Accepted) and isinstance(late, Late)
        assert accepted.eta_ms == pytest.approx(4000)
        ready = 4.0 + 1 * (48 * SLOW - BAR)  # what has to be made ahead of one bar
        bar = 8 + int((ready - 0.95) / BAR) + 1
        assert accepted.bar == bar
        assert late.rule == "move"
        assert late.ms == pytest.approx((ready - 0.95) * 1000, rel=0.02)
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        assert (clip.opened.bar, clip.opened.bars) == (bar, 1)
        assert rolling.requests.delivery.missed == 1

    def test_shorten_enters_in_the_middle(self, rolling: Band) -> None:
        slow(rolling, 0.15)
        rolling.requests.speed.bar_tokens = 5.0  # only the first note is late: by 0.28 s
        rolling.ask(1, bars=3, late="shorten", density=4)
        accepted, late = rolling.fresh()[-2:]
        assert accepted.bar == 8
        assert late.rule == "shorten"
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        assert clip.opened.bar + clip.opened.bars == 11
        first = clip.notes[0]
        assert (first.bar, first.beat) >= (8, 0.5)

    def test_shorten_to_nothing_is_too_late(self, rolling: Band) -> None:
        slow(rolling)
        rolling.ask(1, bars=1, late="shorten")
        assert rolling.order() == ["late", "fail"]
        assert rolling.fails() == ["too-late"]

    def test_loop_plays_the_last_bars_until_then(self, rolling: Band) -> None:
        slow(rolling, 0.3)  # 2.4 s: one bar line is missed
        rolling.requests.speed.bar_tokens = 1.0
        rolling.ask(1, bars=2, late="loop")
        (accepted,), (late,) = rolling.replies(Accepted), rolling.replies(Late)
        assert accepted.bar == 8
        assert late.rule == "loop"
        assert rolling.order() == ["accepted", "late", "clip/open", "clip/note"], "it plays at once"
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        assert (clip.opened.bar, clip.opened.bars) == (8, 3)
        loop = [(note.beat, note.pitch) for note in clip.notes if note.bar == 8]
        assert loop == [(float(i), 60 + 2 * i) for i in range(4)]
        assert any(note.bar >= 9 for note in clip.notes)

    def test_drop_says_so_and_makes_nothing(self, rolling: Band) -> None:
        slow(rolling)
        rolling.ask(1, late="drop")
        assert rolling.order() == ["late", "fail"]
        assert rolling.fails() == ["too-late"]
        assert not len(rolling.requests)
        rolling.pump()
        assert rolling.order() == ["late", "fail"]

    def test_what_stands_still_is_never_late(self, rolling: Band) -> None:
        slow(rolling, 30.0)
        rolling.transport(7, 2.0, playing=False)
        rolling.ask(1, late="drop")
        assert rolling.replies(Accepted)[0].bar == 8
        rolling.pump()
        assert rolling.order()[-1] == "done"

    def test_requests_before_it_count(self, rolling: Band) -> None:
        slow(rolling, 0.002)
        rolling.ask(1, at=60, bars=16)
        first = rolling.replies(Accepted)[-1].eta_ms
        rolling.ask(2, at=60, bars=16)
        second = rolling.replies(Accepted)[-1].eta_ms
        assert second == pytest.approx(first + 16 * 48 * 2.0)
        # What is due later waits for what is due earlier, not the other way round.
        rolling.ask(3, at=59)
        assert rolling.replies(Accepted)[-1].eta_ms == pytest.approx(first)

    def test_a_bar_that_has_gone_by_is_missed(self, rolling: Band) -> None:
        rolling.ask(1, at=3)
        assert rolling.replies(Accepted)[-1].bar == 8
        assert [late.req for late in rolling.replies(Late)] == [1]


class TestLateAtTheBarLine:
    """It looked as if there was time, and there was not."""

    def begin(self, band: Band, **keys: Any) -> None:
        band.ask(1, seed=5, density=4, **keys)
        assert band.replies(Accepted)[-1].bar == 8
        assert not band.replies(Late)

    def test_nothing_is_said_before_the_bar_line(self, rolling: Band) -> None:
        self.begin(rolling)
        rolling.wait(0.95 - DECIDE_AHEAD - 0.005)
        assert rolling.order() == ["accepted"]
        rolling.wait(0.01)
        assert rolling.order() == ["accepted", "late"]

    def test_one_note_in_time_is_in_time(self, rolling: Band) -> None:
        self.begin(rolling)
        rolling.pump(wire.Made)
        rolling.wait(0.96)
        assert not rolling.replies(Late)

    @pytest.mark.parametrize("missed", [1, 2, 3])
    def test_move(self, rolling: Band, missed: int) -> None:
        self.begin(rolling, bars=2)
        rolling.wait(0.96 + BAR * (missed - 1))
        assert [late.rule for late in rolling.replies(Late)] == ["move"] * missed
        assert all(late.ms > 0 for late in rolling.replies(Late))
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        assert (clip.opened.bar, clip.opened.bars) == (8 + missed, 2)
        assert rolling.session.takes[1].bar == 8 + missed
        whole = ["accepted", "late", "clip/open", "clip/note", "clip/close", "done"]
        assert rolling.order() == whole

    def test_what_is_moved_is_the_same_music(self, rolling: Band) -> None:
        self.begin(rolling)
        rolling.pump()
        rolling.send("/sideman/discard", 1)
        rolling.ask(2, seed=5, density=4)
        rolling.wait(0.96)
        rolling.pump()
        assert rolling.clips(2)[0].rows() == rolling.clips(1)[0].rows()

    def test_shorten_leaves_the_beginning_out(self, rolling: Band) -> None:
        rolling.ask(2, seed=5, density=4, bars=2)
        rolling.pump()
        rolling.send("/sideman/discard", 1)
        self.begin(rolling, bars=2, late="shorten")
        slow(rolling, 0.2)  # the first note is 1.6 s away: 13 sixteenths
        rolling.wait(0.96)
        (late,) = rolling.replies(Late)
        assert late.rule == "shorten"
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        assert (clip.opened.bar, clip.opened.bars) == (8, 2)
        rows = rolling.clips(2)[0].rows()
        assert clip.rows() == [row for row in rows if (row[0], row[1]) >= (0, 3.25)]
        assert len(clip.rows()) < len(rows)

    def test_loop(self, rolling: Band) -> None:
        self.begin(rolling, bars=2, late="loop")
        rolling.wait(0.96)
        assert rolling.order() == ["accepted", "late", "clip/open", "clip/note"]
        (clip,) = rolling.clips()
        assert (clip.opened.bar, clip.opened.bars) == (8, 3)
        loop = [(note.bar, note.beat, note.pitch) for note in clip.notes]
        assert loop == [(8, float(i), 60 + 2 * i) for i in range(4)]
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        assert [(n.bar, n.beat, n.pitch) for n in clip.notes[:4]] == loop
        assert clip.notes[4].bar >= 9
        assert rolling.session.takes[1].bars == 3

    @pytest.mark.parametrize("known", [False, True], ids=["at the bar line", "beforehand"])
    def test_a_loop_goes_on_where_the_next_bar_line_is_missed_too(
        self, rolling: Band, known: bool
    ) -> None:
        rolling.ask(2, seed=5, density=4, bars=4)
        rolling.pump()
        rolling.send("/sideman/discard", 1)
        if known:
            slow(rolling, 0.3)
            rolling.requests.speed.bar_tokens = 1.0
            rolling.ask(1, seed=5, density=4, bars=4, late="loop")
            slow(rolling, 0.001)
        else:
            self.begin(rolling, bars=4, late="loop")
            rolling.wait(0.96)
        rolling.wait(0.96 + 2 * BAR - 0.96 * (not known))
        assert [late.rule for late in rolling.replies(Late)] == ["loop"] * 3
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        assert (clip.opened.bar, clip.opened.bars) == (8, 5), "what was told holds"
        for bar in (8, 9, 10):
            loop = [(note.beat, note.pitch) for note in clip.notes if note.bar == bar]
            assert loop == [(float(i), 60 + 2 * i) for i in range(4)]
        music = [(n.bar, n.beat, n.pitch) for n in clip.notes if n.bar >= 11]
        whole = [(bar + 11, beat, pitch) for bar, beat, _, pitch, *_ in rolling.clips(2)[0].rows()]
        assert music == [note for note in whole if note[0] < 13], "the same music, from its start"
        assert music and len(music) < len(whole)

    def test_a_loop_of_two_bars_goes_round(self, rolling: Band) -> None:
        rolling.send("/sideman/track/clear", 1)
        rolling.play(range(6, 7), pitch=40)
        rolling.play(range(7, 8), pitch=50)
        slow(rolling, 0.5)  # 4 s: two bar lines are missed
        rolling.requests.speed.bar_tokens = 1.0
        rolling.ask(1, bars=2, late="loop")
        slow(rolling, 0.001)
        rolling.wait(0.96 + 2 * BAR)
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        lowest = [min(n.pitch for n in clip.notes if n.bar == bar) for bar in (8, 9, 10)]
        assert lowest == [40, 50, 40]

    def test_a_loop_that_fills_the_take_is_the_end_of_it(self, rolling: Band) -> None:
        self.begin(rolling, bars=1, late="loop")
        rolling.wait(0.96 + 3 * BAR)
        assert rolling.order()[-2:] == ["late", "fail"]
        assert rolling.fails() == ["too-late"]
        assert not len(rolling.requests)
        rolling.pump()
        assert rolling.order()[-1] == "fail"
        (clip,) = rolling.clips()
        assert {note.bar for note in clip.notes} == {8}, "nothing beyond what was told"

    def test_loop_with_variations_loops_in_each(self, rolling: Band) -> None:
        self.begin(rolling, bars=1, late="loop", variations=2)
        rolling.wait(0.96)
        rolling.pump()
        for clip in rolling.clips():
            clip.check()
            assert [note.pitch for note in clip.notes if note.bar == 8] == [60, 62, 64, 66]

    def test_loop_of_nothing_is_a_move(self, rolling: Band) -> None:
        rolling.play(range(4), track=2)
        rolling.send("/sideman/track/clear", 1)
        self.begin(rolling, late="loop")
        rolling.wait(0.96)
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        assert clip.opened.bar == 9

    def test_long_notes_of_a_loop_end_where_the_music_begins(self, rolling: Band) -> None:
        rolling.send("/sideman/track/note", 1, 40, 90, 7, 0.5, 99.0)
        self.begin(rolling, bars=1, late="loop")
        rolling.wait(0.96)
        rolling.pump()
        (clip,) = rolling.clips()
        clip.check()
        drone = next(note for note in clip.notes if note.pitch == 40 and note.bar == 8)
        assert drone.duration == 3.5

    def test_a_loop_is_in_the_file_whatever_instrument_it_is(self, rolling: Band) -> None:
        self.begin(rolling, bars=1, late="loop", program=40)
        rolling.wait(0.96)
        rolling.pump()
        (take,) = rolling.store.takes
        assert {note.program for note in take.notes} == {0, 40} <= set(take.channels)

    def test_drop(self, rolling: Band) -> None:
        self.begin(rolling, late="drop")
        rolling.wait(0.96)
        assert rolling.order() == ["accepted", "late", "fail"]
        assert rolling.fails() == ["too-late"]
        rolling.pump()
        assert rolling.order() == ["accepted", "late", "fail"]
        assert not rolling.session.takes

    def test_a_bar_of_another_meter_gets_music_of_its_own(self, rolling: Band) -> None:
        rolling.transport(9, 0.0, playing=False, meter=(3, 4))
        rolling.transport(7, 2.0)
        self.begin(rolling, bars=2)
        rolling.wait(1.0)
        rolling.pump()
        (clip,) = rolling.clips()
        assert clip.opened.bar == 9
        clip.check(rolling.conductor.clock.meters)

    def test_chords_that_do_not_fill_the_other_bars_end_it(self, rolling: Band) -> None:
        rolling.transport(9, 0.0, playing=False, meter=(3, 4))
        rolling.transport(7, 2.0)
        self.begin(rolling, bars=1, chords="C:4")
        rolling.wait(1.0)
        rolling.pump()
        assert rolling.order() == ["accepted", "late", "fail"]
        assert not len(rolling.requests)

    def test_a_sixteenth_that_was_missed_moves_to_the_bar_line(self, rolling: Band) -> None:
        rolling.wait(0.03)  # a sixteenth lasts 125 ms; 75 ms are left of this one
        rolling.ask(1, at="now", bars=1, density=4)
        assert rolling.replies(Accepted)[-1].bar == 7
        rolling.wait(0.2)
        rolling.pump()
        assert [late.rule for late in rolling.replies(Late)] == ["move"]
        (clip,) = rolling.clips()
        clip.check()
        assert clip.opened.bar == 8
        assert clip.notes[0].beat < 1.0, "it fills the bar from its beginning"

    def test_a_note_after_its_moment_is_told_once_a_bar(self, rolling: Band) -> None:
        self.begin(rolling, bars=3)
        rolling.pump(wire.Made)
        rolling.wait(0.95 + 1.5 * BAR)
        rolling.pump()
        bars = rolling.replies(Late)
        assert len(bars) == 2
        assert rolling.status().late == 2

    def test_a_transport_that_passes_the_bar_line_does_not_hide_it(self, rolling: Band) -> None:
        self.begin(rolling)
        rolling.now += 0.97  # nobody looked in between
        rolling.transport(8, 0.04)
        assert rolling.order() == ["accepted", "late"]

    def test_a_transport_that_stops_makes_nothing_late(self, rolling: Band) -> None:
        self.begin(rolling)
        rolling.transport(7, 3.0, playing=False)
        rolling.wait(5.0)
        rolling.pump()
        assert rolling.order() == ["accepted", "clip/open", "clip/note", "clip/close", "done"]
        assert rolling.clips()[0].opened.bar == 8

    def test_a_transport_that_goes_elsewhere_makes_nothing_late(self, rolling: Band) -> None:
        self.begin(rolling)
        rolling.transport(30, 0.0)
        rolling.wait(3.0)
        rolling.pump()
        assert not rolling.replies(Late)
        assert rolling.clips()[0].opened.bar == 8

    def test_a_slower_tempo_leaves_more_time(self, rolling: Band) -> None:
        self.begin(rolling)
        rolling.send("/sideman/set", "tempo", 60.0)
        rolling.wait(1.5)
        assert not rolling.replies(Late)
        rolling.wait(0.5)
        assert rolling.replies(Late)

    def test_a_gap_is_filled_where_it_is(self, rolling: Band) -> None:
        rolling.play(range(12, 14))
        rolling.ask(1, verb="infill", **{"from": 8, "to": 12})
        rolling.wait(3.0)
        rolling.pump()
        assert not rolling.replies(Late)
        (clip,) = rolling.clips()
        clip.check()
        assert (clip.opened.bar, clip.opened.bars) == (8, 4)


class TestCancel:
    def test_it_ends_with_a_fail_and_says_nothing_more(self, rolling: Band) -> None:
        rolling.ask(1, bars=8)
        rolling.pump(wire.Made)
        rolling.send("/sideman/cancel", 1)
        assert rolling.fails() == ["cancelled"]
        assert rolling.replies(Done)[-1].args() == ("/sideman/cancel", 1)
        said = len(rolling.out.said)
        rolling.pump()
        assert len(rolling.out.said) == said
        assert not rolling.session.takes
        assert [e["event"] for e in rolling.store.events][-1] == "fail"

    def test_zero_is_all_of_ones_own(self, rolling: Band) -> None:
        for req in (1, 2):
            rolling.ask(req)
        rolling.ask(1, client=2)
        rolling.send("/sideman/cancel", 0)
        rolling.pump()
        assert rolling.fails() == ["cancelled", "cancelled"]
        assert not rolling.fails(2)
        assert rolling.order(1, 2)[-1] == "done"

    def test_what_is_not_there_can_be_cancelled(self, rolling: Band) -> None:
        rolling.send("/sideman/cancel", 99)
        assert rolling.replies(Done)[-1].args() == ("/sideman/cancel", 99)

    def test_a_take_that_is_being_written_is_not_closed(self, rolling: Band) -> None:
        rolling.store.slow = True
        rolling.ask(1)
        rolling.pump()
        rolling.send("/sideman/cancel", 1)
        rolling.store.flush()
        assert rolling.order()[-1] == "fail"
        assert not rolling.session.takes

    def test_the_next_one_works(self, rolling: Band) -> None:
        rolling.ask(1)
        rolling.pump(wire.Made)
        rolling.send("/sideman/cancel", 1)
        rolling.ask(1)
        rolling.pump()
        assert rolling.order()[-1] == "done"


class TestWorkerDies:
    def test_a_take_is_made_again_and_no_note_is_sent_twice(self, rolling: Band) -> None:
        rolling.transport(7, 2.0, playing=False)
        rolling.ask(1, seed=5, bars=4, variations=2)
        rolling.pump(wire.Made, times=3)
        rolling.kill()
        rolling.pump()
        assert rolling.order()[-1] == "done"
        clips = rolling.clips()
        for clip in clips:
            clip.check()
        rolling.ask(2, seed=5, bars=4, variations=2)
        rolling.pump()
        assert [clip.rows() for clip in rolling.clips(2)] == [clip.rows() for clip in clips]
        for clip in clips:
            assert len(rolling.session.takes[clip.take].notes) == len(clip.notes)

    def test_before_the_first_note_as_well(self, rolling: Band) -> None:
        rolling.transport(7, 2.0, playing=False)
        rolling.ask(1)
        rolling.kill()
        rolling.pump()
        assert rolling.order()[-1] == "done"

    def test_once_and_no_more(self, rolling: Band) -> None:
        rolling.transport(7, 2.0, playing=False)
        rolling.ask(1)
        rolling.kill()
        rolling.pump(wire.Loaded)
        rolling.kill()
        assert rolling.fails() == ["worker-died"]
        rolling.pump()
        rolling.ask(2)
        rolling.pump()
        assert rolling.order(2)[-1] == "done"

    def test_a_request_that_kills_every_worker_does_not_do_so_for_ever(self, rolling: Band) -> None:
        rolling.transport(7, 2.0, playing=False)
        rolling.ask(1)
        for _ in range(5):
            rolling.kill()
            rolling.pump(wire.Loaded)  # it is given the request and dies before it says a word
        assert rolling.fails() == ["worker-died"]
        assert not len(rolling.requests)

    def test_not_if_there_is_no_time(self, rolling: Band) -> None:
        rolling.ask(1, seed=5)  # nothing of it was made ahead
        rolling.wait(0.8)
        rolling.worker._load_seconds = 1.0
        rolling.kill()
        assert rolling.fails() == ["worker-died"]

    def test_if_there_is_time(self, rolling: Band) -> None:
        rolling.ask(1, seed=5)
        rolling.worker._load_seconds = 0.3
        rolling.kill()
        rolling.wait(0.3)
        rolling.pump()
        assert rolling.order() == ["accepted", "clip/open", "clip/note", "clip/close", "done"]
        assert rolling.clips()[0].opened.bar == 8

    def begun(self, band: Band) -> list[tuple[Any, ...]]:
        """A take of four bars of which two and a bit were sent; the song is in its first bar.

        Returns what it will be as a whole.
        """
        band.ask(9, seed=5, density=4, bars=4)
        band.pump()
        band.send("/sideman/discard", band.clips(9)[0].take)
        band.ask(1, seed=5, density=4, bars=4)
        while not band.clips() or band.clips()[0].notes[-1].bar < 10:
            band.pump(wire.Made)
        band.wait(1.5)
        assert not band.replies(Late)
        return band.clips(9)[0].rows()

    def test_after_its_first_bar_line_a_take_goes_on_where_it_was(self, rolling: Band) -> None:
        whole = self.begun(rolling)
        sent = len(rolling.clips()[0].notes)
        assert 0 < sent < len(whole)
        rolling.worker._load_seconds = 1.0
        rolling.kill()
        rolling.wait(1.0)
        rolling.pump()
        assert rolling.order() == ["accepted", "clip/open", "clip/note", "clip/close", "done"]
        (clip,) = rolling.clips()
        clip.check()
        assert clip.rows() == whole
        assert len(rolling.session.takes[clip.take].notes) == len(whole)

    def test_not_if_the_song_will_have_played_all_that_was_sent(self, rolling: Band) -> None:
        self.begun(rolling)  # it has sent some of bar 10, and bar 11 begins in 5.45 s
        rolling.worker._load_seconds = 5.5
        rolling.kill()
        assert rolling.fails() == ["worker-died"]
        assert "in the middle of the take" in rolling.replies(Fail)[0].text
        assert not len(rolling.requests)
        rolling.pump()
        assert rolling.order()[-1] == "fail", "and nothing more comes of it"
        rolling.ask(2)
        rolling.pump()
        assert rolling.order(2)[-1] == "done"

    def test_not_if_the_next_worker_takes_too_long(self, rolling: Band) -> None:
        self.begun(rolling)
        rolling.worker._load_seconds = 1.0
        rolling.kill()
        assert not rolling.fails()
        rolling.wait(5.5)
        rolling.pump(wire.Loaded)
        assert rolling.fails() == ["worker-died"]
        rolling.pump()
        assert rolling.order()[-1] == "fail"

    def test_a_transport_told_again_and_again_changes_nothing(self, rolling: Band) -> None:
        whole = self.begun(rolling)
        rolling.transport(8, 1.1)
        rolling.worker._load_seconds = 8.0
        rolling.kill()
        assert rolling.fails() == ["worker-died"]
        rolling.pump()
        assert len(rolling.clips()[0].notes) < len(whole)

    def test_a_loop_goes_on_until_the_next_worker_is_there(self, rolling: Band) -> None:
        rolling.ask(1, seed=5, bars=4, late="loop")
        rolling.wait(0.96)
        rolling.worker._load_seconds = 3.0
        rolling.kill()
        rolling.wait(3.0)
        rolling.pump()
        assert rolling.order()[-1] == "done"
        (clip,) = rolling.clips()
        clip.check()
        assert [n.pitch for n in clip.notes if n.bar == 9] == [60, 62, 64, 66]

    def test_a_take_on_another_past_is_not_mixed_in(self, rolling: Band) -> None:
        rolling.transport(7, 2.0, playing=False)
        rolling.ask(1, seed=5, density=4)
        rolling.pump(wire.Made, times=12)
        rolling.play(range(7, 8), pitch=30)
        rolling.kill()
        rolling.pump()
        assert rolling.fails() == ["worker-died"]
        assert rolling.order()[-1] == "fail"
        (clip,) = rolling.clips()
        assert clip.closed is None

    def test_what_is_made_is_not_made_again(self, rolling: Band) -> None:
        rolling.store.slow = True
        rolling.ask(1)
        rolling.pump()
        rolling.kill()
        rolling.pump()
        rolling.store.flush()
        assert rolling.order() == ["accepted", "clip/open", "clip/note", "clip/close", "done"]
        rolling.clips()[0].check()

    def test_variations_that_were_closed_stay_closed(self, rolling: Band) -> None:
        rolling.transport(7, 2.0, playing=False)
        rolling.ask(1, variations=3, bars=2)
        rolling.pump(wire.Finished)
        rolling.kill()
        rolling.pump()
        assert rolling.order()[-1] == "done"
        for clip in rolling.clips():
            clip.check()
        assert len(rolling.store.takes) == 3

    def test_the_new_worker_has_heard_everything(self, rolling: Band) -> None:
        rolling.ask(1, seed=5)
        rolling.pump()
        rolling.send("/sideman/discard", 1)
        rolling.wait(0.02, pump=True)
        rolling.kill()
        rolling.pump()
        rolling.ask(2, seed=5)
        rolling.pump()
        assert rolling.clips(2)[0].rows() == rolling.clips(1)[0].rows()

    def test_a_hung_worker_is_replaced_and_the_request_answered(self, rolling: Band) -> None:
        rolling.transport(7, 2.0, playing=False)
        rolling.ask(1)
        rolling.lines[-1].pongs = list  # type: ignore[method-assign]  # it answers nothing any more
        rolling.wait(5.0)
        assert rolling.worker.restarts == 1
        rolling.pump()
        assert rolling.order()[-1] == "done"


class TestLoading:
    def test_what_is_asked_before_the_model_is_there_is_made_once_it_is(
        self, band: Band, tiny_model: Any
    ) -> None:
        early = Band(tiny_model, start=False)
        early.conductor.start(early.now)
        early.play(range(4))
        early.ask(1, seed=5)
        early.ask(2, seed=5)
        assert [a.eta_ms > 1000 for a in early.replies(Accepted)] == [True, True]
        assert early.status().queued == 2
        early.pump()
        assert early.order(1)[-1] == early.order(2)[-1] == "done"
        assert sum(isinstance(m, wire.Loaded) for m in early.heard) == 1
        band.play(range(4))
        band.ask(1, seed=5)
        band.pump()
        assert band.clips()[0].rows() == early.clips()[0].rows()

    def test_a_model_that_cannot_be_loaded_fails_who_asked_for_it(
        self, rolling: Band, tmp_path: Any
    ) -> None:
        rolling.models["second"] = tmp_path
        rolling.ask(1, preset="other")
        rolling.ask(2)
        rolling.pump()
        assert rolling.order(1)[-1] == "fail"
        assert rolling.order(2)[-1] == "done"
        assert rolling.status().state == "ready"

    def test_a_preset_with_another_model_plays_by_it(self, rolling: Band) -> None:
        rolling.ask(1, preset="other")
        rolling.pump()
        assert rolling.order()[-1] == "done"
        assert rolling.store.takes[0].model == "second"


class TestMany:
    def test_more_than_enough_is_busy(self, rolling: Band) -> None:
        for req in range(1, MOST_REQUESTS + 3):
            rolling.ask(req, bars=1)
        assert rolling.fails() == ["busy", "busy"]
        assert len(rolling.requests) == MOST_REQUESTS
        rolling.ask(5)  # a repetition is none too many
        assert rolling.fails() == ["busy", "busy"]
        rolling.pump()
        rolling.ask(MOST_REQUESTS + 1)
        assert rolling.fails() == ["busy", "busy"]

    def test_status_counts(self, rolling: Band) -> None:
        rolling.ask(1, bars=4)
        rolling.ask(2, bars=4, at=20)
        assert (rolling.status().queued, rolling.status().generating) == (2, 0)
        rolling.pump(wire.Made)
        status = rolling.status()
        assert (status.state, status.queued, status.generating) == ("generating", 1, 1)
        rolling.pump()
        status = rolling.status()
        assert (status.state, status.queued, status.generating, status.takes) == ("ready", 0, 0, 2)

    def test_the_nearest_bar_line_is_served_first(self, rolling: Band) -> None:
        rolling.ask(1, at=30, bars=2)
        rolling.ask(2, at=20, bars=2)
        rolling.ask(3, bars=2)
        rolling.pump()
        done = [r.subject for r in rolling.replies(Done) if isinstance(r.subject, int)]
        assert done == [3, 2, 1]


class TestDelivery:
    def test_midi_needs_an_output(self, rolling: Band) -> None:
        rolling.ask(1, deliver="midi")
        assert rolling.fails() == ["not-allowed"]

    @pytest.mark.parametrize(("deliver", "by_osc"), [("midi", False), ("osc+midi", True)])
    def test_notes_go_the_ways_that_were_asked_for(
        self, rolling: Band, deliver: str, by_osc: bool
    ) -> None:
        player = FakePlayer()
        rolling.requests.delivery.playing.connect(player)
        rolling.ask(1, deliver=deliver, variations=2)
        rolling.pump()
        notes = rolling.session.takes[1].notes
        start = rolling.session.meters.absolute
        assert [(n.onset, n.pitch) for n in player.notes[1]] == [
            (start(n.onset), n.pitch) for n in notes
        ]
        assert bool(rolling.replies(ClipNote)) == by_osc
        assert rolling.order()[-1] == "done"
        assert len(rolling.store.takes) == 2


def test_undo_takes_back_what_is_being_made_once_midi_has_it(rolling: Band) -> None:
    player = FakePlayer()
    rolling.requests.delivery.playing.connect(player)
    rolling.ask(1, deliver="midi", bars=4)
    rolling.pump(until=wire.Made)
    assert player.notes[1]
    rolling.send("/sideman/undo", 1)
    assert [fail.code for fail in rolling.replies(Fail)] == ["cancelled"]
    assert rolling.replies(Done)[-1].args()[0] == "/sideman/undo"
    here = rolling.conductor.clock.tick(rolling.now)
    assert not [note for note in player.notes[1] if note.onset > here]
    rolling.send("/sideman/undo", 1)
    assert rolling.replies(Fail)[-1].code == "no-context"


def test_panic_ends_what_is_being_made_for_midi_and_nothing_else(rolling: Band) -> None:
    rolling.requests.delivery.playing.connect(FakePlayer())
    rolling.ask(1, deliver="midi")
    rolling.ask(2, 2, program=33, deliver="osc")
    rolling.send("/sideman/panic")
    (fail,) = rolling.replies(Fail)
    assert (fail.req, fail.code) == (1, "cancelled")
    rolling.pump()
    assert rolling.replies(Done)[-1].args() == (2,)


def test_a_fail_of_the_worker_is_passed_on(rolling: Band) -> None:
    rolling.ask(1)
    job = wire.JobFailed(1, "out-of-memory", "not enough memory; ask for fewer variations")
    rolling.worker.receive(rolling.lines[-1], job, rolling.now)
    (fail,) = rolling.replies(Fail)
    assert (fail.req, fail.code, fail.sent_to) == (1, "out-of-memory", "/sideman/continue")


def test_messages_about_nothing_are_passed_over(rolling: Band) -> None:
    strays: list[Callable[[], wire.FromWorker]] = [
        lambda: wire.Started(99, 0, False),
        lambda: wire.Made(99, 0, [(0, 0, 0, 60, 960, 90)]),
        lambda: wire.Finished(99, 0, ""),
        lambda: wire.JobDone(99, 1, 1.0),
        lambda: wire.JobFailed(99, "busy", ""),
    ]
    for stray in strays:
        rolling.worker.receive(rolling.lines[-1], stray(), rolling.now)
    assert not rolling.replies()


def test_margins_are_in_proportion() -> None:
    assert 0 < TOO_LATE_TO_HEAR < DECIDE_AHEAD < requests.MARGIN < 0.05
