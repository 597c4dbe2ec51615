"""The sound files of a data set, and what is said of each."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.errors import Code, SidemanError
from training.sound.dataset import DATA_JSON
from training.sound.sources import fma, sidecars
from training.sound.sources.licences import allowed
from training.sound.sources.said import Said
from training.sound.sources.tables import SUFFIXES as TABLES
from training.sound.sources.tables import Table
from training.sound.sources.thesis import MARK as THESIS
from training.sound.sources.thesis import ThesisSet

SUFFIXES = (".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff")

FOREIGN = (".m4a", ".aac", ".mp4", ".wma", ".ape")
"""Sound that libsndfile does not read."""

OWN_TABLES = (
    "data.jsonl", "data.jsonl.gz", "manifest.json", "metadata.csv", "metadata.jsonl",
    "tracks.json", "NewTracks.csv",
)  # fmt: skip
"""A table with one of these names, in a folder of sound, is about that sound."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Where else something is said of files, and which of them are wanted."""

    table: Path | None = None
    column: str | None = None
    """Of the table: holds the prompts."""

    fma: Path | None = None
    """Folder of FMA's metadata."""

    concepts: bool = False
    """Take each folder in the folder of sound as a concept."""

    licences: tuple[str, ...] = ()
    """Licences that may be used; empty for all, known or not."""

    folders: int | None = None
    """So many of the folders in the folder of sound, drawn by lot; None takes all."""

    seed: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One file that is wanted."""

    path: Path
    name: str
    """Its path as it is shown: inside the folder of sound, where it lies there."""

    said: Said


@dataclass(slots=True)
class Found:
    """What there is."""

    items: list[Item] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    """``path`` and ``reason`` of each file that is not wanted or cannot be used."""

    table: str | None = None
    """Name of the table that was read."""

    folders: list[str] | None = None
    """The folders that were drawn."""


def find(audio: Path, wishes: Wishes) -> Found:
    """The files of a folder, of a list of files, or one file; in the order of their names.

    Raises ``bad-file`` where there is no sound, and where a table cannot be read.
    """
    if not audio.exists():
        raise SidemanError(Code.BAD_FILE, f"{audio}: there is no such folder or file")
    found = Found()
    table = _table(audio, wishes)
    found.table = table.path.name if table else None
    root = audio if audio.is_dir() else audio.parent
    if (audio.is_file() and audio.suffix.lower() in TABLES) or isinstance(table, ThesisSet):
        files = table.files() if table else []
    elif audio.is_file():
        files = [audio]
    else:
        files, found.folders = _walk(audio, wishes)
        if not files and table is not None:
            files = table.files()
    if not files:
        kinds = "WAV, MP3, FLAC and OGG are read"
        raise SidemanError(Code.BAD_FILE, f"{audio} holds no sound: {kinds}")
    tracks = _tracks(files, wishes)
    for path in files:
        name = _shown(path, root)
        try:
            item = Item(path, name, _about(path, root, wishes, table, tracks))
        except _UnwantedError as reason:
            found.skipped.append({"path": name, "reason": str(reason)})
        else:
            found.items.append(item)
    return found


class _UnwantedError(Exception):
    """A file is left out; the text is the reason."""


def _table(audio: Path, wishes: Wishes) -> Table | ThesisSet | None:
    if wishes.table is not None:
        return Table(wishes.table, wishes.column)
    if audio.is_file():
        listed = audio.suffix.lower() in TABLES
        return Table(audio, wishes.column) if listed else None
    if (audio / THESIS).is_file() and not (audio / DATA_JSON).is_file():
        return ThesisSet(audio)
    own = next((audio / name for name in OWN_TABLES if (audio / name).is_file()), None)
    if own is not None:
        return Table(own, wishes.column)
    if wishes.column is not None:
        raise SidemanError(Code.BAD_ARGUMENTS, "--column is of a table: name it with --table")
    return None


def _walk(root: Path, wishes: Wishes) -> tuple[list[Path], list[str] | None]:
    """The sound in a folder, in the order of its paths, and the folders that were drawn."""
    chosen: list[str] | None = None
    if wishes.folders is not None:
        chosen = _drawn([each.name for each in root.iterdir() if each.is_dir()], wishes)
    found = [
        path for path in _files(root) if chosen is None or path.relative_to(root).parts[0] in chosen
    ]
    return sorted(found, key=lambda path: path.relative_to(root).parts), chosen


def _files(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        seen.add(os.path.realpath(folder))
        # A link may lead back to where it is.
        folders[:] = [each for each in folders if os.path.realpath(Path(folder, each)) not in seen]
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES + FOREIGN and not name.startswith("."):
                yield Path(folder, name)


def _drawn(names: Sequence[str], wishes: Wishes) -> list[str]:
    """So many names, by lots that only the seed and the names decide."""

    def lot(name: str) -> str:
        return hashlib.sha256(f"{wishes.seed} {name}".encode()).hexdigest()

    if not names:
        raise SidemanError(Code.BAD_ARGUMENTS, "--folders: there are no folders to draw from")
    return sorted(sorted(names, key=lot)[: wishes.folders])


def _tracks(files: Sequence[Path], wishes: Wishes) -> dict[int, Said]:
    if wishes.fma is None:
        return {}
    return fma.read(wishes.fma, {number for path in files if (number := _number(path)) is not None})


def _number(path: Path) -> int | None:
    return int(path.stem) if path.stem.isascii() and path.stem.isdigit() else None


def _about(
    path: Path,
    root: Path,
    wishes: Wishes,
    table: Table | ThesisSet | None,
    tracks: dict[int, Said],
) -> Said:
    """All that is said of a file: beside it, in the table, by FMA, by its folder."""
    if path.suffix.lower() in FOREIGN:
        raise _UnwantedError(f"{path.suffix[1:]} is not read: convert it to FLAC or WAV")
    try:
        said = sidecars.beside(path)
    except sidecars.UnreadableError as error:
        raise _UnwantedError(str(error)) from error
    if table is not None:
        row = table.about(path, root)
        if row is None:
            raise _UnwantedError(f"is not in {table.path.name}")
        said |= row
    if wishes.fma is not None:
        track = tracks.get(_number(path) or -1)
        if track is None:
            raise _UnwantedError("is not in FMA's tracks.csv")
        said |= track
    if wishes.concepts:
        parts = path.relative_to(root).parts if path.is_relative_to(root) else ()
        if len(parts) < 2:
            raise _UnwantedError("lies in no folder of a concept")
        said = replace(said, concept=parts[0])
    if wishes.licences and not allowed(said.licence, wishes.licences):
        named = f"its licence is {said.licence}" if said.licence else "no licence of it is known"
        raise _UnwantedError(named)
    return said


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
