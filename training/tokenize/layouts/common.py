"""What the layouts share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import Code, SidemanError
from training.tokenize.data import TokenData
from training.tokenize.encode import Tokens

TOKENIZER = "tokenizer.json"
PIECES = "pieces.json"
SPLITS = ("train", "heldout")


def read_json(path: Path) -> Any:
    """The contents of a file of a data set. Raises ``bad-file`` with its name."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SidemanError(Code.BAD_FILE, f"{path}: not of a token data set: {error}") from error


def write_json(path: Path, value: Any, indent: int | None = 1) -> None:
    """Write ``value``, as ASCII, so that names of files of any encoding survive."""
    path.write_text(json.dumps(value, indent=indent), encoding="utf-8")


def write_description(data: TokenData, folder: Path) -> None:
    """Write ``tokenizer.json`` and ``pieces.json``."""
    write_json(folder / TOKENIZER, data.settings, indent=4)
    write_json(folder / PIECES, data.manifest())


def as_tokens(ids: Any, size: int, where: str) -> Tokens:
    """Ids [n] of any source as tokens. Raises ``bad-file`` for what the vocabulary hasn't got."""
    try:
        values = np.asarray(ids)
        whole = values.ndim == 1 and (not len(values) or values.dtype.kind in "iu")
        if not whole or (len(values) and not 0 <= int(values.min()) <= int(values.max()) < size):
            raise ValueError(f"it is no sequence of tokens 0 to {size - 1}")
    except (TypeError, ValueError, OverflowError) as error:
        raise SidemanError(Code.BAD_FILE, f"{where}: {error}") from error
    return values.astype(np.uint16)
