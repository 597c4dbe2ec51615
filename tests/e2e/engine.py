"""A real ``sideman serve``, in a process of its own."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import psutil

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 30.0
"""Patience with a start on a busy machine; how fast a start is stands in ``bench``."""


class Engine:
    """One engine and its folder of sessions, from the line ``ready`` on.

    ``home`` is where config and data of its user lie. Options are added to the command line, and
    ``environment`` to its environment.
    """

    OPTIONS: ClassVar = ["--osc-port", "0", "--no-midi", "--no-panel"]

    def __init__(
        self, home: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.sessions = home / "sessions"
        self.log = home / "log.txt"
        folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CONFIG", "DATA")}
        command = [sys.executable, "-m", "engine", *self.OPTIONS]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--sessions", str(self.sessions), *options],
                cwd=REPOSITORY,
                env=os.environ | folders | dict(environment or {}),
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.ready_line = self._first_line()
        fields = dict(part.split("=", 1) for part in self.ready_line.split()[1:])
        self.preset = fields["preset"]
        self.host, port = fields["osc"].rsplit(":", 1)
        self.port = int(port)

    def _first_line(self) -> str:
        stdout = self.process.stdout
        assert stdout is not None
        ready, _, _ = select.select([stdout], [], [], START_SECONDS)
        line = stdout.readline().decode() if ready else ""
        if not line.startswith("ready "):
            self.kill()
            raise AssertionError(f"no ready line, but {line!r}; {self.log.read_text()}")
        return line

    @property
    def session(self) -> Path:
        """The folder of the session that goes on."""
        (folder,) = self.sessions.iterdir()
        return folder

    def workers(self) -> list[psutil.Process]:
        """The processes that it has started and that live."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]

    def worker(
        self, patience: float = 20.0, module: str = "engine.worker.process"
    ) -> psutil.Process:
        """Its one worker that runs ``module``, as soon as there is one."""
        deadline = time.monotonic() + patience
        while not (found := [w for w in self.workers() if module in w.cmdline()]):
            assert time.monotonic() < deadline, "no worker was started"
            time.sleep(0.005)
        (worker,) = found
        return worker

    def stop(self, signal_number: int = signal.SIGTERM, patience: float = 10.0) -> int:
        """End it in order; its exit status."""
        self.process.send_signal(signal_number)
        try:
            return self.process.wait(patience)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it as a crash would. Does nothing where it has ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
