"""The others, each in a process of its own: one job for every line on stdin, one answer for each.

A peer is a module that is run by ``python -m bench.peers.NAME`` and calls :func:`serve`. Nothing of
Sideman is imported here, so that a peer may live in an environment of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

Jobs = dict[str, Callable[[], float]]
"""Jobs by name; each does its work once and returns the seconds that it took."""


def serve(prepare: Callable[[dict[str, Any]], tuple[str, Jobs]]) -> None:
    """Read what is to be prepared, say who this is, then do jobs until stdin ends.

    ``prepare`` returns a line about the peer (its version and size) and its jobs.
    """
    # What a library prints must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    about, jobs = prepare(json.loads(sys.stdin.readline()))
    print(json.dumps({"about": about, "jobs": list(jobs)}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(jobs[line.strip()]()), file=answers, flush=True)
