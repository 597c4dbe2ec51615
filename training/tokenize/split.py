"""Which pieces are held out: whole works, chosen by their content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from training.recipes import Collection


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the split knows of a piece."""

    name: str
    sha256: str
    tune: bytes


def held_out(pieces: Sequence[Candidate], collection: Collection, seed: int) -> list[bool]:
    """For each piece of a collection, whether it is kept apart.

    Works are drawn in an order that only their content and the seed decide, until there are
    enough pieces. A collection without weight is kept apart as a whole.
    """
    if collection.weight == 0:
        return [True] * len(pieces)
    works = _works(pieces, collection)
    content: dict[str, list[str]] = {}
    for piece, work in zip(pieces, works, strict=True):
        content.setdefault(work, []).append(piece.sha256)

    def lot(work: str) -> str:
        return hashlib.sha256(f"{seed} {min(content[work])}".encode()).hexdigest()

    order = sorted(content, key=lot)
    enough = collection.heldout
    if collection.share:
        enough = max(enough, round(collection.share * len(pieces)), 1)
        order.pop()  # the last work is learned from, whatever the share
    chosen: set[str] = set()
    count = 0
    for work in order:
        if count >= enough:
            break
        chosen.add(work)
        count += len(content[work])
    return [work in chosen for work in works]


def _works(pieces: Sequence[Candidate], collection: Collection) -> list[str]:
    """The work of each piece: by its name and, where a share is held out, by its tune too."""
    names = []
    for piece in pieces:
        match = re.search(collection.work, piece.name) if collection.work else None
        names.append(match[0] if match else piece.name)
    if not collection.share:
        return names
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name] = parent[parent[name]]
        return name

    tunes: dict[bytes, str] = {}
    for piece, name in zip(pieces, names, strict=True):
        first = tunes.setdefault(piece.tune, name)
        parent[root(name)] = root(first)
    return [root(name) for name in names]
