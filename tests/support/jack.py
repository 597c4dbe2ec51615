"""A JACK server of the test's own: virtual MIDI ports on machines that have no MIDI at all.

It runs on JACK's dummy driver, which needs no sound card, and under a name of its own, so that it
meets neither the user's server nor another test's. Everybody who is to see its ports gets
:attr:`Server.environment`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RATE = 48_000
PERIOD = 64
"""Frames: what is sent within one period arrives at the next one's begin."""

MODE = ("--realtime", "--realtime-priority", "10", "--sync", "--timeout", "20")
"""In real time where the system allows it; jackd goes on without where not. The server waits for
each client in each period, since otherwise it loses what a late one had to send, and sends again
what it sent before. For one that was killed it waits thirty times this timeout (milliseconds).
"""

PERIOD_SECONDS = PERIOD / RATE
START_SECONDS = 15.0
"""Patience with the server's start on a busy machine."""

STOP_SECONDS = 2.0
"""jackd waits for ever where it is told to end while a client leaves, and is killed then."""

SERVERS = 6
"""Of these tests at the same time, of the eight that JACK knows on a machine."""

SHARED_MEMORY = Path("/dev/shm")

_PROBE = "import rtmidi; rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name='probe').get_ports()"


class Missing(RuntimeError):  # noqa: N818 (it is no error of the program's)
    """What this machine lacks, and how to get it."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    name: str
    log: str
    """Path of what it has said."""

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to meet this server, and no other."""
        return _environment(self.name)


def _environment(name: str) -> dict[str, str]:
    return {
        "JACK_DEFAULT_SERVER": name,
        "JACK_NO_START_SERVER": "1",
        "JACK_NO_AUDIO_RESERVATION": "1",
    }


@contextmanager
def jack_server(period: int = PERIOD) -> Iterator[Server]:
    """A server that answers, until the block ends. Raises :class:`Missing`, or ``RuntimeError``
    where it is there and does not start.
    """
    jackd = shutil.which("jackd")
    if jackd is None:
        raise Missing("needs jackd: apt install jackd2")
    with _free_name() as name, tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        process = subprocess.Popen(
            [jackd, *MODE, "-n", name, "-d", "dummy", "-r", str(RATE), "-p", str(period)],
            env=os.environ | _environment(name),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(process, Server(name, log.name))
            yield Server(name, log.name)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for left in SHARED_MEMORY.glob(f"jack_*{name}_*"):
                left.unlink(missing_ok=True)


@contextmanager
def _free_name() -> Iterator[str]:
    """A server's name that nobody else uses meanwhile.

    Names are used again, since JACK keeps the place of a server that was killed until the next one
    of its name, and has eight of them.
    """
    import fcntl  # not on Windows, where nobody comes here

    for number in range(SERVERS):
        name = f"sideman-test-{os.getuid()}-{number}"
        with open(Path(tempfile.gettempdir()) / f"{name}.lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield name
            return
    raise RuntimeError(f"{SERVERS} JACK servers run for tests already")


def _wait(process: subprocess.Popen[bytes], server: Server) -> None:
    """Until a client gets an answer, as python-rtmidi would."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env=os.environ | server.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if probe.returncode == 0:
            return
        if "ImportError" in probe.stderr or "AttributeError" in probe.stderr:
            raise Missing(f"python-rtmidi has no JACK here: {probe.stderr.splitlines()[-1]}")
    with open(server.log, encoding="utf-8", errors="replace") as log:
        last_words = log.read().splitlines()[-6:]
    raise RuntimeError(f"jackd did not start: {' / '.join(last_words)}")
