"""Files encoded here, in processes of this machine, or on a Ray cluster, with the same results.

Tasks and results are bytes and plain objects, so that a worker needs nothing but this package.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from importlib import import_module
from itertools import islice
from typing import Any

from engine.errors import Code, SidemanError
from training.processes import pool as new_pool
from training.processes import undisturbed
from training.tokenize.config import Cleaning, Vocabulary
from training.tokenize.encode import Encoder, Result, Unusable

Task = tuple[bytes, bytes]
"""A key, and the bytes of a MIDI file."""

Done = tuple[bytes, Result]

Settings = tuple[Vocabulary, Cleaning]

BATCH = 16
"""Files that a worker takes at a time."""

AHEAD = 3
"""Batches for each worker that are under way at once."""

PAYS = 1000
"""Files for which another process is worth its start, which takes as long as some 1,000 files."""


def encode_all(
    tasks: Iterable[Task], settings: Settings, jobs: int = 1, ray: str | None = None
) -> Iterator[Done]:
    """Encode every task, in any order. ``jobs`` processes; 1 works in this one."""
    if ray is not None:
        return _on_ray(tasks, settings, ray)
    if jobs > 1:
        return _in_processes(tasks, settings, jobs)
    return (done for task in tasks for done in _encode(settings, [task]))


def worth(files: int) -> int:
    """The processes that so many files are worth, of the cores that this one may use."""
    allowed = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    return max(1, min(len(allowed), files // PAYS))


@lru_cache(maxsize=1)
def _encoder(vocabulary: Vocabulary, cleaning: Cleaning) -> Encoder:
    return Encoder(vocabulary, cleaning)


def _encode(settings: Settings, batch: list[Task]) -> list[Done]:
    encoder = _encoder(*settings)
    return [(key, encoder.encode(data)) for key, data in batch]


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    tasks = iter(tasks)
    while batch := list(islice(tasks, BATCH)):
        yield batch


def _in_processes(tasks: Iterable[Task], settings: Settings, jobs: int) -> Iterator[Done]:
    batches = _batches(tasks)
    pool = new_pool(jobs)
    running: dict[Future[list[Done]], list[Task]] = {}
    try:
        while True:
            waiting = list(islice(batches, AHEAD * jobs - len(running)))
            try:
                while waiting:
                    running[_submit(pool, settings, waiting[-1])] = waiting[-1]
                    waiting.pop()
                if not running:
                    return
                ready, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    done = future.result()
                    del running[future]
                    yield from done
            except BrokenProcessPool:
                pool.shutdown()
                lost = [task for batch in (*running.values(), *waiting) for task in batch]
                running = {}
                yield from _one_by_one(lost, settings)
                pool = new_pool(jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def _one_by_one(tasks: list[Task], settings: Settings) -> Iterator[Done]:
    """Encode tasks of which one has ended a worker: that one is unusable, the others are not."""
    pool = new_pool(1)
    try:
        for task in tasks:
            try:
                yield from _submit(pool, settings, [task]).result()
            except BrokenProcessPool:
                yield task[0], Unusable("cannot be read: it brings the MIDI reader down")
                pool.shutdown()
                pool = new_pool(1)
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, settings: Settings, batch: list[Task]) -> Future[list[Done]]:
    with undisturbed():
        return pool.submit(_encode, settings, batch)


def _on_ray(tasks: Iterable[Task], settings: Settings, address: str) -> Iterator[Done]:
    try:
        ray: Any = import_module("ray")
    except ModuleNotFoundError:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            "--ray needs the extra 'ray': pip install 'sideman[ray]', or say --jobs N instead",
        ) from None
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SidemanError(
            Code.BAD_ARGUMENTS, f"no Ray cluster at '{address}': {' '.join(str(error).split())}"
        ) from error
    return _ray_results(ray, tasks, settings)


def _ray_results(ray: Any, tasks: Iterable[Task], settings: Settings) -> Iterator[Done]:
    """Keep the cluster busy and hand on what it has done. A batch that ends its worker is split."""
    remote = ray.remote(max_retries=0)(_encode)
    most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    batches = _batches(tasks)
    running: dict[Any, list[Task]] = {}
    try:
        while True:
            for batch in islice(batches, max(0, most - len(running))):
                running[remote.remote(settings, batch)] = batch
            if not running:
                return
            ready, _ = ray.wait(list(running))
            for reference in ready:
                batch = running.pop(reference)
                try:
                    yield from ray.get(reference)
                except ray.exceptions.WorkerCrashedError:
                    if len(batch) == 1:
                        reason = "cannot be read: it brings the MIDI reader down"
                        yield batch[0][0], Unusable(reason)
                    for task in batch if len(batch) > 1 else ():
                        running[remote.remote(settings, [task])] = [task]
    finally:
        ray.shutdown()
