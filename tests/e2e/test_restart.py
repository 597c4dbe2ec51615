"""What a restart finds again, after an orderly end and after a crash."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mido
import pytest

from tests.e2e.client import Client, ClipNote
from tests.e2e.engine import REPOSITORY, Engine
from tests.e2e.music import own_phrase, play

BARS = 4
TRACK = 2


@pytest.fixture
def engines(home: Path) -> Iterator[list[Engine]]:
    """Engines that the test starts in ``home``; none of them outlives it."""
    started: list[Engine] = []
    yield started
    for engine in started:
        engine.kill()


def start(engines: list[Engine], home: Path) -> Engine:
    engines.append(Engine(home))
    with Client(engines[-1]) as client:
        client.until("ready")
    return engines[-1]


def journal(engine: Engine) -> list[dict[str, Any]]:
    lines = (engine.session / "journal.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def notes_of(file: Path, bar: int) -> set[ClipNote]:
    """The notes of a MIDI file as clip notes, its first bar being ``bar``; by another reader."""
    song = mido.MidiFile(file)
    found: set[ClipNote] = set()
    for track in song.tracks:
        at = 0
        sounding: dict[tuple[int, int], tuple[int, int]] = {}
        for message in track:
            at += message.time
            if message.type not in ("note_on", "note_off"):
                continue
            key = (message.channel, message.note)
            if message.type == "note_on" and message.velocity:
                assert key not in sounding
                sounding[key] = (at, message.velocity)
            else:
                onset, velocity = sounding.pop(key)
                beat = onset / song.ticks_per_beat
                length = (at - onset) / song.ticks_per_beat
                found.add(
                    ClipNote(
                        bar + int(beat // 4), beat % 4, length, message.note, velocity,
                        message.channel + 1,
                    )
                )  # fmt: skip
        assert not sounding, f"{file} leaves notes on"
    return found


def as_a_file_holds(notes: list[ClipNote]) -> list[ClipNote]:
    """Each note up to where its pitch is struck again: a channel has one of each key."""
    following: dict[tuple[int, int], float] = {}
    held = []
    for note in sorted(notes, key=lambda n: (n.bar, n.beat), reverse=True):
        onset, key = note.bar * 4 + note.beat, (note.channel, note.pitch)
        room = following.get(key, onset + note.duration) - onset
        held.append(note._replace(duration=min(note.duration, room)))
        following[key] = onset
    return held


def rounded(notes: set[ClipNote] | list[ClipNote]) -> list[ClipNote]:
    return sorted(n._replace(beat=round(n.beat, 3), duration=round(n.duration, 3)) for n in notes)


def continued(client: Client) -> tuple[ClipNote, ...]:
    """What comes after all that was played and is shown: equal memories go on equally."""
    answer = client.request("continue", 3, at=8, bars=1, seed=99)
    client.ask("/sideman/discard", answer.clip.take)
    return tuple(answer.notes)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_restart_finds_everything(
    engines: list[Engine], home: Path, end: signal.Signals
) -> None:
    first = start(engines, home)
    with Client(first) as client:
        play(client, own_phrase(BARS))
        one = client.request("continue", TRACK, bars=2, seed=1)
        two = client.request("continue", TRACK, bars=2, seed=2)
        pair = client.request("continue", 1, bars=1, seed=3, variations=2)
        client.ask("/sideman/undo", TRACK)  # one is shown again
        client.ask("/sideman/keep", pair.clips[1].take)
        wanted = continued(client)
        takes = int(client.status()["takes"])
        if end == signal.SIGKILL:
            lost = client.start("continue", TRACK, at=20, bars=64, seed=4)
            client.next("/sideman/clip/note", lost.req)
            wait_for_journal(first, "played")
    folder = first.session
    if end == signal.SIGKILL:
        first.kill()
    else:
        assert first.stop(end) == 0
    for clip in [*one.clips, *two.clips, *pair.clips]:
        file = folder / f"take-{clip.take:04d}.mid"
        assert rounded(notes_of(file, clip.bar)) == rounded(as_a_file_holds(clip.notes))

    second = start(engines, home)
    assert second.session == folder
    with Client(second) as client:
        assert client.status()["takes"] == takes
        client.stand(BARS - 1)
        assert continued(client) == wanted
        client.ask("/sideman/undo", TRACK)
        without = continued(client)
        client.ask("/sideman/redo", TRACK)
        assert continued(client) == wanted != without
        client.ask("/sideman/keep", two.clip.take)
        client.ask("/sideman/discard", pair.clips[0].take)
        after = client.request("continue", "melody", bars=1)  # names are found again, too
        known = {clip.take for clip in [*one.clips, *two.clips, *pair.clips]}
        assert after.clip.take > max(known)


def wait_for_journal(engine: Engine, event: str) -> None:
    """What was played is written within a second or so."""
    with Client(engine) as client:
        for _ in range(200):
            if any(line.get("event") == event for line in journal(engine)):
                return
            client.send_in(0.02, ("/sideman/ping", 1))
            client.next("/sideman/pong", 1)
    raise AssertionError(f"no {event} in the journal")


def test_what_is_kept_of_a_take(engines: list[Engine], home: Path) -> None:
    engine = start(engines, home)
    with Client(engine) as client:
        play(client, own_phrase(BARS))
        answer = client.request("continue", TRACK, bars=1, seed=5, preset="piano", key="Am")
        again = client.request("continue", TRACK, bars=1, seed=5, preset="piano", key="Am")
        refused = client.request("continue", TRACK, bars=1, deliver="midi")
        cancelled = client.start("continue", TRACK, bars=64)
        client.ask("/sideman/cancel", cancelled.req)
        client.finish(cancelled)
    folder = engine.session
    about, repeated = (
        json.loads((folder / f"take-{a.clip.take:04d}.json").read_text()) for a in (answer, again)
    )
    assert (about["preset"], about["seed"]) == ("piano", 5)
    shipped = {
        hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (REPOSITORY / "presets" / "models").glob("*/weights.safetensors")
    }
    assert about["model"] and about["model_hash"] in shipped
    assert about["context_hash"] and about["context_hash"] == repeated["context_hash"]
    assert about["timing"]["first_note_ms"] > 0
    assert len(about["notes"]) == answer.clip.count

    lines = journal(engine)
    asked = [line["req"] for line in lines if line["event"] == "request"]
    ended = {line["req"]: line["event"] for line in lines if line["event"] in ("done", "fail")}
    assert {answer.req, again.req, cancelled.req} <= set(asked)
    assert ended[answer.req] == ended[again.req] == "done"
    assert ended[cancelled.req] == "fail"
    assert refused.code == "not-allowed"


def test_done_is_sent_after_the_journal_was_written(engines: list[Engine], home: Path) -> None:
    engine = start(engines, home)
    with Client(engine) as client:
        for _ in range(10):
            answer = client.request("continue", 1, preset="drums", bars=1)
            last = [line for line in journal(engine) if line["event"] == "done"][-1]
            assert (last["req"], last["takes"]) == (answer.req, [answer.clip.take])
            assert (engine.session / f"take-{answer.clip.take:04d}.mid").is_file()


def test_a_journal_that_was_cut_off_is_read_up_to_there(
    engines: list[Engine], home: Path
) -> None:
    engine = start(engines, home)
    with Client(engine) as client:
        client.request("continue", 1, preset="drums", bars=1)
    engine.kill()
    with (engine.session / "journal.jsonl").open("a") as file:
        file.write('{"event": "placed", "ta')
    again = start(engines, home)
    with Client(again) as client:
        assert client.status()["takes"] == 1
        client.request("continue", 1, preset="drums", bars=1)
        assert client.status()["takes"] == 2
    again.kill()
    with Client(start(engines, home)) as client:
        assert client.status()["takes"] == 2


def test_requests_under_way_end_with_the_engine(engines: list[Engine], home: Path) -> None:
    engine = start(engines, home)
    worker = engine.worker()
    with Client(engine) as client:
        answer = client.start("continue", 1, preset="drums", bars=64)
        client.next("/sideman/clip/note", answer.req)
        assert engine.stop() == 0
    assert not worker.is_running()
    log = engine.log.read_text()
    assert "Traceback" not in log
