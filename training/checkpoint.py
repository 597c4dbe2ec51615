"""A run's memory: one file from which it goes on as if it had never stopped."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from engine.errors import Code, SidemanError
from training.files import write_whole

FILE = "checkpoint.pt"


def save(run: Path, saved: dict[str, Any]) -> None:
    """Replace the run's checkpoint in one move: a killed run keeps the former one.

    Raises ``bad-file`` where it cannot be written; the former one stays.
    """
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    write_whole(run / FILE, buffer.getvalue())


def load(run: Path) -> dict[str, Any]:
    """The run's checkpoint: tensors and plain values, nothing that runs. Raises ``bad-file``."""
    path = run / FILE
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise SidemanError(Code.BAD_FILE, f"{path} is not there: no run to go on with") from error
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        first = str(error).partition("\n")[0]
        raise SidemanError(Code.BAD_FILE, f"{path}: not a checkpoint: {first}") from error
    return saved
