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
