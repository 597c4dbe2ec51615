"""Which family plays which ``model.json``: a line per family, imported when first asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from engine.errors import Code, SidemanError
from engine.models.adapters import Attached
from engine.models.base import Family, Model
from engine.models.folder import read_info

FAMILIES = {
    "rwkv": "engine.models.rwkv.family",
    "rwkv4": "engine.models.rwkv4.family",
}
"""Family name → the module that holds its ``FAMILY``."""


def family(name: str) -> Family:
    """The family of that name. Raises ``unknown-model`` where there is none."""
    if name not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise SidemanError(
            Code.UNKNOWN_MODEL, f"no model family is called {name[:40]!r}; there is {known}"
        )
    return cast(Family, import_module(FAMILIES[name]).FAMILY)


def load(
    folder: Path,
    *,
    device: str = "cpu",
    precision: str = "auto",
    adapter: Attached | None = None,
) -> Model:
    """Load a model folder with the family that its ``model.json`` names.

    The device ``auto`` is the processor, which every machine has: ``cuda`` is for those who say so.
    """
    device = "cpu" if device == "auto" else device
    return family(read_info(folder).family).load(
        folder, device=device, precision=precision, adapter=adapter
    )
