"""RWKV checkpoints (``.pth``) to model folders.

The file is read with torch's weights-only loader: nothing in it is executed. RWKV-7 and RWKV-4 can
be played; sizes follow from the shapes of their tensors. RWKV-5 and 6 are recognised by tensors
that only they have, and refused by name.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from engine.errors import Code, SidemanError
from engine.models.folder import DTYPES, ModelInfo, Tokenizer, Weights, bad_file, write_model
from engine.tokens.vocabulary import Vocabulary
from training.importers import rwkv4, rwkv7
from training.importers.checkpoint import Converted, read_checkpoint, version

CONVERTERS = {"RWKV-7": rwkv7.convert, "RWKV-4": rwkv4.convert}
"""How the versions that can be played become model folders."""

TOKENIZER_FILE = "tokenizer.json"


def import_pth(
    path: Path,
    out: Path,
    *,
    name: str | None = None,
    licence: str = "",
    dtype: str = "float32",
    base: Path | None = None,
    tokenizer: Path | None = None,
) -> ModelInfo:
    """Write the checkpoint ``path`` as the model folder ``out`` and return its description.

    ``base`` is the checkpoint that ``path``, a LoRA, changes. ``dtype`` is how the weights are
    stored. Without ``tokenizer``, its ``tokenizer.json``, the folder lacks one, which a checkpoint
    does not have: put it beside the weights and name it in ``model.json`` before music is played.
    Raises ``bad-file`` for what is no checkpoint that can be played.
    """
    if dtype not in DTYPES:
        known = ", ".join(DTYPES)
        raise SidemanError(Code.BAD_ARGUMENTS, f"weights are stored as {known}, not {dtype[:20]!r}")
    converted = _convert(path, base)
    vocabulary = _vocabulary(tokenizer, converted.sizes["vocab"])
    info = ModelInfo(
        format=1,
        name=name or path.stem,
        family=converted.family,
        kind="midi",
        architecture=converted.architecture,
        sizes=converted.sizes,
        weights=Weights("weights.safetensors", "", dtype),
        tokenizer=Tokenizer("miditok", "REMI", TOKENIZER_FILE) if vocabulary else None,
        meters=tuple(map(str, vocabulary.meters)) if vocabulary else (),
        licence=licence,
        date=date.today().isoformat(),
    )
    if tokenizer:
        settings = tokenizer.read_bytes()
        out.mkdir(parents=True, exist_ok=True)
        (out / TOKENIZER_FILE).write_bytes(settings)
    return write_model(out, info, converted.weights)


def _convert(path: Path, base: Path | None) -> Converted:
    checkpoint = read_checkpoint(path)
    if base:
        checkpoint = read_checkpoint(base) | checkpoint
    found = version(path, checkpoint)
    if found not in CONVERTERS:
        played = " and ".join(CONVERTERS)
        raise bad_file(path, f"is {found}; only {played} can be played, so train it anew")
    return CONVERTERS[found](path, checkpoint)


def _vocabulary(tokenizer: Path | None, vocab: int) -> Vocabulary | None:
    """The tokenizer's vocabulary. Raises ``bad-file`` where it is not the model's."""
    if tokenizer is None:
        return None
    vocabulary = Vocabulary.load(tokenizer)
    if len(vocabulary) != vocab:
        raise bad_file(tokenizer, f"has {len(vocabulary)} tokens, and the model {vocab}")
    return vocabulary
