"""The concept folder that a run ends in, and what it says of where it comes from."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from engine.models.folder import TrainingData, read_info
from engine.models.musicgen import concepts
from engine.models.musicgen.concepts import CONCEPT_JSON
from training.files import check_replaceable, made_whole
from training.importers import inversion
from training.sound.concept import Inversion
from training.sound.dataset import Clip

FIGURES = ("loss_first", "loss_last", "heldout_before", "heldout_after", "heldout_plain", "epoch")

UNSAID = "not said"


def check_output(output: Path) -> None:
    """Refuse, before hours are spent, an output folder that would not be replaced."""
    check_replaceable(output, (CONCEPT_JSON,))


def write(run: Inversion, output: Path) -> Path:
    """Write the best vectors of a run as a concept folder; returns ``output``.

    It is there whole or not at all, and the engine finds its words by name where it looks for
    concepts.
    """
    best = run.best["vectors"]
    embeddings = run.embeddings(run.vectors if best is None else best)
    summary = run.summary()
    base = read_info(run.config.base)
    info = concepts.describe(
        output.name,
        run.model.name,
        embeddings,
        base_sha256=base.weights.sha256,
        licence=run.model.licence,
        training_data=tuple(learned_from(run.material.train.items())),
        date=datetime.date.today().isoformat(),
        metrics={name: summary[name] for name in FIGURES},
    )
    with made_whole(output, (CONCEPT_JSON,)) as part:
        concepts.write(part, info, embeddings)
    return output


def learned_from(clips: Iterable[tuple[str, list[Clip]]]) -> Iterable[TrainingData]:
    """Each concept's clips by their licences."""
    for word, heard in clips:
        licences = Counter(clip.licence or UNSAID for clip in heard)
        for licence, number in licences.most_common():
            yield TrainingData(word, licence, f"{number} clips")


def write_pt(run: Inversion, path: Path) -> None:
    """The same vectors in the layout of :mod:`training.importers.inversion`."""
    best = run.best["vectors"]
    table = run.embeddings(run.vectors if best is None else best)
    inversion.write(path, table, run.best["epoch"])
