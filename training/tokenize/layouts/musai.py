"""MusAI's layout: one JSON file a piece, and the tokenizer's settings in ``token_params.cfg``.

A piece is ``{"ids": [[...]], "programs": [...]}`` in a file named after its MIDI file, ``song.mid``
as ``song_mid.json``. MusAI reads the files of the folder itself, so that what is held out lies in
the folder ``heldout`` below it. Where tokens are merged, merged copies are in ``bpe``, as there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import Code, SidemanError
from training.recipes import Collection
from training.tokenize.config import Piece
from training.tokenize.data import Parts, TokenData, placed
from training.tokenize.encode import Heads, Tokens, digest
from training.tokenize.layouts.common import as_tokens, read_json, write_json
from training.tokenize.merging import merges_of
from training.tokenize.sources import HELD_OUT, unknown_recipe
from training.tokenize.split import Candidate, held_out

PARAMS = "token_params.cfg"
MANIFEST = "pieces.cfg"
"""Of another ending than ``pieces.json``, since MusAI takes every ``.json`` for a piece."""

HELDOUT, MERGED = "heldout", "bpe"


def fits(folder: Path) -> bool:
    """Whether ``folder`` has this layout."""
    return (folder / PARAMS).is_file()


def write(data: TokenData, folder: Path) -> None:
    """Write the data set."""
    merges = merges_of(data.settings)
    base: dict[str, int] = data.settings.get("_vocab_base") or {
        name: id_ for id_, name in enumerate(data.names)
    }
    programs = {
        id_: int(name.removeprefix("Program_"))
        for name, id_ in base.items()
        if name.startswith("Program_")
    }
    write_json(folder / PARAMS, data.settings | {"_vocab_base": base}, indent=4)
    write_json(folder / MANIFEST, data.manifest())
    taken: set[str] = set()
    for piece, part in zip(data.pieces, data.parts, strict=True):
        name = _free_name(piece.path, taken)
        plain = merges.split(part) if merges else part
        used = sorted({programs[id_] for id_ in np.unique(plain).tolist() if id_ in programs})
        about = {"programs": used, "collection": piece.collection, "path": piece.path}
        for place, ids in (("", plain), (MERGED, part if merges else None)):
            if ids is None:
                continue
            target = folder / place / (HELDOUT if piece.split == "heldout" else "")
            target.mkdir(parents=True, exist_ok=True)
            write_json(target / f"{name}.json", {"ids": [ids.tolist()], **about}, indent=None)


def _free_name(path: str, taken: set[str]) -> str:
    """MusAI's name for a MIDI file, with a number where another file has it already."""
    name = re.sub(r"[^0-9a-z_]+", "_", path.rpartition("/")[2].lower())
    names = (name if i == 1 else f"{name}_{i}" for i in count(1))
    free = next(name for name in names if name not in taken)
    taken.add(free)
    return free


def read(folder: Path) -> TokenData:
    """Open a data set, of this program or of MusAI's. The copies in ``bpe`` are left alone.

    What has no ``heldout`` is split as a folder of songs would be.
    """
    settings = _settings(folder)
    names = settings["tokens"]
    heads = Heads({name: id_ for id_, name in enumerate(names)})
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    files = [
        *((path, "train") for path in sorted(folder.glob("*.json"))),
        *((path, "heldout") for path in sorted((folder / HELDOUT).glob("*.json"))),
    ]
    pieces: list[Piece] = []
    tunes = []
    for path, split in files:
        entry = read_json(path)
        tokens = _ids(entry, len(names), path)
        pieces.append(
            Piece(
                collection=str(entry.get("collection", folder.resolve().name)),
                path=str(entry.get("path", path.stem)),
                sha256=digest(tokens),
                split=split,
                start=0,
                length=len(tokens),
                notes=heads.notes(tokens),
            )
        )
        tunes.append(heads.tune(tokens))
    if not pieces:
        raise SidemanError(Code.BAD_FILE, f"{folder}: no pieces beside {PARAMS}")
    pieces = placed(pieces, [piece.length for piece in pieces])
    recipe = manifest.get("recipe") or unknown_recipe(folder, pieces)
    if not (folder / HELDOUT).is_dir() and not manifest:
        pieces = _split(pieces, tunes)

    def part(index: int) -> Tokens:
        path, _ = files[index]
        return _ids(read_json(path), len(names), path)

    return TokenData(
        settings,
        recipe,
        pieces,
        Parts(part, len(files)),
        manifest.get("seed", 0),
        manifest.get("skipped", []),
    )


def _settings(folder: Path) -> dict[str, Any]:
    """The tokenizer's settings, of any version of miditok, with the names of its basic tokens."""
    path = folder / PARAMS
    settings: dict[str, Any] = read_json(path)
    base = settings.get("_vocab_base")
    if base is None:
        import miditok

        kind = getattr(miditok, str(settings.get("tokenization")), None)
        if kind is None:
            raise SidemanError(
                Code.BAD_FILE, f"{path}: no vocabulary in it, and a tokenization that miditok lacks"
            )
        base = kind(params=path).vocab
    # The merges belong to the copies in ``bpe``.
    settings = {key: value for key, value in settings.items() if not key.startswith("_")}
    return settings | {"tokens": sorted(base, key=base.__getitem__)}


def _ids(entry: dict[str, Any], size: int, path: Path) -> Tokens:
    try:
        ids = entry["ids"]
        return as_tokens(ids[0] if ids and isinstance(ids[0], list) else ids, size, str(path))
    except (KeyError, TypeError) as error:
        raise SidemanError(Code.BAD_FILE, f"{path}: no 'ids' of a piece in it") from error


def _split(pieces: list[Piece], tunes: list[bytes]) -> list[Piece]:
    songs = Collection("songs", "", "", "", weight=1.0, heldout=0, share=HELD_OUT)
    candidates = [
        Candidate(piece.path, piece.sha256, tune) for piece, tune in zip(pieces, tunes, strict=True)
    ]
    return [
        replace(piece, split="heldout") if apart else piece
        for piece, apart in zip(pieces, held_out(candidates, songs, seed=0), strict=True)
    ]
