"""Adapters: small folders that change how one certain model plays, and where they are found.

An adapter folder holds ``adapter.json`` and its weights in safetensors. What the tensors mean is
the family's matter; here is what all have in common: a name, and the one model that it belongs to,
known by the SHA-256 of its weights. Adapters for models of sound are PEFT's folders, as they are:
``adapter_config.json`` and ``adapter_model.safetensors``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import Code, SidemanError
from engine.models import store
from engine.models.folder import ModelInfo, TrainingData, Weights, read_description
from engine.toml import nearest

ADAPTER_JSON = "adapter.json"
PEFT_JSON = "adapter_config.json"


class AdapterInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``adapter.json`` says."""

    format: int
    name: str
    family: str
    base: str
    """Name of the model that it was trained on."""

    base_sha256: str
    """SHA-256 of that model's weights file: it fits no other."""

    weights: Weights
    rank: int = 0
    """Of the low-rank corrections; 0 where there are none."""

    alpha: float = 0.0
    """Corrections count ``alpha / rank`` times."""

    state: bool = False
    """Whether sequences start from a state that was learned."""

    kind: str = "midi"
    licence: str = ""
    training_data: tuple[TrainingData, ...] = ()
    date: str = ""
    metrics: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Attached:
    """An adapter on its way to a model: how much of it, 0 to 2, where 1 is all."""

    folder: Path
    info: AdapterInfo
    strength: float = 1.0

    @property
    def mark(self) -> str:
        """What the hash of the model's weights has behind it while this is attached."""
        return f"+{self.info.weights.sha256}*{self.strength:g}"


@dataclass(frozen=True, slots=True)
class Entry:
    """An adapter folder that was found."""

    name: str
    folder: Path
    info: AdapterInfo
    size_bytes: int


def read_info(folder: Path) -> AdapterInfo:
    """Read and check ``folder/adapter.json``; ``unknown-model`` where there is none."""
    return read_description(folder / ADAPTER_JSON, AdapterInfo, "adapter")


def places() -> tuple[Path, ...]:
    """Where adapters are looked for: the user's folders, then the shipped ones."""
    homes = (store.user_folder(), store.shipped_folder())
    return tuple(place for home in homes for place in (home.parent / "adapters", home))


def names() -> list[str]:
    """The names that :func:`find` knows, in alphabetical order."""
    found = {path.name for place in places() for path in place.glob("*") if is_adapter(path)}
    return sorted(name for name in found if _is_name(name))


def is_adapter(folder: Path) -> bool:
    """Whether a folder says that it holds an adapter."""
    return (folder / ADAPTER_JSON).is_file() or is_peft(folder)


def is_peft(folder: Path) -> bool:
    """Whether it is for a model of sound."""
    return (folder / PEFT_JSON).is_file()


def find(name: str) -> Path:
    """The folder of the adapter ``name``; ``unknown-model`` with the nearest name otherwise."""
    if _is_name(name):
        for place in places():
            if is_adapter(place / name):
                return place / name
    known = names()
    hint = f"the nearest is {nearest(name, known)!r}" if known else "none is installed"
    raise SidemanError(Code.UNKNOWN_MODEL, f"no adapter is called {name[:80]!r}; {hint}")


def resolve(text: str) -> Path:
    """The folder that a user of the command line means: a name, or an adapter folder's path."""
    path = Path(text).expanduser()
    if is_adapter(path) and text not in names():
        return path.resolve()
    return find(text)


def entry(folder: Path) -> Entry:
    """What is known about an adapter folder."""
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return Entry(folder.name, folder, read_info(folder), size)


def attach(folder: Path, base: ModelInfo, strength: float = 1.0) -> Attached:
    """The adapter in ``folder``, for the model ``base``.

    Raises ``not-allowed`` where it was made for another model, by whose name it is refused.
    """
    info = read_info(folder)
    if (info.family, info.base_sha256) != (base.family, base.weights.sha256):
        raise SidemanError(
            Code.NOT_ALLOWED,
            f"adapter {folder.name} was made for the model {info.base} (weights "
            f"{info.base_sha256[:8]}), not for {base.name} (weights {base.weights.sha256[:8]}): "
            "choose a preset that plays that model",
        )
    return Attached(folder, info, strength)


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) is not None
