"""The folder where a data set's unfinished work is kept, for one process at a time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from engine.errors import Code, SidemanError
from training import runs
from training.files import unwritable, write_whole

LOCK = "lock"

EVERY = 1.0
"""Seconds between two states on disk, at least."""


class Work:
    """A run folder, held by this process, and the ``run.json`` in it."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self._config = dict(config)
        self._started = time.time()
        self._step = 0
        self._written = 0.0

    def step(self, files: int) -> None:
        """So many files are done."""
        self._step = files
        if time.monotonic() - self._written > EVERY:
            self.state("running")

    def state(self, status: str, error: str | None = None) -> None:
        """Write ``run.json`` anew, in one move."""
        self._written = time.monotonic()
        table = {
            "status": status,
            "step": self._step,
            "started": self._started,
            "ended": None if status == "running" else time.time(),
            "error": error,
            "pid": os.getpid(),
            "pid_created": psutil.Process().create_time(),
            "config": self._config,
        }
        write_whole(self.folder / runs.FILE, json.dumps(table, indent=1).encode())


@contextmanager
def at_work(folder: Path, config: Mapping[str, Any]) -> Iterator[Work]:
    """Hold the run folder, which is made, and note in it how the block ends.

    Raises ``busy`` where another process holds it; what the system refuses becomes ``bad-file``.
    """
    work = Work(folder, config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / LOCK):
            try:
                work.state("running")
                yield work
            except BaseException as error:
                status = "failed" if isinstance(error, Exception) else "stopped"
                told = unwritable(folder, error) if isinstance(error, OSError) else error
                with suppress(SidemanError):  # it may have failed because nothing can be written
                    work.state(status, str(told) or None)
                raise
            work.state("completed")
    except OSError as error:
        raise unwritable(folder, error) from error


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold ``lock`` against other processes; the hold ends with this one, however it ends."""
    with lock.open("w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ModuleNotFoundError:  # Windows
            pass
        except BlockingIOError:
            raise SidemanError(Code.BUSY, f"{lock.parent}: another run is at work there") from None
        yield
    lock.unlink(missing_ok=True)
