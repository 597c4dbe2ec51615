"""Recipes of the models that ship, as TOML, and their reader."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Code, SidemanError


@dataclass(frozen=True, slots=True)
class Collection:
    """A folder of MIDI files, what it may be used for, and how much of it the model hears."""

    name: str
    licence: str
    notice: str
    source: str
    weight: float
    """Share of the training tokens; 0 keeps the whole collection out of training."""

    heldout: int
    """Pieces kept apart for evaluation (at least; works are kept apart whole)."""

    share: float = 0.0
    """The same as a share of the pieces: at least one of two or more, and never all of them. What
    is one tune by its notes, in whatever key, then counts as one work."""

    work: str = ""
    """A pattern whose match in a file's path names its work, so that movements and versions of one
    work stay on one side of the split. Without it each file is a work."""

    exclude: tuple[str, ...] = ()
    """File names that are not used at all."""

    reason: str = ""
    """Why those are not used."""

    text: str = ""
    """The licence's own text, where it has to travel with what is made."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The data of one model."""

    name: str
    licence: str
    collections: tuple[Collection, ...]


def find(name: str) -> Path:
    """The file of a recipe that comes with Sideman, or ``name`` itself where it is a file."""
    given = Path(name)
    if given.suffix == ".toml" and given.is_file():
        return given
    folder = Path(__file__).parent
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise SidemanError(
            Code.BAD_FILE, f"no recipe '{name}': there are {', '.join(known)}, or give a .toml file"
        )
    return folder / f"{name}.toml"


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises ``bad-file`` with the file's name for anything that is not one."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        collections = tuple(
            Collection(**{**entry, "exclude": tuple(entry.get("exclude", ()))})
            for entry in table["collection"]
        )
        return Recipe(table["name"], table["licence"], collections)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise SidemanError(Code.BAD_FILE, f"{path}: not a training recipe: {error}") from error
