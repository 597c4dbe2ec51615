"""Where compiled code is kept between runs, and how a run knows that it is there.

Numba compiles the model's step, the recall and the draw of a token. The folder is
``NUMBA_CACHE_DIR`` where that is set, else the user's cache folder, and inside it a folder named by
what the code was made from: these sources, numba, Python and the processor. Other sources or
another machine find their own folder and never stale code. Where no folder can be written
everything still works; only, each process compiles for itself (see `ready`).
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from platformdirs import user_cache_path

STEP = ("mathematics", "matmul", "numba_step", "panels", "vectors", "architecture", "packed")

RECALL = ("contexts", "chains", "blend", "together", "compiled")

SOURCES = (
    "code_cache",
    "draw",
    "draw_compiled",
    *(f"recall/{name}" for name in RECALL),
    *(f"models/rwkv/{name}" for name in STEP),
)
"""The modules of the engine whose text decides what is compiled."""


@lru_cache
def cache_folder() -> Path | None:
    """The folder, made where it is missing; None where it cannot be written."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(named) if named else user_cache_path("sideman") / "numba"
    folder = base / _fingerprint()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f"probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return None
    return folder


def ready(precision: str) -> bool:
    """Whether the step for ``precision`` and the draw only have to be read from disk."""
    folder = cache_folder()
    return folder is not None and (folder / f"{precision}.done").exists()


def mark_ready(precision: str) -> None:
    """Say that they have been compiled and kept."""
    if (folder := cache_folder()) is not None:
        (folder / f"{precision}.done").touch()


def compiled(function: Callable[..., Any], signature: Any, **options: Any) -> Any:
    """``function`` as machine code for ``signature``, out of the folder or compiled now.

    ``options`` are those of ``numba.njit``. Imports numba.
    """
    from numba import config, njit

    folder, settings = cache_folder(), cast(Any, config)
    shared = settings.CACHE_DIR
    try:
        settings.CACHE_DIR = str(folder or "")
        return njit(signature, cache=folder is not None, **options)(function)
    finally:
        settings.CACHE_DIR = shared


def _fingerprint() -> str:
    from llvmlite import binding  # type: ignore[import-untyped]

    digest = hashlib.sha256()
    for module in SOURCES:
        digest.update((Path(__file__).parent / f"{module}.py").read_bytes())
    machine = (
        version("numba"),
        version("llvmlite"),
        version("numpy"),
        sys.version,
        binding.get_host_cpu_name(),
        binding.get_host_cpu_features().flatten(),
        os.environ.get("NUMBA_CPU_NAME", ""),
        os.environ.get("NUMBA_CPU_FEATURES", ""),
    )
    digest.update(repr(machine).encode())
    return digest.hexdigest()[:16]
