from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.band import Band
from tests.support.tiny_model import make_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of random weights."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def band(tiny_model: Path) -> Band:
    """A band at rest, with its model loaded and nothing played."""
    return Band(tiny_model)


@pytest.fixture
def rolling(band: Band) -> Band:
    """Eight bars were played on track 1, and the song is at beat 2 of bar 7, at 120 BPM."""
    band.play(range(8))
    band.transport(7, 2.0)
    band.wait(0.05, pump=True)
    return band
