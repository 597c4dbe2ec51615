"""Which models are on this machine, and where: names to folders.

Names come from folders: those that ship in ``presets/models`` and those in the user's data folder.
A few more are made on the spot when they are first played. Only the command line may give a path
instead, by :func:`resolve`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from engine.errors import Code, SidemanError
from engine.models.folder import MODEL_JSON, ModelInfo, is_model, read_info
from engine.models.musicgen import known
from engine.toml import nearest

DEFAULT = "default"
"""The name that means the newest shipped MIDI model."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model folder that was found, and its description."""

    name: str
    folder: Path
    info: ModelInfo
    size_bytes: int
    shipped: bool


def shipped_folder() -> Path:
    """Where the models of this installation are."""
    return Path(__file__).parents[2] / "presets" / "models"


def user_folder() -> Path:
    """Where models that were fetched, made or trained are installed."""
    return platformdirs.user_data_path("sideman", appauthor=False) / "models"


def can_be_made(name: str) -> bool:
    """Whether a model of that name is made on the spot where it is not there yet."""
    return name in known.TINY.values()


def to_be_made() -> list[str]:
    """The names of those that :func:`can_be_made` and are not here yet, in alphabetical order."""
    return sorted({*known.TINY.values()} - {*names()})


def names() -> list[str]:
    """The names of the models that are here, ``default`` excepted, in alphabetical order."""
    return sorted(
        {
            path.parent.name
            for folder in (user_folder(), shipped_folder())
            for path in folder.glob(f"*/{MODEL_JSON}")
            if _is_name(path.parent.name)
        }
    )


def find(name: str) -> Path:
    """The folder of the model ``name``: where it is, or where it will be once it was made.

    Raises ``unknown-model`` with the nearest name, or with how to get it, where there is none.
    """
    if name == DEFAULT:
        return _default()
    if _is_name(name):
        for folder in (user_folder(), shipped_folder()):
            if (folder / name / MODEL_JSON).is_file():
                return folder / name
    if can_be_made(name):
        return user_folder() / name
    if (published := known.on_the_hub(name)) is not None:
        raise SidemanError(
            Code.UNKNOWN_MODEL,
            f"{name} is not on this machine: run `sideman models get {published}`",
        )
    here = names()
    hint = f"the nearest is {nearest(name, here)!r}" if here else "none is installed"
    raise SidemanError(Code.UNKNOWN_MODEL, f"there is no model {name[:80]!r}; {hint}")


def resolve(text: str) -> Path:
    """The folder that a user of the command line means: a name, or the path of a model folder."""
    path = Path(text).expanduser()
    if path.is_dir() and is_model(path) and not (_is_name(text) and text in [DEFAULT, *names()]):
        return path.resolve()
    if path.is_dir() and not _is_name(text):
        raise SidemanError(Code.UNKNOWN_MODEL, f"{path} holds no model that is played here")
    return find(text)


def entry(folder: Path) -> Entry:
    """What is known about a model folder; ``unknown-model`` or ``bad-file`` where it is none."""
    return Entry(
        name=folder.name,
        folder=folder,
        info=read_info(folder),
        size_bytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        shipped=folder.parent == shipped_folder(),
    )


def _default() -> Path:
    found = sorted(path.parent for path in shipped_folder().glob(f"*/{MODEL_JSON}"))
    dated = [(info.date, folder) for folder in found if (info := read_info(folder)).kind == "midi"]
    if not dated:
        raise SidemanError(
            Code.UNKNOWN_MODEL, f"no model ships in {shipped_folder()}; is the checkout complete?"
        )
    return max(dated)[1]


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) is not None
