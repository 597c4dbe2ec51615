"""Files treated here or in processes of this machine, with the same results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from training.processes import pool as new_pool
from training.processes import undisturbed
from training.sound.treating import Treated, Treatment, treat

AHEAD = 3
"""Files for each process that are under way at once."""

PAYS = 6
"""Files for which another process is worth its start."""

Done = tuple[int, Treated]
"""A file's place in the list, and what came of it."""


def treat_all(
    paths: Sequence[Path], treatment: Treatment, kept: Path, jobs: int = 1
) -> Iterator[Done]:
    """Treat every file, in any order; ``jobs`` processes, 1 works in this one."""
    if jobs <= 1:
        return ((number, treat(path, treatment, kept)) for number, path in enumerate(paths))
    return _in_processes(paths, treatment, kept, jobs)


def worth(files: int) -> int:
    """The processes that so many files are worth, of the cores that this one may use."""
    allowed = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    return max(1, min(len(allowed), files // PAYS))


def _in_processes(
    paths: Sequence[Path], treatment: Treatment, kept: Path, jobs: int
) -> Iterator[Done]:
    waiting = list(enumerate(paths))[::-1]
    pool = new_pool(jobs)
    running: dict[Future[Treated], tuple[int, Path]] = {}
    try:
        while waiting or running:
            try:
                while waiting and len(running) < AHEAD * jobs:
                    running[_submit(pool, waiting[-1][1], treatment, kept)] = waiting[-1]
                    waiting.pop()
                ready, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    result = future.result()
                    yield running.pop(future)[0], result
            except BrokenProcessPool:
                pool.shutdown()
                lost, running = sorted(running.values()), {}
                yield from _one_by_one(lost, treatment, kept)
                pool = new_pool(jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def _one_by_one(
    lost: Sequence[tuple[int, Path]], treatment: Treatment, kept: Path
) -> Iterator[Done]:
    """Treat files of which one has ended a process: that one is unusable, the others are not."""
    pool = new_pool(1)
    try:
        for number, path in lost:
            try:
                yield number, _submit(pool, path, treatment, kept).result()
            except BrokenProcessPool:
                yield number, Treated(reason="cannot be read: it brings the reader down")
                pool.shutdown()
                pool = new_pool(1)
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor, path: Path, treatment: Treatment, kept: Path
) -> Future[Treated]:
    with undisturbed():
        return pool.submit(treat, path, treatment, kept)
