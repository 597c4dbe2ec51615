"""Under which licence a model's weights may be used: what its folder says, or what all say."""

from __future__ import annotations

import re
from pathlib import Path

from engine.models.folder import MODEL_JSON, read_info
from engine.models.musicgen.known import LICENCE

CARD = "README.md"

SPELLING = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "openrail": "OpenRAIL",
    "creativeml-openrail-m": "CreativeML-OpenRAIL-M",
    "unknown": LICENCE,
    "other": "other: see its README.md",
}
"""The hub's names of licences → SPDX's, where capitals alone do not make them."""


def of(folder: Path) -> str:
    """What a folder's ``model.json`` says, or else its model card. Raises ``bad-file``."""
    return read_info(folder).licence if (folder / MODEL_JSON).is_file() else of_card(folder)


def of_card(folder: Path) -> str:
    """What the model card in a folder says; of the published weights where it says nothing."""
    card = folder / CARD
    if not card.is_file():
        return LICENCE
    with card.open(encoding="utf-8", errors="replace") as file:
        found = re.search(r"^license:\s*[\"']?([\w.+-]+)", file.read(1 << 16), re.MULTILINE)
    return spelled(found[1]) if found else LICENCE


def spelled(name: str) -> str:
    """A licence as SPDX writes it: ``cc-by-nc-4.0`` → ``CC-BY-NC-4.0``."""
    return SPELLING.get(name.lower(), name.upper())


def warning(licence: str) -> str:
    """What a musician has to know of it before anything is fetched; empty where there is little."""
    return "not for commercial use" if "-NC" in licence.upper() else ""
