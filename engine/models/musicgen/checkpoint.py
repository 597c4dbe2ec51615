"""What loading a folder gives, whatever its layout, and what all layouts are checked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers.utils import logging as _logging

from engine.errors import Code, SidemanError
from engine.models.folder import MAX_JSON, bad_file

CONFIG_JSON = "config.json"
TOKENIZER_JSON = "tokenizer.json"

logging: Any = _logging
"""Untyped, as all of transformers."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

MELODY = (
    "is of the musicgen-melody family, which is not played: it hears its melody as a prefix that "
    "takes a step of another shape; use musicgen-small, -medium, -large or their stereo models"
)
"""Why a model with a melody is refused."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network in evaluation mode, and what belongs to it."""

    network: Any
    """transformers' ``MusicgenForConditionalGeneration``."""

    tokenizer: Tokenizer
    name: str
    licence: str = ""


def read_config(path: Path) -> dict[str, Any]:
    """A JSON file of a model folder. Raises ``unknown-model`` or ``bad-file``."""
    if not path.is_file():
        raise SidemanError(Code.UNKNOWN_MODEL, f"no model at {path.parent}: it has no {path.name}")
    if path.stat().st_size > MAX_JSON:
        raise bad_file(path, f"larger than {MAX_JSON} bytes, which no description needs")
    try:
        read = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise bad_file(path, f"not valid JSON: {error}") from error
    if not isinstance(read, dict):
        raise bad_file(path, "not a description")
    return read


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder, which cuts off and fills up nothing. Raises ``bad-file``."""
    path = folder / TOKENIZER_JSON
    if not path.is_file():
        raise bad_file(path, f"is missing from the model folder {folder}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more special
        raise bad_file(path, f"not a tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def read_licence(folder: Path) -> str:
    """What the model card in a folder says; empty where there is none."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    with card.open(encoding="utf-8", errors="replace") as file:
        found = re.search(r"^license:\s*[\"']?([\w.+-]+)", file.read(1 << 16), re.MULTILINE)
    return found[1] if found else ""


def placed(network: Any, path: Path, device: str, precision: str) -> Any:
    """The network where it will compute; only its decoder is held in less than float32.

    Raises ``bad-file`` where a number is not finite, and ``bad-arguments`` for a precision that is
    none.
    """
    if precision != "auto" and precision not in DTYPES:
        raise SidemanError(
            Code.BAD_ARGUMENTS, f"precision is auto, {', '.join(DTYPES)}, not {precision[:20]!r}"
        )
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise bad_file(path, f"{name} has numbers that are not finite: its training failed")
    if precision == "auto":
        precision = "float32" if device == "cpu" else "bfloat16"
    network.eval().requires_grad_(False)
    network.decoder.to(DTYPES[precision])
    return network.to(device)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars, and warnings that we turn into errors ourselves."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
