"""Bar lines: time tags, and what becomes of a bar line that was missed.

The song runs so slowly here that a bar line which lies a beat behind or ahead is sure to do so, and
nobody waits for one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.client import Client, Refused
from tests.e2e.engine import Engine
from tests.e2e.music import Music

TRACK = 2
BPM = 40.0
BEAT_SECONDS = 60.0 / BPM


@pytest.fixture
def client(engine: Engine, phrase: Music) -> Iterator[Client]:
    """A client of an engine whose song stands still in the phrase's last bar; again afterwards."""
    with Client(engine) as connected:
        connected.stand(phrase.bars - 1, bpm=BPM)
        connected.request("continue", TRACK, bars=1, seed=1)  # all has been heard
        yield connected
        connected.ask("/sideman/cancel", 0)
        connected.stand(phrase.bars - 1, bpm=BPM)
        for take in connected.takes:
            connected.ask("/sideman/discard", take)


def test_in_time_nothing_is_late(client: Client) -> None:
    before = client.status()["late"]
    client.roll(14, 1.0, bpm=BPM)
    answer = client.request("continue", TRACK, bars=1, seed=1)
    assert (answer.bar, answer.clip.bar, answer.lates) == (15, 15, [])
    assert client.status()["late"] == before


@pytest.mark.parametrize("keys", [{}, {"late": "move"}], ids=["by default", "when asked"])
def test_move_goes_to_the_next_bar_line(client: Client, keys: dict[str, str]) -> None:
    before = int(client.status()["late"])
    client.roll(16, 1.0, bpm=BPM)
    answer = client.request("continue", TRACK, at=16, bars=2, seed=1, **keys)
    (late,) = answer.lates
    assert late.args[2] == "move" and late.args[1] >= BEAT_SECONDS * 1000.0
    assert (answer.clip.bar, answer.clip.bars) == (17, 2)
    assert client.status()["late"] == before + 1


def test_shorten_enters_in_the_middle(client: Client) -> None:
    client.roll(16, 1.0, bpm=BPM)
    answer = client.request("continue", TRACK, at=16, bars=2, seed=1, late="shorten")
    (late,) = answer.lates
    assert late.args[2] == "shorten"
    assert (answer.clip.bar, answer.clip.bars) == (16, 2)
    first = answer.notes[0]
    assert (first.bar, first.beat) > (16, 1.0)


def test_shorten_drops_what_would_be_shortened_to_nothing(client: Client) -> None:
    client.roll(18, 1.0, bpm=BPM)
    answer = client.request("continue", TRACK, at=16, bars=1, seed=1, late="shorten")
    assert answer.code == "too-late" and answer.clips == []


def test_loop_plays_the_last_bars_until_then(client: Client, phrase: Music) -> None:
    client.roll(16, 1.0, bpm=BPM)
    answer = client.request("continue", TRACK, at=16, bars=1, seed=1, late="loop")
    (late,) = answer.lates
    assert late.args[2] == "loop"
    assert (answer.bar, answer.clip.bar, answer.clip.bars) == (16, 16, 2)
    looped = [(n.beat, n.pitch, n.velocity) for n in answer.notes if n.bar == 16]
    notes = phrase.parts[TRACK - 1].notes
    assert looped == [(n.beat, n.pitch, n.velocity) for n in notes if n.bar == 15]
    assert any(note.bar == 17 for note in answer.notes)


@pytest.mark.parametrize("milliseconds", [400, 50, 20, 10, 5, 1])
def test_just_before_a_bar_line_it_is_met_or_said_to_be_missed(
    client: Client, milliseconds: int
) -> None:
    before = int(client.status()["late"])
    client.roll(15, 4.0 - milliseconds / 500.0)
    answer = client.request("continue", TRACK, bars=1, seed=1)
    assert client.status()["late"] == before + len(answer.lates)
    if answer.lates:
        assert answer.clip.bar > 16 and {late.args[2] for late in answer.lates} == {"move"}
    else:
        assert answer.clip.bar in (16, 17)  # the message itself may have come behind the line
        assert answer.clip.bar == answer.bar


def test_a_long_note_that_is_looped_ends_with_its_take(client: Client) -> None:
    client.send("/sideman/track/note", TRACK, 50, 90, 15, 0.0, 4000.0)
    client.roll(16, 1.0, bpm=BPM)
    answer = client.request("continue", TRACK, at=16, bars=1, seed=1, late="loop")
    assert answer.code == "done"
    assert 50 in {note.pitch for note in answer.notes if note.bar == 16}


def test_drop_refuses(client: Client) -> None:
    before = client.status()
    client.roll(16, 1.0, bpm=BPM)
    answer = client.request("continue", TRACK, at=16, bars=1, seed=1, late="drop")
    assert answer.code == "too-late" and answer.clips == []
    (late,) = answer.lates
    assert late.args[2] == "drop"
    after = client.status()
    assert int(after["late"]) == int(before["late"]) + 1 and after["takes"] == before["takes"]


def test_while_the_song_stands_no_bar_line_is_missed(client: Client) -> None:
    answer = client.request("continue", TRACK, at=3, bars=1, seed=1, late="drop")
    assert (answer.code, answer.clip.bar, answer.lates) == ("done", 3, [])


def test_infill_of_bars_that_are_past_is_not_late(client: Client) -> None:
    client.roll(16, 1.0, bpm=BPM)
    answer = client.request("infill", TRACK, from_=10, to=11, seed=1)
    assert (answer.code, answer.clip.bar, answer.lates) == ("done", 10, [])


def test_a_time_tag_says_when(client: Client) -> None:
    begun = client.send("/sideman/ping", 1)
    client.send_in(0.2, ("/sideman/ping", 2), ("/sideman/set", "bars", 2))
    client.send("/sideman/get", "bars")
    assert client.next("/sideman/value", "bars").args == ("bars", 4)
    client.send("/sideman/ping", 3)
    first, third = client.next("/sideman/pong", 1), client.next("/sideman/pong", 3)
    second = client.next("/sideman/pong", 2)
    assert third.at < second.at and second.at - begun == pytest.approx(0.2, abs=0.1)
    assert second.args[1] - first.args[1] == pytest.approx(0.2, abs=0.05)
    assert client.next("/sideman/value", "bars").args == ("bars", 2)
    client.ask("/sideman/set", "bars", 4)


def test_the_transport_was_there_at_the_time_tag(client: Client) -> None:
    # A tag a little in the past: where the song was then. A beat later it is in the next bar.
    client.send_in(-0.5, ("/sideman/transport", 1, 120.0, 20, 3.5, 4, 4))
    answer = client.request("continue", TRACK, bars=1, seed=1)
    assert answer.bar == 22


def test_a_request_in_a_bundle_is_for_its_moment(client: Client) -> None:
    client.send_in(
        0.1,
        ("/sideman/transport", 0, BPM, 30, 0.0, 4, 4),
        ("/sideman/continue", 900, TRACK, "bars", 1),
    )
    assert client.next("/sideman/accepted", 900).args[2] == 31
    client.next("/sideman/done", 900)


def test_sync_waits_for_what_is_tagged(client: Client) -> None:
    client.send_in(0.15, ("/sideman/ping", 5))
    client.sync()
    assert [m.args[0] for m in client.inbox if m.address == "/sideman/pong"] == [5]


def test_more_than_eight_bars_ahead_is_refused(client: Client) -> None:
    bar = 4 * BEAT_SECONDS
    client.send_in(8.5 * bar, ("/sideman/continue", 31, TRACK), ("/sideman/ping", 1))
    fails = [Refused(client.next("/sideman/fail")) for _ in range(2)]
    assert {fail.code for fail in fails} <= {"bad-arguments", "not-allowed"}
    assert sorted((fail.req, fail.address) for fail in fails) == [
        (0, "/sideman/ping"), (31, "/sideman/continue"),
    ]  # fmt: skip
    client.send_in(7.5 * bar, ("/sideman/ping", 2))
    client.ask("/sideman/ping", 3)  # answered after that one was taken
    assert client.inbox == []


def test_three_four_time(client: Client) -> None:
    client.stand(40, bpm=120.0, num=3)
    answer = client.finish(client.start("continue", TRACK, bars=2, seed=1), beats=3.0)
    assert (answer.clip.bar, answer.clip.bars) == (41, 2)
    assert client.ask("/sideman/get", "meter").args == ("meter", "3/4")
    client.stand(40, bpm=120.0, num=4)
