"""Worker processes that leave ctrl-C to their parent, and never outlive it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import FrameType


def pool(jobs: int) -> ProcessPoolExecutor:
    """A pool of ``jobs`` fresh processes. Give it work inside :func:`undisturbed`."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold ctrl-C back: processes that begin meanwhile never see one, this one sees it after.

    A pool begins its processes as it is given work.
    """
    if threading.current_thread() is not threading.main_thread():  # ctrl-C is the main thread's
        yield
        return
    with _deferred(), _blocked():
        yield


@contextmanager
def _deferred() -> Iterator[None]:
    """Heed a ctrl-C at the end of the block.

    A mask alone does not do it: the signal reaches another thread of this process, and Python
    then runs the handler in the main one all the same.
    """
    held: list[tuple[int, FrameType | None]] = []
    former = signal.signal(signal.SIGINT, lambda *event: held.append(event))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
        if held and callable(former):
            former(*held[-1])


@contextmanager
def _blocked() -> Iterator[None]:
    """Block the signal in this thread, and so in the processes that it begins."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _begin() -> None:
    """Make a process a worker: it leaves ctrl-C to its parent, on Windows too, and ends when that
    one does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
