"""What can be done with takes: undo, redo, keep, discard, cancel, panic.

Which take a track plays shows in what the next one hears: the context hash of a take after it.
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.client import Client, Refused
from tests.e2e.engine import Engine
from tests.e2e.music import Music

TRACK = 1


@pytest.fixture(autouse=True)
def _heard(phrase: Music) -> None:
    """All of these tests go on from the phrase, which ends before bar 16."""


def shown(engine: Engine, client: Client) -> str:
    """What lies before bar 17, as a hash: the phrase, and what track 1 plays in bar 16."""
    answer = client.request("continue", 2, at=17, bars=1, seed=1)
    file = engine.session / f"take-{answer.clip.take:04d}.json"
    found: str = json.loads(file.read_text())["context_hash"]
    client.ask("/sideman/discard", answer.clip.take)
    return found


def make(client: Client, seed: int) -> int:
    """A take of one bar at bar 16; its number."""
    return client.request("continue", TRACK, at=16, bars=1, seed=seed).clip.take


def test_undo_brings_the_former_take_back_and_redo_the_latter(
    engine: Engine, client: Client
) -> None:
    empty = shown(engine, client)
    make(client, 1)
    first = shown(engine, client)
    make(client, 2)
    second = shown(engine, client)
    assert len({empty, first, second}) == 3
    client.ask("/sideman/undo", TRACK)
    assert shown(engine, client) == first
    client.ask("/sideman/undo", TRACK)
    assert shown(engine, client) == empty
    client.ask("/sideman/redo", "bass")
    client.ask("/sideman/redo", TRACK)
    assert shown(engine, client) == second


def test_undo_names_its_track_in_the_path_too(engine: Engine, client: Client) -> None:
    before = shown(engine, client)
    make(client, 1)
    client.send(f"/sideman/track/{TRACK}/undo")
    client.next("/sideman/done", "/sideman/undo")
    assert shown(engine, client) == before


def test_undo_is_the_tracks_own_business(engine: Engine, client: Client) -> None:
    make(client, 1)
    other = client.request("continue", 3, at=16, bars=1, seed=2).clip.take
    both = shown(engine, client)
    client.ask("/sideman/undo", TRACK)
    client.ask("/sideman/redo", TRACK)
    assert shown(engine, client) == both
    client.ask("/sideman/discard", other)
    assert shown(engine, client) != both


def test_discard_takes_it_away_and_undo_brings_it_back(engine: Engine, client: Client) -> None:
    before = shown(engine, client)
    take = make(client, 3)
    there = shown(engine, client)
    assert client.ask("/sideman/discard", take).args == ("/sideman/discard", take)
    assert shown(engine, client) == before
    client.ask("/sideman/undo", TRACK)
    assert shown(engine, client) == there


def test_keep_of_a_variation_puts_it_in_its_place(engine: Engine, client: Client) -> None:
    answer = client.request("continue", TRACK, at=16, bars=1, seed=4, variations=2)
    first = shown(engine, client)
    done = client.ask("/sideman/keep", answer.clips[1].take)
    assert done.args == ("/sideman/keep", answer.clips[1].take)
    kept = shown(engine, client)
    assert kept != first
    client.ask("/sideman/undo", TRACK)
    assert shown(engine, client) == first
    client.ask("/sideman/redo", TRACK)
    assert shown(engine, client) == kept


def test_asking_again_replaces_a_take_that_was_not_kept(engine: Engine, client: Client) -> None:
    make(client, 5)
    first = shown(engine, client)
    make(client, 6)
    assert shown(engine, client) != first
    client.ask("/sideman/undo", TRACK)
    assert shown(engine, client) == first


@pytest.mark.parametrize("verb", ["undo", "redo"])
def test_where_there_is_nothing_to_undo(client: Client, verb: str) -> None:
    client.send("/sideman/track/set", 20, "name", "untouched")
    fail = client.refusal(f"/sideman/{verb}", "untouched")
    assert fail.req == 0 and fail.code in ("no-context", "not-allowed")


def test_cancel_ends_a_request_between_two_notes(client: Client) -> None:
    before = client.status()
    answer = client.start("continue", TRACK, at=16, bars=64, seed=1)
    client.next("/sideman/clip/note", answer.req)
    at = client.send("/sideman/cancel", answer.req)
    done = client.next("/sideman/done", "/sideman/cancel")
    fail = Refused(client.next("/sideman/fail", answer.req))
    assert (fail.code, fail.address) == ("cancelled", "/sideman/continue")
    assert done.args[1] == answer.req and done.at - at < 1.0
    client.news()
    client.rest()
    assert client.news() == []  # no note comes after the end
    assert client.status() == before


def test_cancel_0_ends_all_of_this_clients_and_no_others(engine: Engine, client: Client) -> None:
    with Client(engine) as other:
        theirs = other.start("continue", 3, at=16, bars=2, seed=1)
        mine = [client.start("continue", TRACK, at=16, bars=64, seed=n) for n in range(3)]
        client.ask("/sideman/cancel", 0)
        assert [client.finish(answer).code for answer in mine] == ["cancelled"] * 3
        assert other.finish(theirs).code == "done"
        other.ask("/sideman/discard", theirs.clip.take)


def test_a_cancelled_request_leaves_no_take(engine: Engine, client: Client) -> None:
    before = shown(engine, client)
    answer = client.start("continue", TRACK, at=16, bars=64, seed=1)
    take = int(client.next("/sideman/clip/open", answer.req).args[1])
    client.ask("/sideman/cancel", answer.req)
    client.next("/sideman/fail", answer.req, "cancelled")
    assert client.refusal("/sideman/keep", take).code == "bad-arguments"
    assert not (engine.session / f"take-{take:04d}.mid").exists()
    assert shown(engine, client) == before


def test_a_number_is_free_again_once_its_request_has_ended(client: Client) -> None:
    for seed in (1, 2):
        client.send("/sideman/continue", 7000, TRACK, "bars", 1, "at", 16, "seed", seed)
        client.next("/sideman/accepted", 7000)
        client.next("/sideman/done", 7000)


def test_panic_ends_held_notes(client: Client) -> None:
    client.send("/sideman/track/on", 21, 60, 90)
    assert client.ask("/sideman/panic").args == ("/sideman/panic",)
    client.ask("/sideman/track/clear", 21)


def test_another_preset_is_chosen_for_the_requests_to_come(client: Client) -> None:
    assert client.ask("/sideman/preset", "drums").args == ("/sideman/preset", "drums")
    try:
        assert client.status()["preset"] == "drums"
        assert client.ask("/sideman/get", "preset").args == ("preset", "drums")
        answer = client.request("continue", 22, at=16, bars=1)
        assert {note.channel for note in answer.notes} == {10}
    finally:
        client.ask("/sideman/preset", "trio")


def test_the_model_that_plays_is_loaded_and_cannot_be_unloaded(
    engine: Engine, client: Client
) -> None:
    answer = client.request("continue", TRACK, at=16, bars=1, seed=1)
    file = engine.session / f"take-{answer.clip.take:04d}.json"
    model = json.loads(file.read_text())["model"]
    assert client.ask("/sideman/model/load", model).args == ("/sideman/model/load", model)
    assert client.refusal("/sideman/model/unload", model).code == "not-allowed"
    assert client.status()["state"] == "ready"
