"""The MIDI files of a data set, by collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.errors import Code, SidemanError
from training.recipes import Collection, Recipe
from training.tokenize.config import Piece

SUFFIXES = (".mid", ".midi", ".kar")

HELD_OUT = 0.1
"""Share of the songs of a folder without a recipe that is held out."""

VERSIONS = r"(?i)^.*?(?=(?:\.\d+| ?\(\d+\)| - copy| copy(?: \d+)?)?\.[a-z]+$)"
"""A path up to what copies and versions of a song add to its name: ``song.2.mid``,
``song (1).mid``, ``song copy.mid``."""


@dataclass(frozen=True, slots=True)
class Source:
    """One MIDI file."""

    collection: Collection
    name: str
    """Its path inside the collection, with ``/`` between folders."""

    path: Path


def own_recipe(midis: Path) -> Recipe:
    """The recipe of a folder that has none: all of it is one collection, named after the folder."""
    name = midis.resolve().name if midis.is_dir() else midis.stem
    songs = Collection(
        name=name or "songs",
        licence="unknown",
        notice=f"the files of {name or 'a folder'}",
        source="",
        weight=1.0,
        heldout=0,
        share=HELD_OUT,
        work=VERSIONS,
    )
    return Recipe(name or "songs", "unknown", (songs,))


def unknown_recipe(folder: Path, pieces: Iterable[Piece]) -> dict[str, Any]:
    """What a data set without a recipe says of its collections: nothing but their names."""
    recipe = asdict(own_recipe(folder))
    (collection,) = recipe["collections"]
    names = sorted({piece.collection for piece in pieces}) or [collection["name"]]
    return recipe | {"collections": [collection | {"name": name} for name in names]}


def find(midis: Path, recipe: Recipe, apart: bool) -> list[Source]:
    """All MIDI files, in the order of the recipe and of their names.

    ``apart``: each collection has its folder in ``midis``; otherwise there is one, which is all of
    ``midis``: a folder, one file, or a ``.txt`` that lists files.
    """
    if not midis.exists():
        raise SidemanError(Code.BAD_FILE, f"{midis}: there is no such folder")
    found = []
    for collection in recipe.collections:
        folder = midis / collection.name if apart else midis
        files = sorted(_files(folder), key=lambda file: file[0].split("/"))
        found += [Source(collection, name, path) for name, path in files]
    if not found:
        inside = f" in its folders {_names(recipe)}" if apart else ""
        raise SidemanError(Code.BAD_FILE, f"{midis}: no MIDI file (.mid, .midi, .kar){inside}")
    return found


def _files(place: Path) -> Iterator[tuple[str, Path]]:
    if place.suffix.lower() == ".txt":
        for line in place.read_text(encoding="utf-8").splitlines():
            if line.strip():
                yield line.strip(), place.parent / line.strip()
    elif place.is_file():
        yield place.name, place
    else:
        for path in place.rglob("*"):
            hidden = path.name.startswith("._")  # macOS keeps its own notes on files there
            if path.suffix.lower() in SUFFIXES and not hidden:
                yield path.relative_to(place).as_posix(), path


def _names(recipe: Recipe) -> str:
    return ", ".join(collection.name for collection in recipe.collections)
