from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

if TYPE_CHECKING:
    from engine.models.musicgen.model import MusicGen


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders of tiny models, by their channels."""
    from engine.models.musicgen import tiny

    parent = tmp_path_factory.mktemp("models")
    return {channels: tiny.write(parent, channels=channels) for channels in (1, 2)}


@pytest.fixture(scope="session")
def mono(models: dict[int, Path]) -> MusicGen:
    from engine.models.musicgen.model import MusicGen

    return MusicGen.load(models[1])


@pytest.fixture(scope="session")
def stereo(models: dict[int, Path]) -> MusicGen:
    from engine.models.musicgen.model import MusicGen

    return MusicGen.load(models[2])
