"""A run's values on wandb.ai as well, for those who have an account and say so by their key."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

KEY = "WANDB_API_KEY"
"""Environment variable without which nothing is sent anywhere."""

PROJECT = "sideman"


class Sink:
    """One run there."""

    def __init__(self, run: Path, config: Mapping[str, Any]) -> None:
        """Begin it, or go on with it where this folder was one before. Imports wandb."""
        place = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16]
        self._run: Any = import_module("wandb").init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.name,
            id=place,
            dir=str(run),
            config=dict(config),
            resume="allow",
        )

    def line(self, step: int, values: Mapping[str, float]) -> None:
        """Values of one moment."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


def sink(run: Path, config: Mapping[str, Any]) -> Sink | None:
    """A sink where the key is set and wandb is installed; None elsewhere."""
    if not os.environ.get(KEY) or find_spec("wandb") is None:
        return None
    return Sink(run, config)
