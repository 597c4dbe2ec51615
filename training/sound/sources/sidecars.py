"""Files beside a sound file that say what it is: ``x.txt`` and audiocraft's ``x.json``."""

from __future__ import annotations

import json
from pathlib import Path

from training.sound.sources.said import Said, labelled, said, tidy

LONGEST = 1 << 20
"""Bytes of a file that counts as one."""


class UnreadableError(ValueError):
    """A sidecar that is there and says nothing; the text is the reason."""


def beside(file: Path) -> Said:
    """What the files beside ``file`` say, the text first. Raises :class:`UnreadableError`."""
    known = Said()
    text = file.with_suffix(".txt")
    if text.is_file():
        words = _read(text)
        known = labelled(words) or Said(prompt=tidy(words))
    table = file.with_suffix(".json")
    if table.is_file():
        try:
            row = json.loads(_read(table))
        except (ValueError, RecursionError) as error:
            raise UnreadableError(f"{table.name} is not JSON") from error
        if not isinstance(row, dict):
            raise UnreadableError(f"{table.name} is no object")
        row.pop("sample_rate", None)  # of what its maker once had, and not of this file
        known |= said(row)
    return known


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > LONGEST:
            raise UnreadableError(f"{path.name} is too long to be about one file")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnreadableError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{path.name} is not text in UTF-8") from error
