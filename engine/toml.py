"""TOML files read strictly: what is wrong is named with its file, its line and what was meant.

Presets and the config file share this. A file is described by frozen dataclasses; a key that they
do not have, a value of another type or outside its range is a :class:`SidemanError`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from engine.errors import Code, SidemanError

T = TypeVar("T")
Keys = tuple[str, ...]
"""The way to a value: table names, then the key."""

LARGEST_BYTES = 256 * 1024
"""A settings file beyond this is some other file given by mistake."""


class Source:
    """The text of one TOML file, able to say on which line a key stands."""

    def __init__(self, text: str, name: str) -> None:
        """Parse ``text``; ``name`` is what errors call the file."""
        self.name = name
        self._lines = text.split("\n")
        try:
            self.data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            raise SidemanError(Code.BAD_FILE, self._syntax(str(problem))) from None

    @classmethod
    def read(cls, path: Path) -> Source:
        """The file at ``path``; ``bad-file`` where it cannot be read as TOML text."""
        try:
            if path.stat().st_size > LARGEST_BYTES:
                raise SidemanError(
                    Code.BAD_FILE,
                    f"{path}: over {LARGEST_BYTES} bytes; is it the right file?",
                )
            return cls(path.read_text(encoding="utf-8"), str(path))
        except OSError as problem:
            raise SidemanError(Code.BAD_FILE, f"{path}: {problem.strerror or problem}") from problem
        except UnicodeDecodeError as problem:
            raise SidemanError(Code.BAD_FILE, f"{path}: not UTF-8 text") from problem

    def line(self, keys: Keys) -> int | None:
        """The line, counted from 1, of the statement that brings ``keys`` in; None if none does.

        TOML itself is the judge: the statement is the one whose lines have to be added to the top
        of the file for the key to appear. Look-alikes in comments and in strings never fool it.
        """
        complete = 0
        if not keys:
            return None
        for end in range(1, len(self._lines) + 1):
            try:
                data = tomllib.loads("\n".join(self._lines[:end]) + "\n")
            except tomllib.TOMLDecodeError:
                continue  # inside a value that runs over several lines
            if _holds(data, keys):
                return complete + 1
            complete = end
        return None

    def error(self, keys: Keys, text: str) -> SidemanError:
        """A ``bad-file`` error about the value at ``keys``."""
        line = self.line(keys)
        place = self.name if line is None else f"{self.name}, line {line}"
        return SidemanError(Code.BAD_FILE, f"{place}: {text}")

    def convert(self, kind: type[T]) -> T:
        """The file as the dataclass ``kind``; the first thing that is wrong with it is raised."""
        self._refuse_unknown(kind)
        try:
            return msgspec.convert(self.data, kind)
        except msgspec.ValidationError as problem:
            text, _, path = str(problem).partition(" - at ")
            keys = tuple(re.findall(r"\.(\w+)", path))
            raise self.error(keys, f"{'.'.join(keys)}: {_plain(text)}".lstrip(": ")) from None

    def check(self, keys: Keys, meaning: Callable[[], object]) -> None:
        """Call ``meaning``; what it raises about its value becomes an error at ``keys``."""
        try:
            meaning()
        except (ValueError, SidemanError) as problem:
            raise self.error(keys, str(problem)) from None

    def _refuse_unknown(self, kind: type) -> None:
        known = list(_known(kind))
        for keys, nested in _unknown(self.data, kind):
            table, key = keys[:-1], keys[-1]
            elsewhere = [other for other in known if other[-1] == key and not nested]
            here = [other for other in known if other[:-1] == table]
            guess = elsewhere[0] if elsewhere else (*table, nearest(key, [k[-1] for k in here]))
            raise self.error(
                keys,
                f"unknown key {key!r}{_in(table)}; "
                f"the nearest known key is {guess[-1]!r}{_in(guess[:-1])}",
            )

    def _syntax(self, problem: str) -> str:
        text, _, place = problem.partition(" (at ")
        found = re.match(r"line (\d+)", place)
        line = int(found[1]) if found else max(1, len(self._lines))
        return f"{self.name}, line {line}: {text[:1].lower()}{text[1:]}"


def nearest(name: str, known: list[str]) -> str:
    """The member of ``known`` (not empty) that is most like ``name``."""
    folded = name.casefold()
    return max(known, key=lambda k: difflib.SequenceMatcher(None, folded, k.casefold()).ratio())


def _in(table: Keys) -> str:
    return f" in [{'.'.join(table)}]" if table else ""


def _holds(data: Any, keys: Keys) -> bool:
    for key in keys:
        if isinstance(data, list):  # an array of tables: its newest table is being written
            data = data[-1] if data else {}
        if not isinstance(data, dict) or key not in data:
            return False
        data = data[key]
    return True


def _tables(kind: type) -> dict[str, type | None]:
    """The keys of ``kind``; with the dataclass that stands behind each that is a table."""
    hints = get_type_hints(kind)
    return {
        f.name: hints[f.name] if is_dataclass(hints[f.name]) else None
        for f in fields(kind)
        if f.init
    }


def _known(kind: type, table: Keys = ()) -> Iterator[Keys]:
    for key, inner in _tables(kind).items():
        yield (*table, key)
        if inner is not None:
            yield from _known(inner, (*table, key))


def _unknown(data: dict[str, Any], kind: type, table: Keys = ()) -> Iterator[tuple[Keys, bool]]:
    """Keys of ``data`` that ``kind`` lacks, and whether each is a table."""
    tables = _tables(kind)
    for key, value in data.items():
        if key not in tables:
            yield (*table, key), isinstance(value, dict)
            continue
        inner = tables[key]
        if inner is not None and isinstance(value, dict):
            yield from _unknown(value, inner, (*table, key))


_PLAIN = (
    (r"^Object missing required field `(\w+)`", r"the key '\1' is missing"),
    (r"`(float|int|str|bool|array|object)(?: \| null)?`", r"\1"),
    (r"\bfloat\b|\bint \| float\b", "a number"),
    (r"\bint\b", "a whole number"),
    (r"\bstr\b", "a string"),
    (r"\bbool\b", "true or false"),
    (r"\barray\b", "a list"),
    (r"\bobject\b", "a table"),
    (r"`", ""),
    (r"^Expected", "expected"),
    (r"^Invalid enum value", "not one of its choices:"),
)


def _plain(text: str) -> str:
    """A validator's message in a musician's words."""
    for pattern, words in _PLAIN:
        text = re.sub(pattern, words, text)
    return text
