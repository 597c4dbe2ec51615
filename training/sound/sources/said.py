"""What is said of a file, in words that all sources share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

ALIASES = {
    "prompt": ("prompt", "caption", "text"),
    "description": ("description",),
    "title": ("title", "track_title"),
    "artist": ("artist", "artist_name"),
    "album": ("album", "album_title"),
    "genres": ("genres", "genre", "genre_top"),
    "moods": ("moods", "mood"),
    "instruments": ("instruments", "instrument"),
    "tags": ("tags", "keywords"),
    "key": ("key",),
    "bpm": ("bpm", "tempo"),
    "licence": ("licence", "license"),
    "concept": ("concept",),
    "split": ("split",),
}
"""Names of columns and keys, of any source, that mean a field."""

LISTS = ("genres", "moods", "instruments", "tags")

LABELS = {"track_title": "title", "description": "description", "genre": "genres"}
"""How the lines of a MuXiT text begin, and what they hold."""

_LABELLED = re.compile(rf"^({'|'.join(LABELS)}): ?", re.MULTILINE)

_EMPTY = {"", "none", "null", "nan", "[]"}


@dataclass(frozen=True, slots=True)
class Said:
    """What is known of one file; everything may be missing."""

    prompt: str = ""
    """The prompt as it stands, where somebody has written one."""

    description: str = ""
    title: str = ""
    artist: str = ""
    album: str = ""
    genres: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    key: str = ""
    bpm: str = ""
    about: str = ""
    """What is told of its album."""

    licence: str = ""
    concept: str = ""
    split: str = ""
    """``train`` or ``held-out`` where the source has split its files itself."""

    rate: int | None = None
    """Hz that a manifest claims."""

    def __or__(self, other: Said) -> Said:
        """This, and what ``other`` knows beyond it."""
        missing = {
            field.name: getattr(other, field.name)
            for field in fields(self)
            if not getattr(self, field.name)
        }
        return replace(self, **missing)


def said(row: Mapping[str, Any], column: str | None = None) -> Said:
    """What a row of a table, or an object of a JSON file, says.

    ``column`` holds the prompt, whatever its name.
    """
    lower = {str(key).strip().lower(): value for key, value in row.items()}
    known: dict[str, Any] = {}
    for name, aliases in ALIASES.items():
        value = next((lower[alias] for alias in aliases if alias in lower), None)
        known[name] = listed(value) if name in LISTS else tidy(value)
    if column is not None:
        known["prompt"] = tidy(row.get(column))
    if known["split"] not in ("train", "held-out"):
        known["split"] = ""
    rate = tidy(lower.get("sample_rate"))
    if rate.isascii() and rate.isdigit():
        known["rate"] = int(rate)
    return _relabelled(Said(**known))


def labelled(text: str) -> Said | None:
    """What a text of MuXiT's three lines says; None for any other text."""
    if not _LABELLED.match(text):
        return None
    pieces = _LABELLED.split(text)[1:]
    known: dict[str, Any] = {}
    for label, value in zip(pieces[::2], pieces[1::2], strict=True):
        name = LABELS[label]
        known[name] = listed(value) if name in LISTS else tidy(value)
    return Said(**known)


def listed(value: object) -> tuple[str, ...]:
    """A list, or text as ``[a, b]`` or ``a, b``, as its words; each once."""
    if isinstance(value, (list, tuple)):
        parts: Iterable[object] = value
    else:
        text = tidy(value)
        if text.startswith("[") and text.endswith("]"):
            text = text[1:-1]
        parts = re.split(r"[,;|]", text)
    words = (tidy(part).strip("'\"").strip() for part in parts)
    return tuple(dict.fromkeys(word for word in words if word))


def tidy(value: object) -> str:
    """Text on one line; what means nothing becomes empty."""
    if value is None or isinstance(value, (dict, list)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = " ".join(str(value).split())
    return "" if text.lower() in _EMPTY else text


def _relabelled(row: Said) -> Said:
    """MuXiT's table kept the labels of its texts, and lines slipped into other columns: a label
    knows better than its column."""
    cells = (row.title, row.description, ", ".join(row.genres))
    found = [each for cell in cells if (each := labelled(cell)) is not None]
    if not found:
        return row
    kept = [None if labelled(cell) else cell for cell in cells]
    row = replace(row, title=kept[0] or "", description=kept[1] or "", genres=listed(kept[2]))
    for each in found:
        row = each | row
    return row
