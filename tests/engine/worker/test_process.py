"""The worker, message by message, without a process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from engine.music import Note
from engine.worker import process, wire
from engine.worker.process import FEED_TOKENS, Worker
from tests.support.tiny_model import make_tiny_model

M = TypeVar("M")
Bars = dict[int, list[Note]]

ROOM = wire.Room(4, 4, [], [])


def wish(**changes: Any) -> wire.Wish:
    first = wire.Wish(context_end=8, rooms=[ROOM, ROOM], programs=[0], seed=7, density=1.0)
    return replace(first, **changes)


def song(bars: Iterable[int] = range(8)) -> Bars:
    return {
        bar: [Note(bar, 960 * i, 0, 60 + (5 * bar + 3 * i) % 12, 480, 80) for i in range(4)]
        for bar in bars
    }


def hear(bars: Bars) -> wire.Hear:
    return wire.Hear([(bar, 4, 4, [wire.row(n) for n in notes]) for bar, notes in bars.items()])


class Rig:
    def __init__(self, folder: Path, *, load: bool = True) -> None:
        self.said: list[wire.Message] = []
        self.worker = Worker(self.said.append, patient=True)
        self.folder = folder
        if load:
            self.tell(wire.Load("m", str(folder)))

    def tell(self, *messages: wire.ToWorker) -> Rig:
        for message in messages:
            self.worker.handle(message)
        return self

    def work(self, times: int = 100_000) -> Rig:
        """Until all is done, or so many small things were."""
        for _ in range(times):
            if not self.worker.work():
                break
        return self

    def of(self, kind: type[M], job: int | None = None) -> list[M]:
        found = [message for message in self.said if isinstance(message, kind)]
        return [m for m in found if job is None or m.job == job]  # type: ignore[attr-defined]

    def notes(self, job: int = 1, variation: int = 0) -> list[wire.NoteRow]:
        made = [m for m in self.of(wire.Made, job) if m.variation == variation]
        return [row for message in made for row in message.notes]

    def context(self, job: int = 1) -> str:
        return self.of(wire.Finished, job)[0].context_hash

    def kinds(self, job: int = 1) -> list[str]:
        kinds: list[str] = []
        for message in self.said:
            if getattr(message, "job", None) == job:
                kind = type(message).__name__
                if not kinds or kinds[-1] != kind:
                    kinds.append(kind)
        return kinds


@pytest.fixture(scope="module", params=[False, True], ids=["network", "recall"])
def tiny_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network alone, and one with a gate: what a worker promises holds for both."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return make_tiny_model(folder, recall=request.param)


@pytest.fixture
def rig(tiny_model: Path) -> Rig:
    """A worker that has a model and has heard eight bars."""
    rig = Rig(tiny_model)
    return rig.tell(hear(song())).work()


def make(job: int = 1, due: float | None = None, **changes: Any) -> wire.Make:
    return wire.Make(job, "m", wish(**changes), due)


def test_a_model_is_loaded_and_measured(tiny_model: Path) -> None:
    rig = Rig(tiny_model)
    (loaded,) = rig.of(wire.Loaded)
    assert loaded.model == "m"
    assert loaded.step_seconds > 0
    assert len(loaded.weights_hash) == 64


@pytest.mark.parametrize("spoil", ["missing", "cut", "no tokenizer"])
def test_a_model_that_cannot_be_loaded(tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "model"
    if spoil != "missing":
        make_tiny_model(folder)
    if spoil == "cut":
        weights = folder / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
    if spoil == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    rig = Rig(folder)
    assert not rig.of(wire.Loaded)
    (failed,) = rig.of(wire.Failed)
    assert failed.model == "m"
    assert failed.code in ("bad-file", "unknown-model")
    rig.tell(make()).work()
    assert rig.of(wire.JobFailed)[0].code == "unknown-model"


def test_a_ping_is_answered_at_once(rig: Rig) -> None:
    rig.tell(make(), wire.Ping(3))
    assert rig.said[-1] == wire.Pong(3)


def test_a_take_in_order(rig: Rig) -> None:
    rig.tell(make()).work()
    assert rig.kinds() == ["Started", "Made", "Finished", "JobDone"]
    notes = rig.notes()
    assert notes == sorted(notes)
    assert all(0 <= bar < 2 for bar, *_ in notes)
    (done,) = rig.of(wire.JobDone)
    assert done.tokens > 5 * len(notes)
    assert done.seconds > 0


def test_notes_are_sent_as_they_are_made(rig: Rig) -> None:
    rig.tell(make(rooms=[ROOM] * 4))
    while not rig.of(wire.Made):
        assert rig.worker.work()
    assert not rig.of(wire.Finished)


def test_variations_are_as_if_made_alone_but_for_the_first_draw(rig: Rig) -> None:
    rooms = [ROOM] * 4  # of so many bars one at least is not the song's own
    rig.tell(make(1, variations=4, rooms=rooms), make(2, variations=2, rooms=rooms)).work()
    takes = [rig.notes(1, v) for v in range(4)]
    assert len({tuple(take) for take in takes}) == 4
    assert [rig.notes(2, v) for v in range(2)] == takes[:2]
    assert sorted(m.variation for m in rig.of(wire.Finished, 1)) == [0, 1, 2, 3]


def test_the_same_wish_on_the_same_past_is_the_same_take(rig: Rig, tiny_model: Path) -> None:
    rig.tell(make(1)).work().tell(make(2), make(3, seed=8)).work()
    assert rig.notes(1) == rig.notes(2) != rig.notes(3)
    other = Rig(tiny_model, load=False)
    other.tell(hear(song()), wire.Load("m", str(tiny_model)), make(1)).work()
    assert other.notes(1) == rig.notes(1)
    assert other.context(1) == rig.context(1) == rig.context(3)


def test_what_is_heard_while_a_take_is_made_does_not_change_it(rig: Rig) -> None:
    rig.tell(make(1)).work()
    rig.tell(make(2)).work(20)
    rig.tell(hear(song([8, 9]))).work()
    assert rig.notes(2) == rig.notes(1)
    rig.tell(hear({7: []})).tell(make(3)).work()
    assert rig.notes(3) != rig.notes(1)
    assert rig.context(3) != rig.context(1)


def test_what_lies_behind_the_target_is_not_heard(rig: Rig) -> None:
    rig.tell(make(1)).work().tell(hear(song([8, 9, 20])), make(2)).work()
    assert rig.context(1) == rig.context(2)
    assert rig.notes(1) == rig.notes(2)


def test_the_most_urgent_goes_first(rig: Rig) -> None:
    rig.tell(make(1), make(2, due=9.0), make(3, due=5.0), make(4, due=9.0)).work()
    assert [m.job for m in rig.of(wire.JobDone)] == [3, 2, 4, 1]


def test_a_cancelled_job_says_nothing_more(rig: Rig) -> None:
    rig.tell(make(1, rooms=[ROOM] * 8)).work(40)
    count = len(rig.said)
    rig.tell(wire.Cancel(1), wire.Cancel(77)).work()
    assert len(rig.said) == count
    assert rig.kinds()[-1] == "Made"


def test_a_job_that_cannot_be_made_fails_alone(rig: Rig) -> None:
    rig.tell(make(1, low=100, high=90), make(2, programs=[]), make(3)).work()
    assert [m.code for m in rig.of(wire.JobFailed)] == ["bad-arguments"] * 2
    assert rig.kinds(3)[-1] == "JobDone"


def test_an_unloaded_model_fails_its_jobs_and_no_other(rig: Rig, tiny_model: Path) -> None:
    rig.tell(wire.Load("other", str(tiny_model)), make(1))
    rig.tell(wire.Make(2, "other", wish()), wire.Speculate(-1, "other", wish(seed=4))).work(5)
    rig.tell(wire.Unload("other"), wire.Unload("never")).work()
    assert [m.job for m in rig.of(wire.JobFailed)] == [2]
    assert rig.kinds(1)[-1] == "JobDone"


def test_everything_can_be_forgotten(rig: Rig, tiny_model: Path) -> None:
    rig.tell(wire.Forget(), make(1)).work()
    empty = Rig(tiny_model).tell(make(1)).work()
    assert rig.notes() == empty.notes()
    assert rig.context() == empty.context()


def test_memory_is_warm_by_the_time_it_is_asked(rig: Rig) -> None:
    rig.tell(make(1)).work()
    assert rig.of(wire.Started)[0].fed == 0
    # What changes in the last bar is all that is to be fed.
    bars = song()
    bars[7][-1] = replaced(bars[7][-1], pitch=40)
    rig.tell(hear({7: bars[7]}), make(2)).work()
    assert 0 < rig.of(wire.Started, 2)[0].fed < 20
    assert rig.context(2) != rig.context(1)


def test_the_line_never_waits_long_for_a_long_past(tiny_model: Path) -> None:
    fed: list[int] = []
    rig = Rig(tiny_model).tell(hear(song(range(30))))
    rig.tell(make(1, context_end=30))
    listener = rig.worker._players["m"].listener
    feed = listener._stream.feed
    listener._stream.feed = lambda tokens: (fed.append(len(tokens)), feed(tokens))  # type: ignore[assignment, method-assign]
    while not rig.of(wire.Started):
        del fed[:]
        rig.worker.work()
        assert sum(fed) <= FEED_TOKENS


class TestSpeculation:
    """What is made ahead is what would have been made."""

    def guess(self, rig: Rig, **changes: Any) -> Rig:
        return rig.tell(wire.Speculate(-1, "m", wish(**changes))).work()

    def plain(self, folder: Path, bars: Bars, **changes: Any) -> list[wire.NoteRow]:
        return Rig(folder).tell(hear(bars), make(1, **changes)).work().notes()

    @pytest.mark.parametrize("length", [1, 2, 4])
    @pytest.mark.parametrize("variations", [1, 3])
    def test_a_right_guess_is_used(
        self, rig: Rig, tiny_model: Path, length: int, variations: int
    ) -> None:
        more = {"rooms": [ROOM] * length, "variations": variations}
        self.guess(rig, **more)
        assert not rig.of(wire.Finished)
        foreseen = rig.notes(-1, 0)
        rig.tell(make(1, **more))
        assert rig.notes(1, 0)[: len(foreseen)] == foreseen, "all is said once more"
        (started,) = rig.of(wire.Started)
        assert started.speculated
        assert started.fed == 0
        assert foreseen, "the first notes are there before they are asked for"
        rig.work()
        assert rig.kinds()[-1] == "JobDone"
        assert len(rig.of(wire.JobDone)) == 1
        assert len(rig.of(wire.Finished)) == variations
        other = Rig(tiny_model).tell(hear(song()), make(1, **more)).work()
        for variation in range(variations):
            assert rig.notes(1, variation) == other.notes(1, variation)
        assert rig.context() == other.context()

    def test_an_infill_that_was_made_ahead_comes_once(self, rig: Rig) -> None:
        more = {"candidates": 2, "after": [ROOM], "rooms": [ROOM]}
        self.guess(rig, **more)
        rig.tell(make(1, **more)).work()
        assert len(rig.of(wire.Finished)) == len(rig.of(wire.JobDone)) == 1
        rows = rig.notes()
        assert len(set(rows)) == len(rows) > 0

    def test_a_guess_goes_no_further_than_it_pays(self, rig: Rig) -> None:
        self.guess(rig, rooms=[ROOM] * 8)
        rig.tell(make(1, rooms=[ROOM] * 8))
        bars = {bar for bar, *_ in rig.notes()}
        assert bars <= set(range(process.SPECULATED_BARS + 1))
        assert not rig.of(wire.JobDone)

    @pytest.mark.parametrize(
        "change",
        [
            {"key": [0, 2, 4, 5, 7, 9, 11]},
            {"seed": 8},
            {"temperature": 0.5},
            {"variations": 2},
            {"rooms": [ROOM]},
            {"low": 50},
        ],
    )
    def test_another_wish_is_made_afresh(
        self, rig: Rig, tiny_model: Path, change: dict[str, Any]
    ) -> None:
        self.guess(rig)
        rig.tell(make(1, **change)).work()
        assert not rig.of(wire.Started)[0].speculated
        assert rig.notes() == self.plain(tiny_model, song(), **change)

    def test_another_past_is_made_afresh(self, rig: Rig, tiny_model: Path) -> None:
        self.guess(rig)
        bars = song()
        bars[7][0] = replaced(bars[7][0], pitch=45)
        rig.tell(hear({7: bars[7]}), make(1)).work()
        assert not rig.of(wire.Started)[0].speculated
        assert rig.notes() == self.plain(tiny_model, bars)

    def test_a_guess_is_kept_while_the_same_is_said_again(self, rig: Rig) -> None:
        self.guess(rig)
        foreseen = rig.notes(-1)
        tokens = rig.worker._guess.making.tokens
        rig.tell(hear({7: song()[7]}), wire.Speculate(-2, "m", wish()))
        assert rig.notes(-2) == foreseen, "whoever asks anew is told what there is"
        assert rig.work().worker._guess.making.tokens == tokens
        rig.tell(make(1))
        assert rig.of(wire.Started)[0].speculated

    def test_half_a_guess_is_gone_on_with(self, rig: Rig, tiny_model: Path) -> None:
        rig.tell(wire.Speculate(-1, "m", wish())).work(12)
        rig.tell(make(1)).work()
        assert rig.of(wire.Started)[0].speculated
        assert rig.notes() == self.plain(tiny_model, song())

    def test_a_request_comes_before_a_guess(self, rig: Rig) -> None:
        rig.tell(wire.Speculate(-1, "m", wish(seed=1)), make(1)).work()
        assert not rig.of(wire.Started)[0].speculated
        assert rig.kinds()[-1] == "JobDone"

    def test_a_guess_that_cannot_be_fulfilled_is_nobodys_business(self, rig: Rig) -> None:
        said = len(rig.said)
        rig.tell(wire.Speculate(-1, "m", wish(low=90, high=10)))
        rig.tell(wire.Speculate(-2, "x", wish())).work()
        assert len(rig.said) == said
        assert not rig.worker.work()

    def test_a_guess_may_follow_a_guess(self, rig: Rig, tiny_model: Path) -> None:
        self.guess(rig, seed=1)
        self.guess(rig, seed=2)
        rig.tell(make(1, seed=2)).work()
        assert rig.of(wire.Started)[0].speculated
        assert rig.notes() == self.plain(tiny_model, song(), seed=2)


def test_a_faster_runtime_hears_everything_anew(rig: Rig) -> None:
    rig.tell(make(1)).work()
    player = rig.worker._players["m"]
    player.runtime = "slower"  # as it was before the compiled step was ready
    fed = player.listener
    rig.work()
    assert player.listener is not fed
    assert [loaded.runtime for loaded in rig.of(wire.Loaded)] == [player.model.runtime] * 2
    rig.tell(make(2)).work()
    assert rig.notes(2) == rig.notes(1)
    assert rig.of(wire.Started, 2)[0].fed == 0
