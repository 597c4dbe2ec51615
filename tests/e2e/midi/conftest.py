"""JACK for all of them, and a stage for each module, which its tests leave as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e.midi.stage import Stage
from tests.support.jack import Missing, Server, jack_server


@pytest.fixture(scope="session")
def jack() -> Iterator[Server]:
    """A JACK server; where there is none, nothing here can be tested, which CI must not accept."""
    try:
        with jack_server() as server:
            yield server
    except Missing as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    """The module's stage, which each test leaves silent and with every note ended."""
    yield running
    running.rest()
    running.musician.check_pairs()
    running.musician.heard.clear()


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether everything is to be tried as often as the figures in the docs are about."""
    return os.environ.get("SIDEMAN_FULL") == "1"
