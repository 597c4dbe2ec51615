"""A small token data set, made of songs that the tests write themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("miditok")

import torch
from symusic import Note, Score, TimeSignature, Track

from training.data import TokenSet
from training.recipes import Collection, Recipe
from training.tokenize import TokenizeConfig, tokenize

BAR = 4 * 480


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _write_song(path: Path, root: int, bars: int = 8, meter: tuple[int, int] = (4, 4)) -> None:
    """A band of piano, bass and drums on one chord; bass stands before piano in the file."""
    score = Score(480)
    score.time_signatures.append(TimeSignature(0, *meter))
    bass, piano = Track("bass", 33, False), Track("piano", 0, False)
    drums = Track("drums", 0, True)
    for bar in range(bars):
        start = bar * BAR
        bass.notes.append(Note(start, 480, root - 24, 90))
        piano.notes.extend([Note(start, 960, root + step, 80) for step in (7, 0, 4)])
        drums.notes.extend([Note(start + beat * 480, 120, 36, 100) for beat in range(4)])
    score.tracks.extend([bass, piano, drums])
    path.parent.mkdir(parents=True, exist_ok=True)
    score.dump_midi(path)


def _collection(name: str, **changes: object) -> Collection:
    fields: dict[str, object] = {
        "name": name,
        "licence": "CC0-1.0",
        "notice": f"the tests' {name}",
        "source": "https://example.org",
        "weight": 1.0,
        "heldout": 2,
    }
    return Collection(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def write_song() -> Callable[..., None]:
    return _write_song


@pytest.fixture
def collection() -> Callable[..., Collection]:
    return _collection


@pytest.fixture(scope="session")
def token_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    midis = tmp_path_factory.mktemp("midis")
    for root in range(55, 67):
        _write_song(midis / "bands" / f"song{root}.mid", root)
        _write_song(midis / "foreign" / f"song{root}.mid", root, bars=9)
    recipe = Recipe(
        "test", "Apache-2.0", (_collection("bands"), _collection("foreign", weight=0.0))
    )
    return tokenize(TokenizeConfig(recipe, midis, tmp_path_factory.mktemp("tokens")))


@pytest.fixture
def token_set(token_folder: Path) -> TokenSet:
    return TokenSet(token_folder)
