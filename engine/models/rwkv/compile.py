"""Compile what plays, into the cache on disk: ``python -m engine.models.rwkv.compile [MODEL …]``.

Compiled code does not depend on the model, only on its precision: an argument is a model folder or
a precision, and none stands for both precisions. Takes some seconds a precision the first time,
and no time when it is there already. `background` does it in a process of its own, so that
whoever plays meanwhile is not held up by the interpreter lock.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from engine import draw
from engine.code_cache import cache_folder, mark_ready, ready
from engine.models.folder import read_info
from engine.models.rwkv.precision import PRECISIONS, default_precision
from engine.recall import loops


def compile_step(precision: str) -> None:
    """Have step, recall and draw in this process, and in the cache if it can."""
    from engine.models.rwkv.numba_step import compiled

    compiled(precision)
    draw.use_compiled()
    loops.use_compiled()
    mark_ready(precision)


def background(precision: str) -> str:
    """`compile_step` in a process of its own, waited for. Returns what went wrong, or nothing."""
    if ready(precision) or cache_folder() is None:
        return ""
    done = subprocess.run(
        [sys.executable, "-m", __name__, precision],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def main(arguments: list[str]) -> None:
    """Compile what the arguments name."""
    for name in arguments or PRECISIONS:
        compile_step(name if name in PRECISIONS else default_precision(read_info(Path(name))))


if __name__ == "__main__":
    main(sys.argv[1:])
