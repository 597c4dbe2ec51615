"""What loading a folder gives, whatever its layout, and what all layouts are checked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers.utils import logging as _logging

from engine.errors import Code, SidemanError
from engine.models.folder import bad_file
from engine.models.musicgen.layout import TOKENIZER_JSON

logging: Any = _logging
"""Untyped, as all of transformers."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network in evaluation mode, and what belongs to it."""

    network: Any
    """transformers' ``MusicgenForConditionalGeneration``."""

    tokenizer: Tokenizer
    name: str
    licence: str = ""


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
