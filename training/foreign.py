"""Data sets in other trainers' layouts, as a run reads them."""

from __future__ import annotations

from pathlib import Path

from engine.errors import Code, SidemanError
from training.files import made_whole
from training.tokenize.layouts import LAYOUTS, layout_of

OURS = "sideman"


def as_ours(tokens: Path, run: Path, only: str | None = None) -> Path:
    """``tokens`` itself, or where it is in another layout, its copy in ours inside ``run``.

    Raises ``bad-file`` for what is no data set, and where ``only`` names another layout.
    """
    layout = layout_of(tokens)
    if layout is None or only not in (None, layout.name):
        kind = "token data set" if only is None else f"data set in the layout {only}"
        raise SidemanError(Code.BAD_FILE, f"{tokens}: not a {kind}")
    if layout.name == OURS:
        return tokens
    copy = run / "tokens"
    if not copy.exists():
        with made_whole(copy, ("pieces.json",)) as part:
            LAYOUTS[OURS].write(layout.read(tokens), part)
    return copy
