"""The session on disk: what was closed is not lost, and a restart finds all of it."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.files import session_folder
from bridge.files.midi_file import read_midi
from bridge.files.session_folder import (
    JOURNAL,
    Scribe,
    described,
    description,
    events,
    new_folder,
    newest,
    recall,
    take_song,
    was_cut_off,
)
from engine.errors import Code, SidemanError
from engine.music import DRUMS, Meter, MeterMap, Note
from engine.session import Session
from engine.takes import Take
from tests.support.band import Band, tune

NOON = datetime(2026, 11, 21, 12, 0, 5)


class Desk:
    """A scribe, and the conductor's queue that it posts to."""

    def __init__(self, folder: Path) -> None:
        self.calls: SimpleQueue[Any] = SimpleQueue()
        self.scribe = Scribe(folder, self.calls.put)

    def settle(self) -> None:
        """Until all that is to be written is, and all that comes of it is done."""
        while True:
            rest: list[str | None] = []
            self.scribe.write({"event": "mark"}, rest.append)
            count = 0
            while not rest:
                self.calls.get(timeout=10)()
                count += 1
            try:
                while True:
                    self.calls.get_nowait()()
                    count += 1
            except Empty:
                if count == 1:
                    return


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(new_folder(tmp_path / "sessions", NOON))
    yield desk
    desk.scribe.close()


def a_take(number: int = 7) -> Take:
    notes = [*tune(8), *tune(9, (36, 38), program=DRUMS)]
    return Take(
        number, 1, 8, 2, "variation", "trio", "default", "ab" * 32, 5, 1, "cd" * 8, sorted(notes),
        {0: 1, DRUMS: 10}, True, {"fed": 3, "first_note_ms": 1.25, "speculated": True},
    )  # fmt: skip


class TestFolders:
    def test_a_folder_is_named_by_its_moment(self, tmp_path: Path) -> None:
        assert new_folder(tmp_path / "s", NOON) == tmp_path / "s" / "2026-11-21-120005"
        assert new_folder(tmp_path / "s", NOON) == tmp_path / "s" / "2026-11-21-120005-2"
        assert new_folder(tmp_path / "s", NOON).is_dir()

    def test_where_none_can_be(self, tmp_path: Path) -> None:
        (tmp_path / "s").write_text("a file")
        with pytest.raises(SidemanError) as caught:
            new_folder(tmp_path / "s", NOON)
        assert caught.value.code == Code.NOT_ALLOWED
        assert str(tmp_path / "s") in caught.value.text

    def test_the_newest_is_the_one_written_to_last(self, tmp_path: Path) -> None:
        assert newest(tmp_path) is None
        for name in ("b", "a", "empty"):
            (tmp_path / name).mkdir()
        for time, name in enumerate(("b", "a")):
            journal = tmp_path / name / JOURNAL
            journal.write_text('{"event":"end"}\n')
            os.utime(journal, (time, time))
        assert newest(tmp_path) == tmp_path / "a"

    def test_a_session_that_was_cut_off(self, tmp_path: Path) -> None:
        journal = tmp_path / JOURNAL
        for text, cut_off in (
            ('{"event":"track"}\n{"event":"end"}\n', False),
            ('{"event":"end"}\n{"event":"track"}\n', True),
            ('{"event":"track"}\n{"event":"en', True),
            ("", True),
        ):
            journal.write_text(text)
            assert was_cut_off(tmp_path) == cut_off


class TestJournal:
    def test_each_event_is_a_line(self, desk: Desk) -> None:
        for number in range(3):
            desk.scribe.write({"event": "keep", "take": number})
        desk.settle()
        lines = (desk.scribe.folder / JOURNAL).read_text().splitlines()
        assert [json.loads(line) for line in lines[:3]] == [
            {"event": "keep", "take": number} for number in range(3)
        ]

    def test_who_waits_is_told_once_it_is_written(self, desk: Desk) -> None:
        told: list[tuple[str | None, str]] = []
        journal = desk.scribe.folder / JOURNAL
        desk.scribe.write({"event": "done"}, lambda error: told.append((error, _first(journal))))
        desk.settle()
        assert told == [(None, '{"event":"done"}')]

    def test_a_session_ends_with_its_last_word(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path)
        desk.scribe.write({"event": "keep"})
        desk.scribe.close()
        assert [event["event"] for event in events(tmp_path)] == ["keep", "end"]
        assert not was_cut_off(tmp_path)

    @pytest.mark.parametrize("broken", ['{"event":"tra', "\x00\x01", "[1, 2]", "null", "\xff\xfe"])
    def test_a_line_that_was_cut_off_is_passed_over_and_the_next_is_not_lost(
        self, tmp_path: Path, broken: str
    ) -> None:
        (tmp_path / JOURNAL).write_bytes(b'{"event":"a"}\n' + broken.encode("latin-1"))
        desk = Desk(tmp_path)
        desk.scribe.write({"event": "b"})
        desk.scribe.close()
        assert [event["event"] for event in events(tmp_path)] == ["a", "b", "end"]

    def test_no_journal_is_no_events(self, tmp_path: Path) -> None:
        assert list(events(tmp_path)) == []

    def test_what_cannot_be_written_is_told(self, desk: Desk) -> None:
        folder = desk.scribe.folder
        folder.rmdir()
        told: list[str | None] = []
        desk.scribe.write({"event": "done"}, told.append)
        desk.scribe.save(a_take(), MeterMap([(0, Meter(4, 4))]), 120.0, told.append)
        # Files of takes make their folder again, and with it the journal works again.
        desk.calls.get(timeout=10)()
        desk.calls.get(timeout=10)()
        assert told[0] is not None and str(folder) in told[0]
        assert told[1] is None

    def test_an_error_nobody_thought_of_is_told_as_well(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise TypeError("a bug")

        monkeypatch.setattr(session_folder, "write_midi", fail)
        told: list[str | None] = []
        desk.scribe.save(a_take(), MeterMap(), 120.0, told.append)
        desk.settle()
        assert told[0] is not None and "a bug" in told[0]


notes = st.builds(
    Note,
    st.integers(8, 9),
    st.integers(0, 3839),
    st.sampled_from([0, 33, DRUMS]),
    st.integers(0, 127),
    st.integers(1, 3000),
    st.integers(1, 127),
)
takes = st.builds(
    Take,
    number=st.integers(1, 99_999),
    track=st.integers(0, 127),
    bar=st.just(8),
    bars=st.just(2),
    verb=st.sampled_from(["continue", "infill"]),
    preset=st.text(max_size=8),
    seed=st.integers(0, 2**31 - 1),
    variation=st.integers(0, 7),
    context_hash=st.text(max_size=16),
    notes=st.lists(notes, max_size=6).map(sorted),
    channels=st.just({0: 1, 33: 2, DRUMS: 10}),
    midi=st.booleans(),
    amends=st.booleans(),
    closed=st.just(True),
    timing=st.dictionaries(st.text(max_size=4), st.integers() | st.booleans(), max_size=3),
)


class TestTakes:
    @given(takes)
    def test_a_description_is_the_take(self, take: Take) -> None:
        assert described(json.loads(json.dumps(description(take)))) == take

    def test_a_take_is_a_midi_file_and_a_description(self, desk: Desk) -> None:
        take = a_take()
        told: list[str | None] = []
        desk.scribe.save(take, MeterMap([(9, Meter(3, 4))]), 90.0, told.append)
        desk.settle()
        assert told == [None]
        folder = desk.scribe.folder
        assert sorted(path.name for path in folder.iterdir()) == [
            JOURNAL, "take-0007.json", "take-0007.mid",
        ]  # fmt: skip
        about = json.loads((folder / "take-0007.json").read_text())
        assert about["seed"] == 5 and about["context_hash"] == "cd" * 8
        assert described(about) == take
        song = read_midi(folder / "take-0007.mid")
        assert [(n.bar + 8, *_rest(n)) for n in song.notes] == [
            (n.bar, *_rest(n)) for n in take.notes
        ]
        assert song.tempos[0].bpm == pytest.approx(90.0, rel=1e-5)
        assert song.meter_map == MeterMap([(1, Meter(3, 4))])
        assert {track.channel for track in song.tracks} == {1, 10}

    def test_a_file_is_as_long_as_its_take(self) -> None:
        song = take_song(Take(1, 1, 8, 4, notes=tune(8), channels={0: 1}), MeterMap(), 120.0)
        assert song.bars == 4
        late = MeterMap([(2, Meter(3, 4)), (9, Meter(2, 4)), (40, Meter(5, 4))])
        song = take_song(Take(1, 1, 8, 4, notes=[], channels={0: 1}), late, 120.0)
        assert song.meter_map == MeterMap([(0, Meter(3, 4)), (1, Meter(2, 4))])
        assert song.bars == 4


def _first(path: Path) -> str:
    return path.read_text().splitlines()[0]


def _rest(note: Note) -> tuple[int, ...]:
    return (note.tick, note.program, note.pitch, note.duration, note.velocity)


def picture(session: Session) -> Any:
    """All of a session that a restart has to find again."""
    return (
        session.meters,
        {
            number: (track.name, track.program, track.channel, track.preset, track.role,
                     track.played, track.history.now, track.history._done, track.history._undone)
            for number, track in session.tracks.items()
        },
        session.takes,
        {bar: session.mix(bar) for bar in range(40)},
    )  # fmt: skip


class Evening:
    """A band whose store is a real folder."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.folder = folder
        self.desk = Desk(folder)
        self.band = Band(model, store=self.desk.scribe)
        self.req = 0

    def make(self, **keys: Any) -> None:
        self.req += 1
        self.band.ask(self.req, keys.pop("track", 1), **keys)
        self.band.pump()
        self.desk.settle()

    def again(self, model: Path) -> Band:
        """After a restart."""
        band = Band(model, start=False)
        recall(self.folder, band.conductor)
        return band

    def end(self) -> None:
        self.desk.scribe.close()


@pytest.fixture
def evening(tiny_model: Path, tmp_path: Path) -> Iterator[Evening]:
    evening = Evening(tiny_model, tmp_path)
    yield evening
    evening.end()


def test_a_restart_finds_everything(evening: Evening, tiny_model: Path) -> None:
    band = evening.band
    band.send("/sideman/track/set", 1, "name", "piano")
    band.play(range(4), track="piano")
    band.send("/sideman/track/set", 1, "program", 4)
    band.transport(3, meter=(3, 4))
    evening.make(seed=5, variations=2)
    evening.make(seed=6)
    band.send("/sideman/undo", 1)
    band.send("/sideman/keep", 2)
    band.conductor.write_played()
    evening.desk.settle()
    again = evening.again(tiny_model)
    assert picture(again.session) == picture(band.session)
    assert again.conductor.clock.meters == band.session.meters
    assert again.status().takes == 3
    # The music goes on: the next take has a number of its own, and undo reaches back.
    again.start()
    again.transport(10, meter=(3, 4), playing=False)
    assert again.session.meters.at(3) == Meter(3, 4)
    again.ask(1, "piano")
    again.pump()
    assert again.clips()[0].take == 4
    for _ in range(3):
        again.send("/sideman/undo", 1)
    assert not again.fails()
    assert not again.session.active(again.session.track(1))


def test_a_take_that_was_closed_survives_a_kill(evening: Evening, tiny_model: Path) -> None:
    evening.band.play(range(2))
    evening.band.ask(1)
    evening.band.pump()
    journal = evening.folder / JOURNAL
    while not evening.band.replies() or "clip/close" not in evening.band.order():
        evening.desk.calls.get(timeout=10)()
    # Now, at the very moment at which the client knows, the engine is killed.
    copy = evening.folder / "killed"
    copy.mkdir()
    for file in evening.folder.glob("take-*"):
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / JOURNAL).write_bytes(journal.read_bytes())
    band = Band(tiny_model, start=False)
    recall(copy, band.conductor)
    assert band.session.active(band.session.track(1)) == [evening.band.session.takes[1]]


def test_done_is_in_the_journal_before_it_is_said(evening: Evening) -> None:
    evening.band.play(range(2))
    evening.make()
    assert evening.band.order()[-1] == "done"
    kinds = [event["event"] for event in events(evening.folder) if event["event"] != "mark"]
    assert kinds == ["request", "take", "placed", "done"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "take-0001.json").unlink(),
        lambda folder: (folder / "take-0001.json").write_text("{"),
        lambda folder: (folder / "take-0001.json").write_text('{"take": 1}'),
    ],
)
def test_a_take_that_is_lost_does_not_lose_the_others(
    evening: Evening, tiny_model: Path, spoil: Any
) -> None:
    evening.band.play(range(2))
    evening.make()
    evening.make()
    spoil(evening.folder)
    again = evening.again(tiny_model)
    assert list(again.session.takes) == [2]
    assert len(again.session.active(again.session.track(1))) == 1


def test_a_hostile_journal_does_no_harm(tmp_path: Path, tiny_model: Path) -> None:
    lines = [
        {"event": "take", "take": "../../../etc/passwd"},
        {"event": "placed", "take": "../../x"},
        {"event": "played", "track": 10**9, "bar": 0, "notes": []},
        {"event": "played", "track": 1, "bar": 0, "notes": [[1, 2]]},
        {"event": "track", "track": 1},
        {"event": "meters", "changes": [[0, 4, 5]]},
        {"event": "keep", "take": 99},
        {"event": "nothing that is known"},
        {},
        {"event": "played", "track": 1, "bar": 3, "notes": [[3, 0, 0, 60, 960, 90]]},
    ]
    (tmp_path / JOURNAL).write_text("".join(json.dumps(line) + "\n" for line in lines))
    band = Band(tiny_model, start=False)
    recall(tmp_path, band.conductor)
    assert band.session.mix(3) == [Note(3, 0, 0, 60, 960, 90)]
    assert band.session.meters == MeterMap()


class Improviser:
    """Does at random what musicians do."""

    def __init__(self, evening: Evening, seed: int) -> None:
        self.evening = evening
        self.band = evening.band
        self.random = random.Random(seed)

    def play(self) -> None:
        bar = self.random.randrange(12)
        self.band.play(range(bar, bar + 2), self.track(), 40 + self.random.randrange(30), steps=2)

    def track(self) -> int:
        return self.random.choice((1, 2))

    def make(self) -> None:
        self.evening.make(
            track=self.track(), bars=self.random.choice((1, 2)), at=self.random.randrange(14),
            variations=self.random.choice((1, 1, 2)), seed=self.random.randrange(99),
        )  # fmt: skip

    def judge(self) -> None:
        number = self.random.randrange(1, 8)
        self.band.send(f"/sideman/{self.random.choice(('keep', 'discard'))}", number)

    def step(self) -> None:
        self.band.send(f"/sideman/{self.random.choice(('undo', 'undo', 'redo'))}", self.track())

    def clear(self) -> None:
        self.band.send("/sideman/track/clear", self.track())

    def set_track(self) -> None:
        key, value = self.random.choice(
            (("program", 33), ("program", 0), ("drums", 1), ("channel", 3), ("role", "bass"),
             ("preset", "opener"), ("name", "solo"))
        )  # fmt: skip
        self.band.send("/sideman/track/set", self.track(), key, value)

    def meter(self) -> None:
        num = self.random.choice((3, 4))
        self.band.transport(self.random.randrange(12), playing=False, meter=(num, 4))

    def wait(self) -> None:
        self.band.wait(1.1)

    def cancel(self) -> None:
        self.evening.req += 1
        self.band.ask(self.evening.req, self.track())
        self.band.send("/sideman/cancel", 0)
        self.band.pump()

    def go_on(self, count: int) -> None:
        acts = [self.play, self.make, self.judge, self.step, self.step, self.clear,
                self.set_track, self.meter, self.wait, self.cancel]  # fmt: skip
        weights = [4, 4, 2, 2, 2, 1, 1, 1, 2, 1]
        for act in self.random.choices(acts, weights, k=count):
            act()
        self.band.conductor.write_played()
        self.evening.desk.settle()


@given(seed=st.integers(0, 10**6))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_was_done_is_found_again(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    evening = Evening(tiny_model, tmp_path_factory.mktemp("session"))
    try:
        Improviser(evening, seed).go_on(25)
        again = evening.again(tiny_model)
        assert picture(again.session) == picture(evening.band.session)
    finally:
        evening.end()
