"""Requests for sound: what is said, what is in the file, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.messages.replies import Accepted, ClipAudio, ClipClose, ClipOpen, Done, Fail, Late
from engine.worker import sound as worker
from engine.worker import wire
from tests.engine.sound.conftest import RATE, recorded
from tests.support.band import Band
from tests.support.sounds import noise

BAR = 2.0


def chunks(band: Band, req: int = 1) -> list[ClipAudio]:
    return [reply for reply in band.of(req) if isinstance(reply, ClipAudio)]


def said(band: Band, kind: type[Any], req: int = 1) -> Any:
    """The one reply of that kind to a request."""
    (found,) = (reply for reply in band.of(req) if isinstance(reply, kind))
    return found


def sound_of(band: Band, req: int = 1) -> np.ndarray:
    """What lies in the take's file."""
    audio, rate = soundfile.read(chunks(band, req)[0].path, always_2d=True, dtype="float32")
    assert rate == chunks(band, req)[0].rate
    return audio


def make(band: Band, req: int = 1, **keys: Any) -> np.ndarray:
    band.ask(req, 1, verb=keys.pop("verb", "audio"), **{"bars": 2, "seed": 5} | keys)
    band.pump()
    return sound_of(band, req)


class TestOneTake:
    def test_all_is_said_in_order(self, studio: Band) -> None:
        make(studio)
        assert studio.order() == [
            "accepted", "clip/open", "clip/audio", "clip/close", "done",
        ]  # fmt: skip
        opened, closed = said(studio, ClipOpen), said(studio, ClipClose)
        assert (opened.bar, opened.bars) == (1, 2)
        assert closed.count == len(chunks(studio))

    def test_it_is_as_long_as_its_bars_to_the_sample(self, studio: Band) -> None:
        audio = make(studio)
        assert audio.shape == (2 * BAR * RATE, 2)
        assert np.abs(audio[-RATE // 10 :]).max() > 0

    def test_chunks_name_the_growing_file(self, studio: Band) -> None:
        make(studio)
        found = chunks(studio)
        frames = [chunk.frames for chunk in found]
        assert frames == sorted(set(frames)) and frames[-1] == 4 * RATE
        begins = [0, *frames[:-1]]
        assert [chunk.bar for chunk in found] == [1 + at // (2 * RATE) for at in begins]
        assert {Path(chunk.path).name for chunk in found} == {"take-0001.wav"}
        assert all(chunk.rate == RATE for chunk in found)

    def test_what_is_said_to_be_there_is_there(self, studio: Band) -> None:
        studio.ask(1, verb="audio", bars=2, seed=5)
        studio.pump(wire.Sound)
        (first,) = chunks(studio)
        early, _ = soundfile.read(first.path, always_2d=True)
        assert len(early) == 4 * RATE
        assert np.abs(early[: first.frames]).max() > 0
        assert not early[first.frames :].any()
        studio.pump()
        whole = sound_of(studio)
        np.testing.assert_array_equal(whole[: first.frames], early[: first.frames])

    def test_the_first_sound_is_a_quarter_of_a_second(self, studio: Band) -> None:
        make(studio)
        assert 0.2 * RATE < chunks(studio)[0].frames < 0.4 * RATE

    def test_a_seed_gives_the_same_take(self, studio: Band) -> None:
        first = make(studio)
        studio.send("/sideman/undo", 1)
        again = make(studio, 2)
        studio.send("/sideman/undo", 1)
        other = make(studio, 3, seed=6)
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_continue_with_an_audio_preset_is_the_same(self, studio: Band) -> None:
        first = make(studio)
        studio.send("/sideman/undo", 1)
        np.testing.assert_array_equal(first, make(studio, 2, verb="continue"))

    def test_a_preset_for_this_request_alone(self, studio: Band) -> None:
        studio.send("/sideman/preset", "plain")
        assert len(make(studio, 1, preset="noise"))

    def test_candidates_are_ranked_and_one_is_played(self, studio: Band) -> None:
        make(studio, variations=3)
        (take,) = studio.store.takes
        assert len(take.report["candidates"]) == 3
        costs = [each["cost"] for each in take.report["candidates"]]
        assert costs[take.report["chosen"]] == min(costs)
        assert len([r for r in studio.of(1) if isinstance(r, ClipOpen)]) == 1

    def test_what_a_take_was_made_of_is_kept(self, studio: Band) -> None:
        make(studio, prompt="slow dub")
        (take,) = studio.store.takes
        assert take.report["prompt"] == "slow dub"
        assert take.report["licence"] == "Apache-2.0"
        assert take.model_hash and take.context_hash and take.timing["first_sound_ms"] >= 0

    def test_a_rate_that_is_set(self, studio: Band) -> None:
        studio.send("/sideman/set", "rate", 48_000)
        assert len(make(studio)) == 4 * 48_000
        assert chunks(studio)[0].rate == 48_000

    def test_a_text_alone_is_enough(self, studio: Band) -> None:
        studio.ask(1, 2, verb="audio", bars=1, prompt="a slow beat")
        studio.pump()
        assert len(sound_of(studio)) == 2 * 48_000


class TestWhatItGoesOnFrom:
    def test_the_next_take_follows_the_last(self, studio: Band) -> None:
        make(studio)
        studio.transport(3, playing=False)
        studio.ask(2, verb="audio", bars=1, seed=5, at=3)
        assert [Path(p.path).name for p in studio_wish(studio).past] == [
            "loop.wav", "take-0001.wav",
        ]  # fmt: skip

    def test_asked_again_it_follows_what_was_before(self, studio: Band) -> None:
        make(studio)
        studio.ask(2, verb="audio", bars=2, seed=5)
        assert [Path(p.path).name for p in studio_wish(studio).past] == ["loop.wav"]

    def test_a_loop_is_followed_by_its_own_beginning(self, studio: Band) -> None:
        studio.ask(1, verb="audio", bars=2)
        (head,) = studio_wish(studio).following
        assert (head.first, Path(head.path).name) == (0, "loop.wav")

    def test_undone_it_is_not_heard(self, studio: Band) -> None:
        make(studio)
        studio.send("/sideman/undo", 1)
        studio.ask(2, verb="audio", bars=2, at=9)
        assert [Path(p.path).name for p in studio_wish(studio).past] == ["loop.wav"]

    def test_a_variation_makes_the_coming_take_again(self, studio: Band) -> None:
        make(studio)
        studio.ask(2, verb="variation", seed=8)
        studio.pump()
        opened = said(studio, ClipOpen, 2)
        assert (opened.bar, opened.bars) == (1, 2)
        assert [Path(p.path).name for p in studio_wish(studio, 2).past] == ["loop.wav"]


def studio_wish(band: Band, req: int = 2) -> wire.SoundWish:
    """What was last asked of the worker."""
    living = [r for r in band.conductor.sound.requests._live.values()]
    if living:
        return living[-1].wish
    return asked[-1]


asked: list[wire.SoundWish] = []


@pytest.fixture(autouse=True)
def _listen(monkeypatch: pytest.MonkeyPatch) -> None:
    asked.clear()
    take = worker.SoundWorker._take

    def listen(self: worker.SoundWorker, message: wire.MakeSound) -> None:
        asked.append(message.wish)
        take(self, message)

    monkeypatch.setattr(worker.SoundWorker, "_take", listen)


class TestRefusals:
    @pytest.mark.parametrize(
        ("keys", "code"),
        [
            ({"chords": "C:4"}, "bad-arguments"),
            ({"key": "Cmin"}, "bad-arguments"),
            ({"verb": "infill", "from": 1, "to": 2}, "bad-arguments"),
            ({"verb": "accompany"}, "bad-arguments"),
            ({"deliver": "midi"}, "not-allowed"),
            ({"preset": "plain"}, "bad-arguments"),
            ({"preset": "lost sound"}, "unknown-model"),
            ({"bars": 65}, "bad-arguments"),
        ],
    )
    def test_what_cannot_be_asked(self, studio: Band, keys: dict[str, Any], code: str) -> None:
        studio.ask(1, verb=keys.pop("verb", "audio"), **keys)
        assert studio.fails() == [code]
        assert not studio.conductor.book.living

    def test_a_track_without_sound(self, studio: Band) -> None:
        studio.ask(1, 7, verb="audio")
        assert studio.fails() == ["no-context"]

    def test_a_take_of_hours(self, studio: Band) -> None:
        studio.transport(0, playing=False, bpm=10.0)
        studio.ask(1, verb="audio", bars=64)
        assert studio.fails() == ["bad-arguments"]

    @pytest.mark.parametrize(
        ("audio", "code"),
        [
            (np.zeros((4 * RATE, 2), np.float32), "no-context"),
            (np.full((4 * RATE, 2), np.nan, np.float32), "bad-file"),
            (np.clip(noise(4.0, RATE, 5.0), -1, 1), "bad-file"),
        ],
    )
    def test_sound_that_nothing_can_go_on_from(
        self, studio: Band, tmp_path: Path, audio: np.ndarray, code: str
    ) -> None:
        path = tmp_path / "odd.wav"
        soundfile.write(path, audio, RATE, subtype="FLOAT")
        studio.shelf.files["odd.wav"] = recorded(path)
        studio.send("/sideman/track/load", 1, "odd.wav")
        studio.shelf.read()
        studio.ask(1, verb="audio", bars=1)
        studio.pump()
        assert studio.fails() == [code]
        studio.send("/sideman/track/load", 1, "loop.wav")
        studio.shelf.read()
        make(studio, 2)

    def test_a_prompt_that_is_too_long(self, studio: Band) -> None:
        studio.ask(1, verb="audio", bars=1, prompt="slow " * 180)
        studio.pump()
        assert studio.fails() == ["bad-arguments"]
        assert "512" in studio.replies(Fail)[0].text

    def test_a_file_that_is_gone(self, studio: Band, tmp_path: Path, loop: Path) -> None:
        path = tmp_path / "gone.wav"
        path.write_bytes(loop.read_bytes())
        studio.shelf.files["gone.wav"] = recorded(path)
        studio.send("/sideman/track/load", 1, "gone.wav")
        studio.shelf.read()
        path.unlink()
        studio.ask(1, verb="audio", bars=1)
        studio.pump()
        assert studio.fails() == ["bad-file"]


class TestEnds:
    def test_cancelled_nothing_is_left(self, studio: Band) -> None:
        studio.ask(1, verb="audio", bars=4)
        studio.pump(wire.Sound)
        studio.send("/sideman/cancel", 1)
        assert studio.order()[-1] == "fail" and studio.fails() == ["cancelled"]
        assert studio.store.dropped == [1]
        before = len(chunks(studio))
        studio.pump()
        assert len(chunks(studio)) == before
        make(studio, 2)

    def test_the_worker_stops_within_one_piece_of_work(self, studio: Band) -> None:
        studio.ask(1, verb="audio", bars=16)
        studio.pump(wire.Sound)
        studio.send("/sideman/cancel", 1)
        assert not studio.sound_lines[-1]._worker.work()

    def test_a_worker_that_dies_goes_on_where_it_was(self, studio: Band) -> None:
        whole = make(studio)
        studio.send("/sideman/undo", 1)
        studio.ask(2, verb="audio", bars=2, seed=5)
        studio.pump(wire.Sound, 3)
        studio.kill()
        studio.pump()
        assert studio.order(2)[-1] == "done"
        frames = [chunk.frames for chunk in chunks(studio, 2)]
        assert frames == sorted(set(frames))
        np.testing.assert_array_equal(sound_of(studio, 2), whole)

    def test_what_would_go_on_otherwise_is_given_up(
        self, studio: Band, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        studio.ask(1, verb="audio", bars=2)
        studio.pump(wire.Sound, 3)
        work = worker.Continuation.work

        def otherwise(self: Any) -> list[tuple[int, np.ndarray]]:
            return [(index, -audio) for index, audio in work(self)]

        monkeypatch.setattr(worker.Continuation, "work", otherwise)
        studio.kill()
        studio.pump()
        assert studio.fails() == ["worker-died"] and studio.store.dropped == [1]

    def test_one_that_dies_again_ends_it(self, studio: Band) -> None:
        studio.ask(1, verb="audio", bars=2)
        for _ in range(2):
            studio.pump(wire.Sound)
            studio.kill()
        assert studio.fails() == ["worker-died"]
        make(studio, 2)

    @pytest.mark.parametrize(
        "error",
        [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")],
    )
    def test_memory_that_runs_out_ends_one_request(
        self, studio: Band, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        studio.ask(1, verb="audio", bars=4)
        studio.pump(wire.Sound)

        def burst(self: object) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(worker.Continuation, "work", burst)
            studio.pump()
        assert studio.fails() == ["out-of-memory"]
        make(studio, 2)

    def test_a_disk_that_is_full(self, studio: Band) -> None:
        studio.ask(1, verb="audio", bars=2)
        studio.store.broken = "No space left on device"
        studio.pump()
        assert studio.fails() == ["bad-file"]
        studio.store.broken = None
        make(studio, 2)

    def test_undo_redo_keep(self, studio: Band) -> None:
        make(studio)
        for address in ("undo", "redo"):
            studio.send(f"/sideman/{address}", 1)
        studio.send("/sideman/keep", 1)
        answers = [done.values for done in studio.replies(Done)][-3:]
        assert answers == [(1, 0), (1, 1), (1,)]

    def test_undo_takes_back_what_is_being_made(self, studio: Band) -> None:
        make(studio)
        studio.ask(2, verb="audio", bars=4)
        studio.pump(wire.Sound)
        studio.send("/sideman/undo", 1)
        assert studio.fails() == ["cancelled"]
        assert studio.replies(Done)[-1].values == (1, 1)  # the take before it is there again

    def test_a_model_that_is_unloaded_fails_its_requests(self, studio: Band) -> None:
        studio.send("/sideman/preset", "plain")
        studio.ask(1, verb="audio", bars=2, preset="noise")
        studio.pump(wire.Sound)
        studio.send("/sideman/model/unload", "noise")
        studio.pump()
        assert studio.fails() == ["unknown-model"]


class TestTime:
    def test_one_that_is_late_moves(self, studio: Band) -> None:
        make(studio)
        studio.transport(4, playing=True)
        studio.conductor.sound.requests.speed.first = 2.5
        studio.ask(2, verb="audio", bars=1)
        accepted = said(studio, Accepted, 2)
        assert accepted.bar == 6
        assert [r.rule for r in studio.of(2) if isinstance(r, Late)] == ["move"]

    def test_dropped_where_that_is_the_rule(self, studio: Band) -> None:
        studio.transport(4, playing=True)
        studio.conductor.sound.requests.speed.first = 2.5
        studio.ask(2, verb="audio", bars=1, late="drop")
        assert studio.fails() == ["too-late"]

    def test_a_bar_line_that_is_missed_after_all(self, studio: Band) -> None:
        studio.transport(4, playing=True)
        studio.conductor.sound.requests.speed.first = 0.1
        studio.ask(2, verb="audio", bars=1)
        studio.wait(2.0)
        assert [r.rule for r in studio.of(2) if isinstance(r, Late)] == ["move"]
        studio.pump()
        opened = said(studio, ClipOpen, 2)
        assert opened.bar == 6 and studio.order(2)[-1] == "done"
        assert {chunk.bar for chunk in chunks(studio, 2)} == {6}

    def test_shortened_it_stays_where_it_is(self, studio: Band) -> None:
        studio.transport(4, playing=True)
        studio.conductor.sound.requests.speed.first = 2.5
        studio.ask(2, verb="audio", bars=4, late="shorten")
        studio.pump()
        opened = said(studio, ClipOpen, 2)
        assert (opened.bar, opened.bars) == (5, 4)

    def test_looped_until_it_is_there(self, studio: Band, loop: Path) -> None:
        studio.transport(4, playing=True)
        studio.conductor.sound.requests.speed.first = 2.5
        studio.ask(2, verb="audio", bars=2, late="loop")
        studio.pump()
        opened = said(studio, ClipOpen, 2)
        assert (opened.bar, opened.bars) == (5, 3)
        assert [late.rule for late in studio.of(2) if isinstance(late, Late)] == ["loop"]
        assert said(studio, Accepted, 2).bar == 5
        audio = sound_of(studio, 2)
        assert len(audio) == 3 * BAR * RATE
        original, _ = soundfile.read(loop, dtype="float32")
        bar = int(BAR * RATE)
        np.testing.assert_allclose(audio[:bar], original[-bar:], atol=2**-22)
        assert np.abs(audio[bar:]).max() > 0
        first = chunks(studio, 2)[0]
        assert (first.bar, first.frames) == (5, bar)

    def test_a_slow_machine_begins_ahead(self, studio: Band) -> None:
        """Twice as slow as it is played: what is heard last must be there in time."""
        studio.transport(4, playing=True)
        studio.conductor.sound.requests.speed.pace = 2.0
        studio.ask(2, verb="audio", bars=4)
        accepted = said(studio, Accepted, 2)
        assert accepted.bar == 9

    def test_bars_that_are_late_are_said_once_each(self, studio: Band) -> None:
        studio.transport(4, playing=True)
        studio.conductor.sound.requests.speed.first = 0.1
        studio.ask(2, verb="audio", bars=2)
        studio.pump(wire.Sound)
        studio.wait(4.5)
        studio.pump()
        late = [r for r in studio.of(2) if isinstance(r, Late)]
        assert len(late) == 2


class TestMany:
    def test_they_share_a_batch(self, studio: Band) -> None:
        studio.send("/sideman/track/load", 2, "loop.wav")
        studio.shelf.read()
        studio.ask(2, 1, verb="audio", bars=2)
        studio.ask(3, 2, verb="audio", bars=1)
        studio.pump(wire.Started)
        (group,) = studio.sound_lines[-1]._worker._groups
        assert len(group.jobs) == 2
        studio.pump()
        assert studio.order(2)[-1] == studio.order(3)[-1] == "done"
        assert [take.report["made_beside"] for take in studio.store.takes] == [1, 1]
        assert len(sound_of(studio, 2)) == 2 * len(sound_of(studio, 3))

    def test_who_names_a_seed_gets_its_take(self, studio: Band) -> None:
        """In a larger batch sums are rounded otherwise: it is made alone."""
        alone = make(studio, seed=7)
        studio.send("/sideman/undo", 1)
        studio.ask(2, 1, verb="audio", bars=2, seed=7)
        studio.ask(3, 1, verb="audio", bars=2)
        studio.ask(4, 1, verb="audio", bars=2)
        studio.pump()
        assert [take.report["made_beside"] for take in studio.store.takes[1:]] == [0, 1, 1]
        np.testing.assert_array_equal(sound_of(studio, 2), alone)

    def test_one_of_them_is_cancelled(self, studio: Band) -> None:
        studio.ask(2, 1, verb="audio", bars=2)
        studio.ask(3, 1, verb="audio", bars=2)
        studio.pump(wire.Sound, 2)
        studio.send("/sideman/cancel", 3)
        studio.pump()
        assert studio.order(2)[-1] == "done" and studio.fails() == ["cancelled"]
        assert len(sound_of(studio, 2)) == 2 * BAR * RATE

    def test_the_one_that_is_needed_first_goes_first(self, studio: Band) -> None:
        studio.transport(0, playing=True)
        studio.conductor.sound.requests.speed.first = 0.01
        studio.ask(1, verb="audio", bars=4, at=40)
        studio.pump(wire.Started)
        studio.ask(2, 1, verb="audio", bars=1, at=2)
        studio.pump(wire.SoundDone)
        assert studio.order(2)[-1] == "done" and studio.order(1)[-1] != "done"

    def test_notes_and_sound_share_their_numbers(self, studio: Band) -> None:
        studio.send("/sideman/preset", "plain")
        studio.play(range(0, 1), track=3)
        studio.ask(1, 3, bars=1)
        studio.ask(1, 1, verb="audio", preset="noise")
        assert [type(reply) for reply in studio.of(1)].count(Accepted) == 2
        assert len(studio.conductor.book.living) == 1
