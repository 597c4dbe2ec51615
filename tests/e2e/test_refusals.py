"""What gets refused, and that it changes nothing: each row of the table of errors.

Before and after each of them the engine says the same of itself: its status, every parameter, the
tracks' names, and the take that a seed gives.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.client import Client
from tests.e2e.engine import Engine
from tests.e2e.music import Music
from tests.e2e.osc import Scalar

PARAMETERS = (
    "preset", "bars", "variations", "temperature", "top_p", "top_k", "density", "seed", "late",
    "tempo", "meter", "playing",
)  # fmt: skip

NAN, INF = math.nan, math.inf


def state(client: Client) -> list[Any]:
    """What the engine says of itself."""
    return [client.status(), *(client.ask("/sideman/get", name).args for name in PARAMETERS)]


@pytest.fixture(scope="module", autouse=True)
def _nothing_has_changed(engine: Engine, phrase: Music) -> Iterator[None]:
    """After all that was refused a seed gives the take that it gave before."""
    keys = {"bars": 2, "at": phrase.bars, "seed": 11}
    with Client(engine) as client:
        before = client.request("continue", 2, **keys)
        client.ask("/sideman/discard", before.clip.take)
        yield
        assert client.request("continue", 2, **keys).notes == before.notes


MESSAGES: list[tuple[str, tuple[Scalar, ...], str]] = [
    ("/sideman/nonsense", (), "unknown-address"),
    ("/sideman", (), "unknown-address"),
    ("/somebody/else", (1, 2.0, "three"), "unknown-address"),
    ("/sideman/track/1/nonsense", (), "unknown-address"),
    ("/sideman/continue/1", (1,), "unknown-address"),
    ("/sideman/hello", (), "bad-arguments"),
    ("/sideman/hello", ("one", "name"), "bad-arguments"),
    ("/sideman/hello", (1, "name", 70_000), "bad-arguments"),
    ("/sideman/hello", (1, 2), "bad-arguments"),
    ("/sideman/ping", (), "bad-arguments"),
    ("/sideman/ping", ("1",), "bad-arguments"),
    ("/sideman/ping", (1, 2), "bad-arguments"),
    ("/sideman/ping", (NAN,), "bad-arguments"),
    ("/sideman/ping", (INF,), "bad-arguments"),
    ("/sideman/version", (1,), "bad-arguments"),
    ("/sideman/status", ("please",), "bad-arguments"),
    ("/sideman/sync", (), "bad-arguments"),
    ("/sideman/notify", (2,), "bad-arguments"),
    ("/sideman/get", ("colour",), "bad-arguments"),
    ("/sideman/set", ("colour", 1), "bad-arguments"),
    ("/sideman/set", ("bars",), "bad-arguments"),
    ("/sideman/set", ("bars", 0), "bad-arguments"),
    ("/sideman/set", ("bars", 10_000), "bad-arguments"),
    ("/sideman/set", ("bars", "four"), "bad-arguments"),
    ("/sideman/set", ("temperature", NAN), "bad-arguments"),
    ("/sideman/set", ("temperature", -0.1), "bad-arguments"),
    ("/sideman/set", ("top_p", INF), "bad-arguments"),
    ("/sideman/set", ("late", "never"), "bad-arguments"),
    ("/sideman/set", ("preset", "nobody"), "unknown-preset"),
    ("/sideman/set", ("playing", 1), "not-allowed"),
    ("/sideman/listen", ("colour", 1), "bad-arguments"),
    ("/sideman/transport", (1, 120.0, 0, 0.0, 4), "bad-arguments"),
    ("/sideman/transport", (1, 120.0, 0, 0.0, 4, 4, 4), "bad-arguments"),
    ("/sideman/transport", (1, 0.0, 0, 0.0, 4, 4), "bad-arguments"),
    ("/sideman/transport", (1, NAN, 0, 0.0, 4, 4), "bad-arguments"),
    ("/sideman/transport", (1, INF, 0, 0.0, 4, 4), "bad-arguments"),
    ("/sideman/transport", (1, 120.0, -1, 0.0, 4, 4), "bad-arguments"),
    ("/sideman/transport", (1, 120.0, 0, -1.0, 4, 4), "bad-arguments"),
    ("/sideman/transport", (1, 120.0, 0, INF, 4, 4), "bad-arguments"),
    ("/sideman/transport", (1, 120.0, 0, 0.0, 4, 3), "bad-arguments"),
    ("/sideman/transport", (1, 120.0, 0, 0.0, 0, 4), "bad-arguments"),
    ("/sideman/transport", (7, 120.0, 0, 0.0, 4, 4), "bad-arguments"),
    ("/sideman/transport", ("yes", 120.0, 0, 0.0, 4, 4), "bad-arguments"),
    ("/sideman/track/note", (1, 60, 80, 0, 0.0), "bad-arguments"),
    ("/sideman/track/note", (1, 128, 80, 0, 0.0, 1.0), "bad-arguments"),
    ("/sideman/track/note", (1, 60, 128, 0, 0.0, 1.0), "bad-arguments"),
    ("/sideman/track/note", (1, 60, 0, 0, 0.0, 1.0), "bad-arguments"),
    ("/sideman/track/note", (1, 60, 80, -1, 0.0, 1.0), "bad-arguments"),
    ("/sideman/track/note", (1, 60, 80, 0, NAN, 1.0), "bad-arguments"),
    ("/sideman/track/note", (1, 60, 80, 0, 0.0, 0.0), "bad-arguments"),
    ("/sideman/track/note", (1, 60, 80, 0, 0.0, -1.0), "bad-arguments"),
    ("/sideman/track/note", (1, 60, 80, 0, 0.0, INF), "bad-arguments"),
    ("/sideman/track/note", (1, 60.5, 80, 0, 0.0, 1.0), "bad-arguments"),
    ("/sideman/track/note", ("nobody", 60, 80, 0, 0.0, 1.0), "unknown-track"),
    ("/sideman/track/nobody/note", (60, 80, 0, 0.0, 1.0), "unknown-track"),
    ("/sideman/track/on", (1, -1, 80), "bad-arguments"),
    ("/sideman/track/on", ("nobody", 60, 80), "unknown-track"),
    ("/sideman/track/off", (1,), "bad-arguments"),
    ("/sideman/track/off", ("nobody", 60), "unknown-track"),
    ("/sideman/track/clear", ("nobody",), "unknown-track"),
    ("/sideman/track/load", (1,), "bad-arguments"),
    ("/sideman/track/load", ("nobody", "bar.mid"), "unknown-track"),
    ("/sideman/track/load", (1, "/etc/passwd"), "not-allowed"),
    ("/sideman/track/load", (1, "../../../etc/passwd"), "not-allowed"),
    ("/sideman/track/load", (1, "nothing.mid"), "bad-file"),
    ("/sideman/track/set", (1, "colour", 1), "bad-arguments"),
    ("/sideman/track/set", (1, "program", 128), "bad-arguments"),
    ("/sideman/track/set", (1, "program", "piano"), "bad-arguments"),
    ("/sideman/track/set", (1, "channel", 17), "bad-arguments"),
    ("/sideman/track/set", (1, "preset", "nobody"), "unknown-preset"),
    ("/sideman/track/set", (1, "name", "melody"), "bad-arguments"),
    ("/sideman/track/set", ("nobody", "program", 1), "unknown-track"),
    ("/sideman/cancel", (-1,), "bad-arguments"),
    ("/sideman/undo", ("nobody",), "unknown-track"),
    ("/sideman/redo", (), "bad-arguments"),
    ("/sideman/keep", (999_999,), "bad-arguments"),
    ("/sideman/discard", (999_999,), "bad-arguments"),
    ("/sideman/discard", ("1",), "bad-arguments"),
    ("/sideman/panic", (1,), "bad-arguments"),
    ("/sideman/preset", ("nobody",), "unknown-preset"),
    ("/sideman/preset", ("../trio",), "unknown-preset"),
    ("/sideman/preset", (1,), "bad-arguments"),
    ("/sideman/adapter", ("nobody", 0.5), "unknown-model"),
    ("/sideman/adapter", ("nobody", NAN), "bad-arguments"),
    ("/sideman/model/load", ("nobody",), "unknown-model"),
    ("/sideman/model/load", ("/etc",), "unknown-model"),
    ("/sideman/model/unload", ("nobody",), "unknown-model"),
]


def name(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize(("address", "args", "code"), MESSAGES, ids=name)
def test_a_message_that_is_wrong(
    client: Client, address: str, args: tuple[Scalar, ...], code: str
) -> None:
    before = state(client)
    fail = client.refusal(address, *args)
    assert (fail.req, fail.code, fail.address) == (0, code, address)
    assert fail.text and "\n" not in fail.text and "Traceback" not in fail.text
    assert state(client) == before


REQUESTS: list[tuple[str, tuple[Scalar, ...], str]] = [
    ("continue", (), "bad-arguments"),
    ("continue", (1, "bars"), "bad-arguments"),
    ("continue", (1, "bars", 0), "bad-arguments"),
    ("continue", (1, "bars", 10_000), "bad-arguments"),
    ("continue", (1, "bars", -4), "bad-arguments"),
    ("continue", (1, "bars", 1.5), "bad-arguments"),
    ("continue", (1, "bars", "4"), "bad-arguments"),
    ("continue", (1, "bars", 4, "bars", 4), "bad-arguments"),
    ("continue", (1, "colour", 4), "bad-arguments"),
    ("continue", (1, 4, "bars"), "bad-arguments"),
    ("continue", (1, "at", "later"), "bad-arguments"),
    ("continue", (1, "at", -1), "bad-arguments"),
    ("continue", (1, "at", NAN), "bad-arguments"),
    ("continue", (1, "preset", "nobody"), "unknown-preset"),
    ("continue", (1, "preset", 3), "bad-arguments"),
    ("continue", (1, "seed", -1), "bad-arguments"),
    ("continue", (1, "seed", 0.5), "bad-arguments"),
    ("continue", (1, "temperature", NAN), "bad-arguments"),
    ("continue", (1, "temperature", INF), "bad-arguments"),
    ("continue", (1, "temperature", -INF), "bad-arguments"),
    ("continue", (1, "temperature", 100.0), "bad-arguments"),
    ("continue", (1, "top_p", 0.0), "bad-arguments"),
    ("continue", (1, "top_p", 1.1), "bad-arguments"),
    ("continue", (1, "variations", 0), "bad-arguments"),
    ("continue", (1, "variations", 1000), "bad-arguments"),
    ("continue", (1, "chords", "H:4"), "bad-arguments"),
    ("continue", (1, "chords", ""), "bad-arguments"),
    ("continue", (1, "chords", "C:4||Am:4"), "bad-arguments"),
    ("continue", (1, "chords", "C:0|Am:4", "bars", 1), "bad-arguments"),
    ("continue", (1, "chords", "C:4|Am:4", "bars", 1), "bad-arguments"),
    ("continue", (1, "chords", "C:4|Am:4", "bars", 4), "bad-arguments"),
    ("continue", (1, "key", "Hmaj"), "bad-arguments"),
    ("continue", (1, "key", 3), "bad-arguments"),
    ("continue", (1, "density", 0.0), "bad-arguments"),
    ("continue", (1, "density", NAN), "bad-arguments"),
    ("continue", (1, "program", 128), "bad-arguments"),
    ("continue", (1, "program", "kazoo of doom"), "bad-arguments"),
    ("continue", (1, "low", 128), "bad-arguments"),
    ("continue", (1, "low", 70, "high", 60), "bad-arguments"),
    ("continue", (1, "key", "Cmaj", "low", 61, "high", 61), "bad-arguments"),
    ("continue", (1, "late", "never"), "bad-arguments"),
    ("continue", (1, "deliver", "pigeon"), "bad-arguments"),
    ("continue", (1, "deliver", "midi"), "not-allowed"),
    ("continue", (1, "deliver", "osc+midi"), "not-allowed"),
    ("continue", (1, "from", 1, "to", 2), "bad-arguments"),
    ("continue", ("nobody",), "unknown-track"),
    ("continue", (100_000,), "bad-arguments"),
    ("variation", ("nobody",), "unknown-track"),
    ("variation", (1, "chords", "H"), "bad-arguments"),
    ("infill", (1,), "bad-arguments"),
    ("infill", (1, "from", 4), "bad-arguments"),
    ("infill", (1, "from", 4, "to", 4), "bad-arguments"),
    ("infill", (1, "from", 0, "to", 10_000), "bad-arguments"),
    ("accompany", ("nobody",), "unknown-track"),
    ("audio", (1,), "unknown-model"),
    ("audio", (1, "prompt", "a kazoo"), "unknown-model"),
]


@pytest.mark.parametrize(("verb", "args", "code"), REQUESTS, ids=name)
def test_a_request_that_is_wrong(
    client: Client, verb: str, args: tuple[Scalar, ...], code: str
) -> None:
    before = state(client)
    fail = client.refusal(f"/sideman/{verb}", 55, *args)
    assert (fail.req, fail.code, fail.address) == (55, code, f"/sideman/{verb}")
    assert fail.text and "\n" not in fail.text
    assert client.news() == []
    assert state(client) == before


@pytest.mark.parametrize("req", [0, -1, 1.5, NAN, "one"], ids=str)
def test_a_request_without_a_number(client: Client, req: Scalar) -> None:
    fail = client.refusal("/sideman/continue", req, 1)
    assert (fail.req, fail.code) == (0, "bad-arguments")


def test_a_wrong_request_by_its_path(client: Client) -> None:
    fail = client.refusal("/sideman/track/melody/continue", 9, "bars", 0)
    assert (fail.req, fail.code) == (9, "bad-arguments")
    assert client.refusal("/sideman/track/nobody/continue", 9).code == "unknown-track"


def test_what_is_wrong_by_tcp_is_refused_by_tcp(engine: Engine) -> None:
    with Client(engine, tcp=True) as client:
        assert client.refusal("/sideman/nonsense").code == "unknown-address"
        client.sync()


def test_in_a_bundle_what_is_right_holds_and_what_is_wrong_fails(client: Client) -> None:
    client.send_in(
        0.0, ("/sideman/set", "bars", 2), ("/sideman/set", "bars", 0), ("/sideman/ping", 4)
    )
    client.next("/sideman/pong", 4)
    client.next("/sideman/fail", 0, "bad-arguments")
    assert client.ask("/sideman/get", "bars").args == ("bars", 2)
    client.ask("/sideman/set", "bars", 4)


def test_more_requests_than_can_live_are_told_busy(client: Client) -> None:
    answers = [client.start("continue", 1, bars=64, at=16) for _ in range(80)]
    client.ask("/sideman/cancel", 0)
    codes = {client.finish(answer).code for answer in answers}
    assert codes <= {"cancelled", "busy", "done"} and "busy" in codes
    client.until("ready")


def test_a_preset_that_may_begin_by_itself_needs_no_context(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    fresh = Engine(tmp_path_factory.mktemp("fresh"))
    try:
        with Client(fresh) as client:
            before = client.status()
            for verb in ("continue", "variation", "accompany"):
                assert client.request(verb, 1).code == "no-context", verb
            after = client.status()
            assert (after["takes"], after["late"]) == (before["takes"], before["late"])
            client.until("ready")
            assert client.request("continue", 1, preset="drums", bars=1).code == "done"
        with Client(fresh) as client:
            assert client.request("continue", 2, chords="C:4", bars=1).code == "done"
    finally:
        fresh.kill()
