"""Learned concepts as Szawerda's musical-generative-models-conditioning keeps them: ``.pt`` files.

A zip of torch with ``{concept: {"epoch": int, "embeds": float [N, D]}}``, or with such tables by
their epochs (its ``-all.pt``), of which the last is taken. Read by torch's weights-only loader.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import Code, SidemanError
from engine.models.folder import bad_file
from engine.models.musicgen import concepts
from engine.models.musicgen.concepts import CONCEPT_JSON, MOST_VECTORS, Embeddings
from training.files import made_whole, write_whole
from training.sound.concept_data import word_of

BASES = {768: "musicgen-small"}
"""Width of the text encoder's words → the model that the thesis learned with by default. All
published sizes share their text encoder, but not what their decoders make of it."""


def import_concepts(
    path: Path, out: Path, *, name: str | None = None, licence: str = "", base: str | None = None
) -> concepts.ConceptInfo:
    """Write the concepts of a ``.pt`` as the concept folder ``out``; its description.

    ``base`` is the model that they were learned with. Raises ``bad-file`` for anything that is
    no such file, ``bad-arguments`` where the base cannot be told.
    """
    table, epochs = read(path)
    width = next(iter(table.values())).shape[1]
    known = base or _base_of(path, width)
    info = concepts.describe(
        name or out.name,
        known,
        table,
        licence=licence,
        date=date.today().isoformat(),
        metrics={"epochs": epochs},
    )
    with made_whole(out, (CONCEPT_JSON,)) as part:
        return concepts.write(part, info, table)


def read(path: Path) -> tuple[dict[str, Embeddings], dict[str, int]]:
    """Vectors ``[N, D]`` of each word, and the epoch that each is of. Raises ``bad-file``."""
    loaded = _load(path)
    if loaded and all(isinstance(key, str) and key.isdecimal() for key in loaded):
        loaded = loaded[max(loaded, key=int)]
    if not isinstance(loaded, Mapping) or not loaded:
        raise bad_file(path, "holds no concepts")
    table, epochs = {}, {}
    for concept, entry in loaded.items():
        word = word_of(str(concept))
        if word in table:
            raise bad_file(path, f"has two concepts that would both be called <{word}>")
        table[word] = _vectors(path, word, entry)
        epoch = entry.get("epoch", 0)
        epochs[word] = epoch if isinstance(epoch, int) else 0
    if len({vectors.shape[1] for vectors in table.values()}) > 1:
        raise bad_file(path, "has concepts of several widths")
    return table, epochs


def write(path: Path, table: Mapping[str, Embeddings], epoch: int) -> None:
    """Write what :func:`read` and the thesis's app read. Raises ``bad-file``."""
    import torch

    buffer = io.BytesIO()
    torch.save(
        {
            word: {"epoch": epoch, "embeds": torch.from_numpy(vectors.copy())}
            for word, vectors in table.items()
        },
        buffer,
    )
    write_whole(path, buffer.getvalue())


def _load(path: Path) -> Any:
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes the loader stumble over
        raise bad_file(path, "holds more than vectors, or is damaged, and is not opened") from error
    if not isinstance(loaded, Mapping):
        raise bad_file(path, "holds no table of concepts")
    return loaded


def _vectors(path: Path, word: str, entry: Any) -> Embeddings:
    import torch

    embeds = entry.get("embeds") if isinstance(entry, Mapping) else None
    if not isinstance(embeds, torch.Tensor) or embeds.ndim != 2 or not embeds.is_floating_point():
        raise bad_file(path, f"has no vectors of <{word}>")
    vectors: Embeddings = embeds.detach().to("cpu", torch.float32).numpy()
    if not 0 < len(vectors) <= MOST_VECTORS or not vectors.shape[1]:
        raise bad_file(path, f"<{word}> is {list(vectors.shape)}: 1 to {MOST_VECTORS} vectors")
    if not np.isfinite(vectors).all():
        raise bad_file(path, f"<{word}> has numbers that are not finite")
    return vectors


def _base_of(path: Path, width: int) -> str:
    """The model that a file's name, or else its width, tells of."""
    for size in ("small", "medium", "large"):
        if f"-{size}-" in path.name:  # 29-small-20-novel-lamb.pt
            return f"musicgen-{size}"
    if width not in BASES:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"vectors are {width} wide, which no published model's are: name the model with --base",
        )
    return BASES[width]
