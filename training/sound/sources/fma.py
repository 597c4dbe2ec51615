"""The metadata of FMA, a collection of music under free licences: ``tracks.csv``, ``genres.csv``.

Columns are found by their names, in whatever order they stand: ``tracks.csv`` has two rows of them,
the table and its column, and a third that names the number of the track (Defferrard et al., "FMA: A
Dataset For Music Analysis", 2017).
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

from engine.errors import Code, SidemanError
from training.sound.sources.said import Said, tidy
from training.sound.sources.tables import LONGEST_CELL

TRACKS, GENRES = "tracks.csv", "genres.csv"

COLUMNS = {
    "title": ("track", "title"),
    "licence": ("track", "license"),
    "artist": ("artist", "name"),
    "album": ("album", "title"),
    "about": ("album", "information"),
}
"""What is taken as text."""

GENRE_IDS, GENRE_TOP, TAGS = ("track", "genres_all"), ("track", "genre_top"), ("track", "tags")

_TAG = re.compile(r"<[^<>]*>")


def read(folder: Path, wanted: Collection[int]) -> dict[int, Said]:
    """What is said of the tracks with the numbers ``wanted``.

    Raises ``bad-file`` where a file is missing or its columns are others.
    """
    genres = _genres(folder / GENRES)
    with _opened(folder / TRACKS) as lines:
        columns = _columns(lines, folder / TRACKS)
        found = {}
        for row in lines:
            number = _number(row[0]) if row else None
            if number is not None and number in wanted:
                found[number] = _said(row, columns, genres)
    return found


def plain(text: str) -> str:
    """HTML as text on one line."""
    return tidy(unescape(_TAG.sub(" ", text)))


def _said(row: Sequence[str], columns: dict[tuple[str, str], int], genres: dict[int, str]) -> Said:
    def cell(column: tuple[str, str]) -> str:
        place = columns[column]
        return row[place] if place < len(row) else ""

    texts: dict[str, Any] = {name: plain(cell(column)) for name, column in COLUMNS.items()}
    names = [genres[each] for each in _list(cell(GENRE_IDS)) if each in genres]
    top = tidy(cell(GENRE_TOP))
    return Said(
        genres=tuple(dict.fromkeys(names or [top] if top else names)),
        tags=tuple(dict.fromkeys(tidy(tag) for tag in _list(cell(TAGS)) if tidy(tag))),
        **texts,
    )


def _columns(lines: Iterator[list[str]], path: Path) -> dict[tuple[str, str], int]:
    """Where each column is; reads the three rows of heads."""
    try:
        tables, names, third = next(lines), next(lines), next(lines)
    except StopIteration:
        raise _bad(path, "has no three rows of heads") from None
    columns = {pair: place for place, pair in enumerate(zip(tables, names, strict=False))}
    missing = [
        " ".join(column)
        for column in (*COLUMNS.values(), GENRE_IDS, GENRE_TOP, TAGS)
        if column not in columns
    ]
    if missing or not third or third[0] != "track_id":
        what = f"no column {missing[0]!r}" if missing else "no third row that begins with track_id"
        raise _bad(path, f"has {what}: is it FMA's tracks.csv?")
    return columns


def _genres(path: Path) -> dict[int, str]:
    with _opened(path) as lines:
        heads = next(lines, [])
        if "genre_id" not in heads or "title" not in heads:
            raise _bad(path, "has no columns genre_id and title: is it FMA's genres.csv?")
        number, title = heads.index("genre_id"), heads.index("title")
        return {
            genre: tidy(row[title])
            for row in lines
            if len(row) > max(number, title) and (genre := _number(row[number])) is not None
        }


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[list[str]]]:
    csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield csv.reader(file)
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _bad(path, "is not text in UTF-8") from error
    except csv.Error as error:
        raise _bad(path, f"is not CSV: {error}") from error


def _list(text: str) -> list[object]:
    """A cell that holds a list as Python writes it; anything else is empty."""
    try:
        value = ast.literal_eval(text.strip()) if text.strip() else []
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return value if isinstance(value, list) else []


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _bad(path: Path, text: str) -> SidemanError:
    return SidemanError(Code.BAD_FILE, f"{path} {text}")
