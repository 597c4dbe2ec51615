"""A process of ours and the line to it: a worker's, or the one that plays MIDI.

``send`` may be called by the conductor's thread only and never blocks: what the pipe does not take
at once waits in a backlog that a thread writes out. Messages from the process reach ``deliver`` on
the reader's thread.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar

from msgspec import DecodeError

from engine.worker.wire import Message, frame, read_frame

Said = TypeVar("Said")
"""What the process says."""

ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
} | {"OMP_WAIT_POLICY": "PASSIVE", "MALLOC_ARENA_MAX": "1"}
"""Spinning worker threads of a numerical library would take the core that plays the music. With one
arena for all threads, glibc gives memory back that another thread has let go of: without it the
same takes leave a worker for sound a tenth larger or smaller."""


class Line(Generic[Said]):
    """A process. ``deliver(line, message)`` gets what it says, and None when it is gone.

    ``module`` is what it runs, and ``decode`` what reads its messages.
    """

    def __init__(
        self,
        deliver: Callable[[Line[Said], Said | None], None],
        decode: Callable[[bytes], Said],
        module: str = "engine.worker.process",
        *,
        command: tuple[str, ...] | None = None,
    ) -> None:
        self._deliver = deliver
        self._decode = decode
        self._process = subprocess.Popen(
            command or (sys.executable, "-m", module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | ONE_THREAD,
            bufsize=0,
            # A Ctrl-C in the terminal is for the engine, which then stops its workers in order.
            start_new_session=True,
        )
        self._backlog: SimpleQueue[bytes | None] = SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        self._direct = hasattr(os, "set_blocking") and os.name == "posix"
        if self._direct:
            os.set_blocking(self._pipe, False)
        threading.Thread(target=self._read, name="line-reader", daemon=True).start()
        self._writer = threading.Thread(target=self._write, name="line-writer", daemon=True)
        self._writer.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Put a message on the line. A process that is gone takes it without complaint."""
        data = frame(message)
        with self._lock:
            if self._direct and self._waiting == 0:
                try:
                    data = data[os.write(self._pipe, data) :]
                except BlockingIOError:
                    pass
                except OSError:
                    return
                if not data:
                    return
            self._waiting += 1
        self._backlog.put(data)

    def kill(self) -> None:
        """End the process at once; also one that is stopped or hangs."""
        self._process.kill()
        self._backlog.put(None)

    def close(self, timeout: float = 1.0) -> None:
        """Let the process end by itself, and end it where it does not."""
        self._backlog.put(None)
        self._writer.join(timeout)
        try:
            if self._writer.is_alive():
                self.kill()
                self._writer.join()
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(timeout)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()
            self._process.wait()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        buffered = open(stream.fileno(), "rb", closefd=False)  # noqa: SIM115 (lives with the line)
        with suppress(DecodeError):  # a process that can't be understood is no use any more
            while (body := read_frame(buffered)) is not None:
                self._deliver(self, self._decode(body))
        self._process.kill()
        self._process.wait()
        self._deliver(self, None)

    def _write(self) -> None:
        while (data := self._backlog.get()) is not None:
            try:
                self._write_all(data)
            except (OSError, ValueError):
                return
            finally:
                with self._lock:
                    self._waiting -= 1

    def _write_all(self, data: bytes) -> None:
        while data:
            if self._direct:
                select.select([], [self._pipe], [], 0.5)
            try:
                data = data[os.write(self._pipe, data) :]
            except BlockingIOError:
                if self._process.poll() is not None:
                    return
