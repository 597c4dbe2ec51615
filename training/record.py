"""What a run leaves for those who watch it: ``run.json``, ``log.jsonl`` and TensorBoard files.

Where a key for wandb is set, values go there, too.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from engine.errors import SidemanError
from training import runs
from training.files import write_whole
from training.weights_and_biases import sink

ENDED = ("completed", "failed", "stopped")


class Record:
    """The papers of one run. Of several processes, the first one keeps them."""

    def __init__(self, run: Path, config: Mapping[str, Any], step: int) -> None:
        """Open the papers at ``step``; what was written after it belongs to a run that was killed.

        Imports TensorBoard.
        """
        from torch.utils.tensorboard import SummaryWriter

        self._run = run
        run.mkdir(parents=True, exist_ok=True)
        former = runs.read(run) if (run / runs.FILE).is_file() else {}
        self._started = former.get("started") or time.time()
        self._config = dict(config)
        self._log = run / "log.jsonl"
        self._forget_after(step)
        self._board = SummaryWriter(str(run), purge_step=step + 1)
        self._sink = sink(run, config)
        runs.note(run)

    def _forget_after(self, step: int) -> None:
        if self._log.exists():
            lines = read_log(self._run)
            kept = [json.dumps(line) + "\n" for line in lines if line["step"] <= step]
            write_whole(self._log, "".join(kept).encode())

    def state(self, status: str, values: Mapping[str, Any], error: str | None = None) -> None:
        """Write ``run.json`` anew, in one move."""
        table = {
            "status": status,
            **values,
            "started": self._started,
            "ended": time.time() if status in ENDED else None,
            "error": error,
            "pid": os.getpid(),
            "pid_created": psutil.Process().create_time(),
            "config": self._config,
        }
        text = json.dumps(table, indent=1)
        if status == "failed":  # it may have failed because nothing can be written
            with suppress(SidemanError):
                write_whole(self._run / runs.FILE, text.encode())
        else:
            write_whole(self._run / runs.FILE, text.encode())

    def line(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Log values of one moment."""
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        if self._sink is not None:
            self._sink.line(step, values)
        line = {"step": step, "seconds": round(seconds, 1), **values}
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Write what is left."""
        self._board.close()
        if self._sink is not None:
            self._sink.close()


def read_log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a last one that was cut off is left out."""
    lines = []
    for text in (run / "log.jsonl").read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return lines
