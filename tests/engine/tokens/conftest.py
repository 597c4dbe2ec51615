from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.tokens.vocabulary import Vocabulary

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def tokenizer_file() -> Path:
    return min((ROOT / "presets" / "models").glob("*/tokenizer.json"))


@pytest.fixture(scope="session")
def vocabulary(tokenizer_file: Path) -> Vocabulary:
    return Vocabulary.load(tokenizer_file)


@pytest.fixture(scope="session")
def music() -> Path:
    """The folder of the project's MIDI files."""
    folder = Path(os.environ.get("SIDEMAN_DATA") or ROOT.parent / "shared" / "data") / "midi"
    if not folder.is_dir():
        pytest.skip("needs the project's music data")
    return folder
