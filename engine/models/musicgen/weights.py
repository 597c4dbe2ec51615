"""A model folder in transformers' layout: ``config.json``, safetensors and ``tokenizer.json``.

Weights are read from safetensors only, for reading any other file of weights can run its author's
code. transformers loads them, with its renames for older files; every tensor of the files must be
used, and every one of the network must be there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import MusicgenForConditionalGeneration

from engine.models.folder import bad_file
from engine.models.musicgen import licence
from engine.models.musicgen.checkpoint import Checkpoint, quiet, read_tokenizer
from engine.models.musicgen.layout import (
    CONFIG_JSON,
    SAFETENSORS,
    check_type,
    read_config,
    safetensors,
)

NOT_STORED = r".*\.embed_positions\.weights"
"""Tensors that older files hold and that are computed now."""

OLDER_NAMES = (
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)
"""Ends of names in older files → in today's, which transformers renames as it loads."""


def load(folder: Path) -> Checkpoint:
    """Load a folder in this layout, on the processor.

    Raises ``unknown-model`` for other families, and ``bad-file`` as `load_network` does.
    """
    check_type(folder.name, read_config(folder / CONFIG_JSON))
    tokenizer = read_tokenizer(folder)
    network = load_network(MusicgenForConditionalGeneration, folder, NOT_STORED)
    return Checkpoint(network, tokenizer, folder.name, licence.of(folder))


def load_network(kind: Any, folder: Path, surplus: str = "") -> Any:
    """A network of transformers' class ``kind`` from a folder, in float32.

    Tensors whose names match ``surplus`` may be in the files for nothing.
    Raises ``bad-file`` for anything else that is too much, for what is missing or has another
    shape, and where there is no file of safetensors.
    """
    files = safetensors(folder)
    try:
        with quiet():
            network, told = kind.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are told, and refused below
            )
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        line = str(error).strip().partition("\n")[0][:200]
        raise bad_file(folder / SAFETENSORS, f"cannot be loaded: {line}") from error
    known = network.state_dict().keys()
    # transformers tells of those that it can't use, but not of all.
    unused = sorted(
        name
        for name in _stored(folder, files) - known
        if not surplus or not re.fullmatch(surplus, name)
    )
    wrong = sorted(
        str(name[0] if isinstance(name, tuple) else name) for name in told["mismatched_keys"]
    )
    for names, what in (
        (unused, "has tensors that this model has no use for"),
        (sorted(told["missing_keys"]), "lacks tensors"),
        (wrong, "has tensors of another shape than config.json says"),
    ):
        if names:
            raise bad_file(folder / SAFETENSORS, f"{what}, {len(names)} in all: {names[0][:100]}")
    return network


def _stored(folder: Path, files: list[str]) -> set[str]:
    """The names of all tensors in a folder's files, as they are called today."""
    names = set()
    for file in files:
        with safe_open(folder / file, framework="pt") as tensors:
            names |= set(tensors.keys())
    for old, new in OLDER_NAMES:
        names = {name.removesuffix(old) + new if name.endswith(old) else name for name in names}
    return names
