from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.files.audio_file import write_audio
from engine.past import Past, Spot, lay_out_sound
from tests.support.band import Band
from tests.support.sounds import hits

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

RATE = 44_100


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def noise_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a MusicGen of random weights."""
    from engine.models.musicgen import tiny

    return tiny.write(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bars at 120 BPM with a hit on each beat."""
    path = tmp_path_factory.mktemp("loops") / "loop.wav"
    write_audio(path, hits([i / 2 for i in range(8)], 4.0, RATE), RATE, "float")
    return path


def recorded(path: Path, frames: int = 4 * RATE) -> Callable[[Spot], Past]:
    """What the loader makes of a file."""
    return lambda spot: lay_out_sound(str(path), RATE, 2, frames, spot)


@pytest.fixture
def studio(tiny_model: Path, noise_model: Path, loop: Path, tmp_path: Path) -> Band:
    """A band at rest whose first track has a loop, with a model of sound in its preset."""
    band = Band(tiny_model, preset="noise", start=False)
    band.models["noise"] = noise_model
    band.store.folder = tmp_path
    band.shelf.files["loop.wav"] = recorded(loop)
    band.start()
    band.send("/sideman/track/load", 1, "loop.wav")
    band.shelf.read()
    return band
