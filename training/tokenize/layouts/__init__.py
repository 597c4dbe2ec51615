"""How token data sets lie on disk: Sideman's own layout, and those of other trainers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Code, SidemanError
from training.tokenize.data import TokenData
from training.tokenize.layouts import binidx, jsonl, musai, native


@dataclass(frozen=True, slots=True)
class Layout:
    """How one kind of folder is known, read and written."""

    name: str
    fits: Callable[[Path], bool]
    read: Callable[[Path], TokenData]
    write: Callable[[TokenData, Path], None]


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("sideman", native.fits, native.read, native.write),
        Layout("musai", musai.fits, musai.read, musai.write),
        Layout("binidx", binidx.fits, binidx.read, binidx.write),
        Layout("jsonl", jsonl.fits, jsonl.read, jsonl.write),
    )
}


def layout_of(folder: Path) -> Layout | None:
    """The layout of a folder that holds a token data set; None for any other."""
    if not folder.is_dir():
        return None
    return next((layout for layout in LAYOUTS.values() if layout.fits(folder)), None)


def named(name: str) -> Layout:
    """The layout of that name."""
    if name not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        raise SidemanError(Code.BAD_ARGUMENTS, f"no layout '{name}': there are {known}")
    return LAYOUTS[name]
