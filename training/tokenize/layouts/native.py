"""Sideman's own layout.

``tokenizer.json``; ``tokens.npy``, all pieces one after another as uint16; and ``pieces.json``,
which says where each piece lies, where it came from and on which side of the split it is, and names
every file that was left out, with the reason.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import Code, SidemanError
from training.tokenize.config import Piece
from training.tokenize.data import Parts, TokenData
from training.tokenize.layouts.common import PIECES, TOKENIZER, read_json, write_description

TOKENS = "tokens.npy"


def fits(folder: Path) -> bool:
    """Whether ``folder`` has this layout."""
    return (folder / TOKENS).is_file() and (folder / PIECES).is_file()


def write(data: TokenData, folder: Path) -> None:
    """Write the data set."""
    length = sum(piece.length for piece in data.pieces)
    tokens = np.lib.format.open_memmap(folder / TOKENS, "w+", dtype=np.uint16, shape=(length,))
    for piece, part in zip(data.pieces, data.parts, strict=True):
        tokens[piece.start : piece.start + piece.length] = part
    tokens.flush()
    write_description(data, folder)


def read(folder: Path) -> TokenData:
    """Open a data set."""
    manifest = read_json(folder / PIECES)
    settings = read_json(folder / TOKENIZER)
    try:
        tokens = np.load(folder / TOKENS, mmap_mode="r", allow_pickle=False)
        pieces = [Piece(**entry) for entry in manifest["pieces"]]
        recipe, seed, skipped = manifest["recipe"], manifest["seed"], manifest["skipped"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SidemanError(Code.BAD_FILE, f"{folder}: not a token data set: {error}") from error

    def part(index: int) -> np.ndarray:
        piece = pieces[index]
        return np.asarray(tokens[piece.start : piece.start + piece.length])

    return TokenData(settings, recipe, pieces, Parts(part, len(pieces)), seed, skipped)
