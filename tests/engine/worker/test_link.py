"""A real process at the other end of the line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from queue import Empty, Queue

import pytest

from engine.worker import wire
from engine.worker.link import Line

PATIENCE = 30.0

WORKER = "import sys; from engine.worker.process import main; sys.exit(main())"
"""Beside ``-m engine.worker.process``, which is what users run, for workers that are made worse."""

Said = Queue[wire.FromWorker | None]
AnyLine = Line[wire.FromWorker]
Begun = tuple[AnyLine, Said]


@pytest.fixture
def start() -> Iterator[Callable[..., Begun]]:
    lines: list[AnyLine] = []

    def begin(code: str | None = None) -> Begun:
        said: Said = Queue()
        command = None if code is None else (sys.executable, "-c", code)
        line = Line(
            lambda _, message: said.put(message), wire.from_worker, command=command
        )
        lines.append(line)
        return line, said

    yield begin
    for line in lines:
        line.close(0.2)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_answers_and_ends_with_its_line(start: Callable[..., Begun]) -> None:
    line, said = start()
    for n in range(3):
        line.send(wire.Ping(n))
    assert [said.get(timeout=PATIENCE) for _ in range(3)] == [wire.Pong(n) for n in range(3)]
    line.close(PATIENCE)
    assert said.get(timeout=PATIENCE) is None
    assert not alive(line.pid)
    line.send(wire.Ping(9))


def test_more_than_the_pipe_takes_arrives_in_order(start: Callable[..., Begun]) -> None:
    line, said = start(f"import time; time.sleep(0.3); {WORKER}")
    notes = [(0, 0, 0, 60, 1, 90)] * 40_000
    for n in range(4):
        line.send(wire.Hear([(n, 4, 4, notes)]))  # far more than a pipe holds
        line.send(wire.Ping(n))
    assert [said.get(timeout=PATIENCE) for _ in range(4)] == [wire.Pong(n) for n in range(4)]
    line.send(wire.Ping(4))
    assert said.get(timeout=PATIENCE) == wire.Pong(4)


def test_the_death_of_a_worker_is_heard(start: Callable[..., Begun]) -> None:
    line, said = start()
    line.send(wire.Ping(1))
    said.get(timeout=PATIENCE)
    os.kill(line.pid, signal.SIGKILL)
    assert said.get(timeout=PATIENCE) is None
    line.send(wire.Ping(2))
    with pytest.raises(Empty):
        said.get(timeout=0.05)


def test_a_stopped_worker_can_be_killed(start: Callable[..., Begun]) -> None:
    line, said = start("import time; time.sleep(600)")
    os.kill(line.pid, signal.SIGSTOP)
    notes = [(0, 0, 0, 60, 1, 90)] * 40_000
    line.send(wire.Hear([(0, 4, 4, notes)]))
    line.kill()
    assert said.get(timeout=PATIENCE) is None
    assert not alive(line.pid)


def test_a_worker_that_does_not_read_is_ended(start: Callable[..., Begun]) -> None:
    line, said = start("import time; time.sleep(600)")
    line.send(wire.Hear([(0, 4, 4, [(0, 0, 0, 60, 1, 90)] * 40_000)]))
    line.close(0.1)
    assert said.get(timeout=PATIENCE) is None
    assert not alive(line.pid)


@pytest.mark.parametrize("nonsense", ["b'x' * 4096", "b'\\x03\\x00\\x00\\x00abc'"])
def test_a_worker_that_speaks_nonsense_is_ended(
    start: Callable[..., Begun], nonsense: str
) -> None:
    line, said = start(
        f"import sys, time; sys.stdout.buffer.write({nonsense});"
        " sys.stdout.flush(); time.sleep(600)"
    )
    assert said.get(timeout=PATIENCE) is None
    assert not alive(line.pid)


def test_a_worker_ends_when_it_is_told_nonsense(start: Callable[..., Begun]) -> None:
    line, said = start()
    os.write(line._pipe, b"\x03\x00\x00\x00abc")
    assert said.get(timeout=PATIENCE) is None


def test_what_a_library_prints_does_not_break_the_line(
    start: Callable[..., Begun],
) -> None:
    noisy = (
        "import os, sys; from engine.worker import process;"
        " heard = process.Worker.handle;"
        " process.Worker.handle ="
        " lambda self, message: (print('hello'), os.write(1, b'there'), heard(self, message));"
        " sys.exit(process.main())"
    )
    line, said = start(noisy)
    line.send(wire.Ping(1))
    assert said.get(timeout=PATIENCE) == wire.Pong(1)
