"""The layout of Szawerda's thesis on textual inversion: ``metadata_train.json`` and its fellows.

Clips lie in ``data/train/CONCEPT/audio`` and ``data/valid/CONCEPT/audio``; paths are relative to
the folder. ``metadata_concepts.json`` says what each concept is.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from engine.errors import Code, SidemanError
from training.sound.dataset import HELD_OUT, TRAIN
from training.sound.sources.said import Said, tidy
from training.sound.sources.tables import Table

MARK = "metadata_train.json"
LISTS = {MARK: TRAIN, "metadata_val.json": HELD_OUT}
CONCEPTS = "metadata_concepts.json"


class ThesisSet:
    """A data set in this layout."""

    def __init__(self, folder: Path) -> None:
        """Read its lists. Raises ``bad-file``."""
        self.path = folder / MARK
        self._tables = {
            split: Table(folder / name)
            for name, split in LISTS.items()
            if (folder / name).is_file() and (folder / name).read_bytes().strip() != b"[]"
        }
        if not self._tables:
            raise SidemanError(Code.BAD_FILE, f"{self.path} holds no rows")
        self._split = {
            file: split for split, table in self._tables.items() for file in table.files()
        }
        self._described = _concepts(folder / CONCEPTS)

    def files(self) -> list[Path]:
        """The clips of both lists, in their order."""
        return list(self._split)

    def about(self, file: Path, root: Path) -> Said | None:
        """What is said of a clip; its split counts where there are two lists."""
        split = self._split.get(file)
        said = self._tables[split].about(file, root) if split else None
        if said is None:
            return None
        described = said.description or self._described.get(said.concept, "")
        return replace(
            said, split=split if split and len(self._tables) > 1 else "", description=described
        )


def _concepts(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SidemanError(Code.BAD_FILE, f"{path} is not JSON: {error}") from error
    if not isinstance(table, dict):
        raise SidemanError(Code.BAD_FILE, f"{path} is no object")
    return {str(name): tidy(text) for name, text in table.items()}
