"""Licences of music by their short names, whatever they are called where they come from."""

from __future__ import annotations

import re
from collections.abc import Iterable

PARTS = (
    ("BY", re.compile(r"attribution|(?<![a-z])by(?![a-z])")),
    ("NC", re.compile(r"non-?\s?commercial|(?<![a-z])nc(?![a-z])")),
    ("SA", re.compile(r"share-?\s?alike|(?<![a-z])sa(?![a-z])")),
    ("ND", re.compile(r"no-?\s?deriv|(?<![a-z])nd(?![a-z])")),
)
"""The conditions of a Creative Commons licence, in its own order."""

_FREE = re.compile(r"(?<![a-z])cc0|(?<![a-z])zero(?![a-z])")
_PUBLIC = re.compile(r"public ?domain")
_COMMONS = re.compile(r"creative ?commons|(?<![a-z])cc[ -]|attribution")


def short(text: str) -> str:
    """``CC-BY-NC-SA`` for "Attribution-Noncommercial-Share Alike 3.0 United States", and so on.

    Versions and countries are left out. A licence of another kind stays as it is.
    """
    lower = " ".join(text.lower().replace("_", "-").split())
    if _FREE.search(lower):
        return "CC0"
    if _PUBLIC.search(lower):
        return "public domain"
    if not _COMMONS.search(lower):
        return text.strip()
    lower = lower.replace("creativecommons.org", "creativecommons")
    parts = [name for name, pattern in PARTS if pattern.search(lower)]
    return "-".join(["CC", *parts]) if parts else text.strip()


def allowed(licence: str, wanted: Iterable[str]) -> bool:
    """Whether a licence is one of those wanted, by their short or full names."""
    names = {licence.strip().casefold(), short(licence).casefold()}
    return any(
        each.strip().casefold() in names or short(each).casefold() in names for each in wanted
    )
