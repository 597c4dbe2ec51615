"""Tables that say something of sound files: CSV, JSON and JSON lines, from wherever they come."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from engine.errors import Code, SidemanError
from training.sound.sources.said import Said, said, tidy

PATHS = ("audio", "audio_path", "path", "file", "filename", "file_name", "filepath")
"""Columns that name a file."""

NUMBERS = ("track_id", "id")
"""Columns that hold a number that is the file's name: 2099 for ``002099.mp3``."""

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".gz")

LONGEST_CELL = 1 << 24


class Table:
    """Rows, found by the file that they are about."""

    def __init__(self, path: Path, column: str | None = None) -> None:
        """Read ``path``. Raises ``bad-file`` where it is no table, or has no ``column``."""
        self.path = path
        self._rows = rows(path)
        if not self._rows:
            raise _bad(path, "holds no rows")
        if column is not None and all(column not in row for row in self._rows):
            known = ", ".join(str(key) for key in self._rows[0])
            raise _bad(path, f"has no column {column!r}: there are {known}"[:300])
        self._column = column
        self._index: dict[str, int | None] = {}
        for number, row in enumerate(self._rows):
            for key in _keys(row):
                # A name that two rows share says nothing.
                self._index[key] = None if self._index.get(key, number) != number else number

    def __len__(self) -> int:
        return len(self._rows)

    def files(self) -> list[Path]:
        """The files that the rows name, in their order, each once.

        Raises ``bad-file`` where they name none.
        """
        named = [text for row in self._rows if (text := _first(row, PATHS))]
        if not named:
            raise _bad(
                self.path, "names no files: give the folder of the sound, and this as --table"
            )
        found = (_place(text, self.path.parent) for text in named)
        return list(dict.fromkeys(found))

    def about(self, file: Path, root: Path) -> Said | None:
        """What is said of a file in ``root``; None where it is in no row."""
        for key in _names(file, root):
            number = self._index.get(key)
            if number is not None:
                return said(self._rows[number], self._column)
        return None


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, each by the names of its columns. Raises ``bad-file``."""
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        text = data.decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _bad(path, f"is not gzip: {error}") from error
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _bad(path, "is not text in UTF-8") from error
    kind = PurePosixPath(path.name.removesuffix(".gz")).suffix
    if kind == ".jsonl":
        return _json_lines(text, path)
    return _json_list(text, path) if kind == ".json" else _csv(text, path)


def _csv(text: str, path: Path) -> list[dict[str, Any]]:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    csv.field_size_limit(LONGEST_CELL)
    try:
        found = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise _bad(path, f"is not CSV: {error}") from error
    return [{key: row[key] for key in row if isinstance(key, str)} for row in found]


def _json_list(text: str, path: Path) -> list[dict[str, Any]]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"is not JSON: {error}") from error
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise _bad(path, "is no list of objects")
    return value


def _json_lines(text: str, path: Path) -> list[dict[str, Any]]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _bad(path, f"line {number} is not JSON") from error
        if not isinstance(value, dict):
            raise _bad(path, f"line {number} is no object")
        found.append(value)
    return found


def _place(text: str, folder: Path) -> Path:
    """Where a named file is: seen from the table or from here, or beside the table."""
    named = Path(text).expanduser()
    places = (folder / named, Path.cwd() / named, folder / named.name)
    return next((place for place in places if place.is_file()), places[0])


def _keys(row: Mapping[str, Any]) -> set[str]:
    text = _first(row, PATHS)
    if text:
        path = PurePosixPath(text.replace("\\", "/"))
        return {f"path {path}", f"name {path.name}", f"name {path.stem}"}
    number = _first(row, NUMBERS)
    return {f"number {int(number)}"} if number.isascii() and number.isdigit() else set()


def _names(file: Path, root: Path) -> Iterable[str]:
    """The keys that a file may be found by, the surest first."""
    if file.is_relative_to(root):
        yield f"path {PurePosixPath(file.relative_to(root).as_posix())}"
    yield f"path {PurePosixPath(file.as_posix())}"
    yield f"name {file.name}"
    yield f"name {file.stem}"
    if file.stem.isascii() and file.stem.isdigit():
        yield f"number {int(file.stem)}"


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    lower = {str(key).strip().lower(): value for key, value in row.items()}
    return next((tidy(lower[name]) for name in names if tidy(lower.get(name))), "")


def _bad(path: Path, text: str) -> SidemanError:
    return SidemanError(Code.BAD_FILE, f"{path} {text}")
