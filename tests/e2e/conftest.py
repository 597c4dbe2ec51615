"""Engines to play with. An engine is shared by a module's tests, which leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client import Client
from tests.e2e.engine import Engine
from tests.e2e.music import Music, own_phrase, play


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that has its model, and knows nothing yet."""
    running = Engine(tmp_path_factory.mktemp("engine"))
    try:
        with Client(running) as client:
            client.until("ready")
        yield running
    finally:
        running.kill()


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    """A client of the module's engine; what was made for it goes when it leaves."""
    with Client(engine) as connected:
        yield connected
        leave(connected)


@pytest.fixture(scope="module")
def phrase(engine: Engine) -> Music:
    """Sixteen bars on four tracks that the module's engine has heard."""
    music = own_phrase()
    with Client(engine) as client:
        play(client, music)
    return music


def leave(client: Client) -> None:
    """End and discard all that a client has asked for, so that the next one finds a clean desk."""
    client.ask("/sideman/cancel", 0)
    client.sync()
    for take in client.takes:
        client.send("/sideman/discard", take)
    client.sync()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for an engine of the test's own."""
    return tmp_path
