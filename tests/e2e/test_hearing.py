"""Telling the engine what happens, however it is said: what it has heard stands in a take's file.

Two ways of saying the same thing must give the same context hash, and other music another.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import mido
import pytest

from tests.e2e.client import Client
from tests.e2e.engine import Engine
from tests.e2e.osc import Scalar, bundle, pack, tag_in

TRACK = 3
BEATS = [(0.0, 0.5, 60), (0.5, 0.5, 64), (1.0, 1.0, 67), (2.0, 0.25, 72), (2.5, 1.5, 55)]
"""Onset, length and pitch of the bar that these tests play, in quarter notes."""
VELOCITY = 80


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    """A client of an engine that has forgotten all and stands in bar 1, on piano."""
    with Client(engine) as connected:
        connected.stand(1)
        connected.send("/sideman/track/set", TRACK, "program", 0)
        connected.send("/sideman/track/set", TRACK, "name", "keys")
        forget(connected)
        yield connected
        connected.ask("/sideman/cancel", 0)
        forget(connected)


def forget(client: Client) -> None:
    for number in range(1, 6):
        client.ask("/sideman/track/clear", number)


def play_bar(
    client: Client, track: Scalar = TRACK, bar: int = 1, number: type = int, path: str = ""
) -> None:
    """The bar as whole notes; ``path`` stands for a track that is named in the path."""
    for beat, length, pitch in BEATS:
        args = [number(pitch), number(VELOCITY), number(bar), beat, length]
        if path:
            client.send(f"/sideman/track/{path}/note", *args)
        else:
            client.send("/sideman/track/note", track, *args)


def heard(engine: Engine, client: Client, at: int = 2) -> str:
    """The hash of the context of a take that would begin at bar ``at``."""
    answer = client.request("continue", TRACK, bars=1, at=at, seed=1)
    assert answer.code == "done", answer.end
    return about(engine, answer.clip.take)["context_hash"]


def about(engine: Engine, take: int) -> dict[str, str]:
    described: dict[str, str] = json.loads((engine.session / f"take-{take:04d}.json").read_text())
    return described


@pytest.fixture
def plain(engine: Engine, client: Client) -> str:
    """The hash after the bar was played in the plainest way."""
    play_bar(client)
    found = heard(engine, client)
    forget(client)
    return found


@pytest.mark.parametrize(
    ("track", "number", "path"),
    [
        ("keys", int, ""),
        (float(TRACK), float, ""),
        (TRACK, int, str(TRACK)),
        (TRACK, int, "keys"),
    ],
    ids=["by name", "floats for ints", "number in the path", "name in the path"],
)
def test_a_track_goes_by_number_by_name_and_in_the_path(
    engine: Engine, client: Client, plain: str, track: Scalar, number: type, path: str
) -> None:
    play_bar(client, track, number=number, path=path)
    assert heard(engine, client) == plain


def test_other_music_is_another_context(engine: Engine, client: Client, plain: str) -> None:
    play_bar(client)
    client.send("/sideman/track/note", TRACK, 48, 80, 1, 3.0, 1.0)
    assert heard(engine, client) != plain


def test_a_beat_beyond_the_bar_is_in_the_next_bar(
    engine: Engine, client: Client, plain: str
) -> None:
    for beat, length, pitch in BEATS:
        client.send("/sideman/track/note", TRACK, pitch, VELOCITY, 0, 4.0 + beat, length)
    assert heard(engine, client) == plain


def test_notes_as_they_are_played_at_their_time_tags(
    engine: Engine, client: Client, plain: str
) -> None:
    beat_seconds = 60.0 / 960.0
    begin = 0.05
    moments = [(begin, pack("/sideman/transport", 1, 960.0, 1, 0.0, 4, 4))]
    for beat, length, pitch in BEATS:
        moments.append((begin + beat * beat_seconds, on(pitch)))
        moments.append((begin + (beat + length) * beat_seconds, off(pitch)))
    now = tag_in(0.0)
    for seconds, packet in sorted(moments, key=lambda m: m[0]):
        client.send_bytes(bundle(now + round(seconds * 2**32), packet))
    client.sync()  # is answered after the last of the tags
    client.stand(1)
    assert heard(engine, client) == plain


def on(pitch: int) -> bytes:
    return pack("/sideman/track/on", TRACK, pitch, VELOCITY)


def off(pitch: int) -> bytes:
    return pack("/sideman/track/keys/off", pitch)


def test_a_note_that_is_held_counts_with_its_length_so_far(
    engine: Engine, client: Client
) -> None:
    client.send("/sideman/track/note", TRACK, 60, VELOCITY, 1, 0.0, 2.0)
    whole = heard(engine, client)
    forget(client)
    client.stand(1)
    client.send("/sideman/track/on", TRACK, 60, VELOCITY)
    client.stand(1, 2.0)
    assert heard(engine, client) == whole
    client.send("/sideman/track/off", TRACK, 60)
    assert heard(engine, client) == whole


def test_clear_forgets_and_the_next_request_has_no_context(
    engine: Engine, client: Client, plain: str
) -> None:
    play_bar(client)
    client.ask("/sideman/track/clear", "keys")
    answer = client.request("continue", TRACK, bars=1)
    assert answer.code == "no-context"
    play_bar(client)
    assert heard(engine, client) == plain


def test_a_clip_is_loaded_so_that_it_ends_at_the_next_bar_line(
    engine: Engine, client: Client, plain: str
) -> None:
    write(engine.session / "bar.mid", BEATS)
    done = client.ask("/sideman/track/load", TRACK, "bar.mid")
    assert done.args[0] == "/sideman/track/load"
    assert heard(engine, client) == plain
    forget(client)
    client.send("/sideman/track/keys/load", str(engine.session / "bar.mid"))
    client.next("/sideman/done", "/sideman/track/load")
    assert heard(engine, client) == plain


def test_what_is_sent_after_a_load_waits_for_it(
    engine: Engine, client: Client, plain: str
) -> None:
    write(engine.session / "bar.mid", BEATS)
    client.send("/sideman/track/load", TRACK, "bar.mid")
    assert heard(engine, client) == plain


def write(path: Path, beats: list[tuple[float, float, int]]) -> None:
    file = mido.MidiFile(ticks_per_beat=480)
    events = [(on, "note_on", pitch) for on, _, pitch in beats]
    events += [(on + length, "note_off", pitch) for on, length, pitch in beats]
    track = mido.MidiTrack([mido.Message("program_change", program=0)])
    at = 0
    for beat, kind, pitch in sorted(events):
        tick = round(beat * 480)
        track.append(mido.Message(kind, note=pitch, velocity=VELOCITY, time=tick - at))
        at = tick
    file.tracks.append(track)
    file.save(path)


@pytest.mark.parametrize(
    "path",
    ["/etc/hostname", "../../../outside.mid", "link.mid", "\ud800.mid".encode("utf-8", "replace")
     .decode()],
    ids=["absolute", "upwards", "by a link", "no such name"],
)
def test_files_outside_the_folders_are_not_read(
    engine: Engine, client: Client, tmp_path: Path, path: str
) -> None:
    write(tmp_path / "outside.mid", BEATS)
    link = engine.session / "link.mid"
    if not link.is_symlink():
        link.symlink_to(tmp_path / "outside.mid")
    code = client.refusal("/sideman/track/load", TRACK, path).code
    assert code == ("bad-file" if path.startswith("?") else "not-allowed")
    assert client.request("continue", TRACK, bars=1).code == "no-context"


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body)) + body


def header(kind: int = 1, count: int = 1, division: int = 480) -> bytes:
    return chunk(b"MThd", struct.pack(">HHH", kind, count, division))


NOTES = chunk(b"MTrk", b"\0\x90\x3c\x40\x60\x80\x3c\0\0\xff\x2f\0")

BROKEN = {
    "empty": b"",
    "no MIDI file": b"RIFF" + bytes(40),
    "header cut off": header()[:11],
    "track cut off": (header() + NOTES)[:-6],
    "type 2": header(kind=2) + NOTES,
    "SMPTE": header(division=0xE728) + NOTES,
    "no notes": header() + chunk(b"MTrk", b"\0\xff\x2f\0"),
    "10,000 tracks": header(count=10_000) + NOTES * 10_000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(engine: Engine, client: Client, name: str) -> None:
    file = engine.session / "broken.mid"
    file.write_bytes(BROKEN[name])
    fail = client.refusal("/sideman/track/load", TRACK, "broken.mid")
    assert (fail.code, fail.address) == ("bad-file", "/sideman/track/load")
    assert client.request("continue", TRACK, bars=1).code == "no-context"


def test_huge_and_missing_files_are_refused(engine: Engine, client: Client) -> None:
    file = engine.session / "huge.mid"
    with file.open("wb") as huge:
        huge.write(header() + NOTES)
        huge.truncate(100 * 2**20)
    assert client.refusal("/sideman/track/load", TRACK, "huge.mid").code == "bad-file"
    file.unlink()
    assert client.refusal("/sideman/track/load", TRACK, "huge.mid").code == "bad-file"


def test_a_drum_track_goes_on_as_drums(client: Client) -> None:
    client.send("/sideman/track/set", 4, "drums", 1)
    for eighth in range(8):
        client.send("/sideman/track/note", 4, 42, 70, 1, eighth / 2, 0.25)
    client.send("/sideman/track/note", 4, 36, 100, 1, 0.0, 0.25)
    answer = client.request("continue", 4, bars=1, seed=2)
    assert {note.channel for note in answer.notes} == {10}


def test_what_is_set_of_a_track_shows_in_its_takes(client: Client) -> None:
    play_bar(client)
    client.send("/sideman/track/set", TRACK, "channel", 7)
    answer = client.request("continue", TRACK, bars=1, seed=2)
    client.send("/sideman/track/set", TRACK, "channel", 1)
    assert {note.channel for note in answer.notes} == {7}
    assert answer.clip.track == "keys"
