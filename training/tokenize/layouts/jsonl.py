"""JSON lines: ``train.jsonl`` and ``heldout.jsonl``, one piece a line.

A line is ``{"text": "Bar_None TimeSig_4/4 …", …}``: the names of its tokens, none of them merged,
as trainers of language models read it; and beside the text, where the piece came from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import Code, SidemanError
from training.tokenize.config import Piece
from training.tokenize.data import TokenData, placed
from training.tokenize.encode import Heads, Tokens, digest
from training.tokenize.layouts.common import (
    PIECES,
    SPLITS,
    TOKENIZER,
    read_json,
    write_description,
)
from training.tokenize.merging import merges_of
from training.tokenize.sources import unknown_recipe
from training.tokenize.tokenizer import describe, make_tokenizer


def fits(folder: Path) -> bool:
    """Whether ``folder`` has this layout."""
    return (folder / "train.jsonl").is_file()


def write(data: TokenData, folder: Path) -> None:
    """Write the data set."""
    merges = merges_of(data.settings)
    names = np.array(data.names)
    for split in SPLITS:
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for piece, part in zip(data.pieces, data.parts, strict=True):
                if piece.split != split:
                    continue
                plain = merges.split(part) if merges else part
                line = {
                    "text": " ".join(names[plain]),
                    "collection": piece.collection,
                    "path": piece.path,
                }
                file.write(json.dumps(line) + "\n")
    write_description(data, folder)


def read(folder: Path) -> TokenData:
    """Open a data set. Without a ``tokenizer.json`` in it, its tokens are those of the default."""
    file = folder / TOKENIZER
    settings = read_json(file) if file.is_file() else describe(make_tokenizer())
    merges = merges_of(settings)
    names = settings["tokens"]
    base = settings.get("_vocab_base") or {name: id_ for id_, name in enumerate(names)}
    heads = Heads(base)
    manifest = read_json(folder / PIECES) if (folder / PIECES).is_file() else {}
    pieces: list[Piece] = []
    parts: list[Tokens] = []
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        for number, line in _lines(path) if path.is_file() else ():
            where = f"{path}, line {number}"
            tokens = _tokens(line, base, where)
            pieces.append(
                Piece(
                    collection=str(line.get("collection", folder.name)),
                    path=str(line.get("path", f"{split}-{number}")),
                    sha256=digest(tokens),
                    split=split,
                    start=0,
                    length=0,
                    notes=heads.notes(tokens),
                )
            )
            parts.append(merges.merge(tokens) if merges else tokens)
    pieces = placed(pieces, map(len, parts))
    recipe = manifest.get("recipe") or unknown_recipe(folder, pieces)
    return TokenData(
        settings, recipe, pieces, parts, manifest.get("seed", 0), manifest.get("skipped", [])
    )


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
            except ValueError as error:
                raise SidemanError(Code.BAD_FILE, f"{path}, line {number}: {error}") from error
            if not isinstance(line, dict) or not isinstance(line.get("text"), str):
                raise SidemanError(Code.BAD_FILE, f'{path}, line {number}: it has no "text"')
            yield number, line


def _tokens(line: dict[str, Any], base: dict[str, int], where: str) -> Tokens:
    try:
        return np.array([base[name] for name in line["text"].split()], dtype=np.uint16)
    except KeyError as error:
        raise SidemanError(Code.BAD_FILE, f"{where}: no token {error} in the vocabulary") from None
