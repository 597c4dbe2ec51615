"""An engine that other machines could reach: who does not know the token changes nothing.

``127.1`` is the loopback by another spelling, which the engine takes for any other address: the
token is asked for, and yet no test opens a port to the network.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client import Client, ClipNote, Refused
from tests.e2e.engine import Engine
from tests.e2e.osc import Scalar

TOKEN = "Fis-moll"
HELLO = "/sideman/hello"

REFUSED: list[tuple[str, tuple[Scalar, ...], int]] = [
    ("/sideman/transport", (1, 99.0, 40, 0.0, 3, 4), 0),
    ("/sideman/track/note", (1, 60, 90, 0, 0.0, 1.0), 0),
    ("/sideman/track/on", (1, 60, 90), 0),
    ("/sideman/track/set", (1, "name", "mine"), 0),
    ("/sideman/track/load", (1, "song.mid"), 0),
    ("/sideman/track/1/clear", (), 0),
    ("/sideman/continue", (7, 1, "bars", 1, "chords", "C:4"), 7),
    ("/sideman/set", ("tempo", 61.0), 0),
    ("/sideman/preset", ("drums",), 0),
    ("/sideman/model/unload", ("default",), 0),
    ("/sideman/cancel", (0,), 0),
    ("/sideman/panic", (), 0),
    ("/sideman/notify", (1,), 0),
    ("/sideman/listen", ("tempo", 1), 0),
    ("/sideman/status", (), 0),
    ("/sideman/ping", (1,), 0),
    ("/sideman/no/such/thing", (), 0),
]
"""What a stranger may not send, nor learn the answer to; and the number that its fail carries."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that asks for the token, with a bar played on track 1."""
    home = tmp_path_factory.mktemp("guarded")
    config = home / "sideman.toml"
    config.write_text(f'[osc]\ntoken = "{TOKEN}"\n')
    running = Engine(home, "--config", str(config), "--osc-host", "127.1")
    try:
        with Client(running) as owner:
            owner.ask(HELLO, 1, "owner", 0, TOKEN)
            owner.until("ready")
            owner.send("/sideman/track/note", 1, 64, 80, 0, 0.0, 4.0)
            owner.stand(0)
            music(owner, running)  # and the journal is begun
        yield running
    finally:
        running.kill()


@pytest.fixture
def owner(engine: Engine) -> Iterator[Client]:
    """A client that knows the token."""
    with Client(engine) as client:
        client.ask(HELLO, 1, "owner", 0, TOKEN)
        yield client


@pytest.fixture(params=[False, True], ids=["udp", "tcp"])
def stranger(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client that does not."""
    with Client(engine, tcp=request.param) as client:
        yield client


def state(owner: Client, engine: Engine) -> object:
    """All that a stranger could have changed, as far as it can be seen from outside."""
    values = [owner.ask("/sideman/get", name).args for name in ("tempo", "playing", "preset")]
    return owner.status(), values, [e for e in journal(engine) if e["event"] != "played"]


def journal(engine: Engine) -> list[dict[str, object]]:
    """What was written so far; its last line may be half there."""
    text = (engine.session / "journal.jsonl").read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def music(owner: Client, engine: Engine) -> list[ClipNote]:
    """What the engine makes of what it has heard."""
    answer = owner.request("continue", 1, at=1, bars=1, seed=1)
    owner.ask("/sideman/discard", answer.clip.take)
    # The journal is written behind the music: wait until it says so too.
    discarded = {"event": "discard", "take": answer.clip.take}
    deadline = time.monotonic() + 5.0
    while discarded not in journal(engine) and time.monotonic() < deadline:
        time.sleep(0.01)
    return answer.notes


def refused(stranger: Client, address: str, *args: Scalar) -> Refused:
    fail = stranger.refusal(address, *args)
    assert fail.code == "not-allowed"
    assert TOKEN not in fail.text
    return fail


def test_a_stranger_is_refused_everything(
    engine: Engine, owner: Client, stranger: Client
) -> None:
    heard = music(owner, engine)
    before = state(owner, engine)
    for address, args, req in REFUSED:
        fail = refused(stranger, address, *args)
        assert (fail.req, fail.address) == (req, address)
    assert state(owner, engine) == before
    assert music(owner, engine) == heard
    assert stranger.inbox == []


@pytest.mark.parametrize(
    "token", [(), ("",), ("fis-moll",), (TOKEN + " ",), (TOKEN[:-1],), ("ö" * 900,)],
    ids=["none", "empty", "another case", "longer", "shorter", "much longer"],
)  # fmt: skip
def test_a_wrong_token_opens_nothing(
    engine: Engine, owner: Client, stranger: Client, token: tuple[str, ...]
) -> None:
    before = state(owner, engine)
    args = (1, "guest", 0, *token) if token else (1, "guest")
    refused(stranger, HELLO, *args)
    assert refused(stranger, "/sideman/ping", 1).address == "/sideman/ping"
    assert state(owner, engine) == before


def test_the_token_opens_all(engine: Engine, owner: Client, stranger: Client) -> None:
    refused(stranger, "/sideman/ping", 1)
    before = int(owner.status()["clients"])
    stranger.ask(HELLO, 1, "guest", 0, TOKEN)
    assert stranger.ask("/sideman/ping", 2).args[0] == 2
    assert stranger.status()["clients"] == before + 1
    answer = stranger.request("continue", 1, bars=1, seed=1)
    assert answer.code == "done" and answer.notes
    stranger.ask("/sideman/discard", answer.clip.take)


def test_it_is_asked_of_each_client(engine: Engine, owner: Client) -> None:
    with Client(engine) as other:
        refused(other, "/sideman/ping", 1)
    assert owner.ask("/sideman/ping", 3).args[0] == 3


def test_a_bundle_is_no_way_in(engine: Engine, owner: Client, stranger: Client) -> None:
    before = state(owner, engine)
    stranger.send_in(0.0, (HELLO, 1, "guest"), ("/sideman/set", "tempo", 61.0))
    stranger.send_in(0.2, ("/sideman/set", "tempo", 62.0))
    codes = {Refused(stranger.next("/sideman/fail")).code for _ in range(3)}
    assert codes == {"not-allowed"}
    owner.send_in(0.25, ("/sideman/ping", 4))
    owner.next("/sideman/pong", 4)
    assert state(owner, engine) == before


def test_without_a_token_it_does_not_start(home: Path) -> None:
    with pytest.raises(AssertionError, match=r"set osc\.token in the config"):
        Engine(home, "--osc-host", "127.1")
