"""Learned concepts: words of a prompt, written ``<name>``, that stand for learned embeddings.

A concept is N vectors that the text encoder takes in the place of N words, learned from a few clips
(textual inversion: Gal et al., arXiv 2208.01618). A concept folder holds ``concept.json`` and
``concepts.safetensors``, one tensor [N, D] for each of its words. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError
from engine.models import adapters, store
from engine.models.folder import (
    FORMAT,
    TrainingData,
    Weights,
    bad_file,
    read_description,
    read_weights,
    write_description,
    write_weights,
)
from engine.models.musicgen.known import local_name
from engine.models.musicgen.layout import FAMILY
from engine.toml import nearest

CONCEPT_JSON = "concept.json"
CONCEPT_WEIGHTS = "concepts.safetensors"

WORD = re.compile(r"<([\w.-]{1,64})>")
"""A concept in a prompt."""

MOST_VECTORS = 512
"""No concept can have more: a prompt has no more places."""

MOST_WIDTH = 1 << 14

Embeddings = NDArray[np.float32]
"""Vectors ``[N, D]``, in the order that they are read in."""


class ConceptInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``concept.json`` says."""

    format: int
    name: str
    family: str
    base: str
    """The model that it was learned with."""

    width: int
    """D, that of the text encoder's words."""

    concepts: dict[str, int]
    """Word, without its brackets → N."""

    weights: Weights
    base_sha256: str = ""
    kind: str = "concept"
    licence: str = ""
    training_data: tuple[TrainingData, ...] = ()
    date: str = ""
    metrics: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """A concept folder that was found."""

    name: str
    folder: Path
    info: ConceptInfo
    size_bytes: int


def describe(
    name: str, base: str, embeddings: Mapping[str, Embeddings], **more: Any
) -> ConceptInfo:
    """What stands in the ``concept.json`` of these; ``more`` are further fields of it."""
    widths = {vectors.shape[1] for vectors in embeddings.values()}
    if len(widths) != 1:
        raise ValueError(f"concepts of widths {sorted(widths)} can't lie in one folder")
    return ConceptInfo(
        format=FORMAT,
        name=name,
        family=FAMILY,
        base=base,
        width=widths.pop(),
        concepts={word: len(vectors) for word, vectors in embeddings.items()},
        weights=Weights(CONCEPT_WEIGHTS, ""),
        **more,
    )


def write(folder: Path, info: ConceptInfo, embeddings: Mapping[str, Embeddings]) -> ConceptInfo:
    """Write a folder that `read` reads; its description, with the hash of what was written."""
    for word in embeddings:
        if WORD.fullmatch(f"<{word}>") is None:
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"a concept can't be called {word[:80]!r}: letters, digits, '-', '_' and '.' only",
            )
    sealed = msgspec.structs.replace(
        info, weights=write_weights(folder, info.weights, dict(embeddings))
    )
    write_description(folder / CONCEPT_JSON, sealed)
    return sealed


def read_info(folder: Path) -> ConceptInfo:
    """Read and check ``folder/concept.json``; ``unknown-model`` where there is none."""
    info = read_description(folder / CONCEPT_JSON, ConceptInfo, "concept")
    numbers = info.concepts.values()
    if not info.concepts or not all(0 < n <= MOST_VECTORS for n in numbers):
        raise bad_file(folder / CONCEPT_JSON, f"a concept has 1 to {MOST_VECTORS} vectors")
    if not 0 < info.width <= MOST_WIDTH:
        raise bad_file(folder / CONCEPT_JSON, f"vectors are not {info.width} wide")
    return info


def read(folder: Path) -> dict[str, Embeddings]:
    """The concepts of a folder by their words. Raises as `read_weights`."""
    info = read_info(folder)
    shapes = {word: (number, info.width) for word, number in info.concepts.items()}
    return read_weights(folder, info, shapes, CONCEPT_JSON)


def places() -> tuple[Path, ...]:
    """Where concept folders are looked for: in a folder of their own, and where adapters are."""
    return (store.user_folder().parent / "concepts", *adapters.places())


def names() -> list[str]:
    """The names of the concept folders that are found, in alphabetical order."""
    return sorted({path.parent.name for path in _descriptions()})


def find(name: str) -> Path:
    """The concept folder of that name; ``unknown-model`` with the nearest otherwise."""
    for path in _descriptions():
        if path.parent.name == name:
            return path.parent
    known = names()
    hint = f"the nearest is {nearest(name, known)!r}" if known else "none is installed"
    raise SidemanError(Code.UNKNOWN_MODEL, f"no concept is called {name[:80]!r}; {hint}")


def entry(folder: Path) -> Entry:
    """What is known about a concept folder."""
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return Entry(folder.name, folder, read_info(folder), size)


def words() -> dict[str, Path]:
    """Every word that can be said, and the folder that it is in; damaged folders have none."""
    found: dict[str, Path] = {}
    for path in _descriptions():
        try:
            info = _info(path, path.stat().st_mtime_ns)
        except (SidemanError, OSError):
            continue
        for word in info.concepts:
            found.setdefault(word, path.parent)
    return found


def embeddings(word: str, model: str) -> Embeddings | None:
    """The vectors of an installed concept, for a model of that name; None where there is none.

    The same array comes back until the folder changes. Raises ``not-allowed`` where it was learned
    with another model, ``bad-file`` where it is damaged.
    """
    folder = words().get(word)
    if folder is None:
        return None
    path = folder / CONCEPT_JSON
    info = _info(path, path.stat().st_mtime_ns)
    if local_name(info.base).lower() != local_name(model).lower():
        raise SidemanError(
            Code.NOT_ALLOWED,
            f"concept <{word}> was learned with {info.base[:100]}, not with {model}: choose a "
            "preset that plays that",
        )
    return _embeddings(folder, path.stat().st_mtime_ns)[word]


def _descriptions() -> list[Path]:
    return [path for place in places() for path in sorted(place.glob(f"*/{CONCEPT_JSON}"))]


@lru_cache(maxsize=256)
def _info(path: Path, _modified_ns: int) -> ConceptInfo:
    return read_info(path.parent)


@lru_cache(maxsize=64)
def _embeddings(folder: Path, _modified_ns: int) -> dict[str, Embeddings]:
    return read(folder)
