"""What the commands of ``sideman train`` share."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from bridge.commands.output import print_json

Seed = Annotated[int, Option(min=0, help="The same seed gives the same result.")]
Tokens = Annotated[Path, Argument(metavar="TOKENS", help="Folder of a token data set.")]


def report(made: Path, started: float, as_json: bool, **more: Any) -> None:
    """Say what was made and, as JSON, all that is to be said of it."""
    if as_json:
        print_json({"output": str(made), "seconds": round(time.monotonic() - started, 3), **more})
    else:
        print(made)
