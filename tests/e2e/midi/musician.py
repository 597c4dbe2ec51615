"""The test's end of :mod:`tests.e2e.midi.controller`, and what it heard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from tests.e2e.engine import REPOSITORY
from tests.support.jack import Server

PATIENCE = 20.0

AT_ONCE = 200
"""Messages that the controller is told in one line: a longer one would keep it from sending."""

Event = tuple[float, bytes]
"""When (monotonic seconds; 0 is at once), and what."""

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, CLOCK = 0x80, 0x90, 0xB0, 0xC0, 0xF8


class Heard(NamedTuple):
    """A message that came."""

    at: float
    port: str
    message: bytes

    @property
    def on(self) -> bool:
        """Whether it begins a note."""
        return self.message[0] & 0xF0 == NOTE_ON and self.message[2] > 0

    @property
    def off(self) -> bool:
        """Whether it ends one."""
        return self.message[0] & 0xF0 == NOTE_OFF or (
            self.message[0] & 0xF0 == NOTE_ON and self.message[2] == 0
        )

    @property
    def note(self) -> tuple[int, int]:
        """Channel, 1 to 16, and pitch."""
        return (self.message[0] & 0x0F) + 1, self.message[1]


class Musician:
    """Plays through a controller, and writes down what comes back; use it in a ``with`` block."""

    def __init__(self, jack: Server) -> None:
        self.heard: list[Heard] = []
        self._said: list[dict[str, Any]] = []
        self._told = 0
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.midi.controller"],
            cwd=REPOSITORY,
            env=os.environ | jack.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Musician:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            with self._news:
                if "heard" in said:
                    self.heard.append(Heard(said["at"], said["port"], bytes.fromhex(said["heard"])))
                else:
                    self._said.append(said)
                self._news.notify_all()

    def _tell(self, **order: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _answer(self, *kinds: str, patience: float = PATIENCE) -> dict[str, Any]:
        """The next answer of one of these kinds."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [said for said in self._said if said.keys() & set(kinds)]
            return bool(found)

        self.until(there, f"an answer {kinds}", patience)
        self._said.remove(found[0])
        return found[0]

    # Ports

    def open(self, name: str, way: str) -> None:
        """Make a port that others can connect to; ``way`` is ``in`` or ``out`` from here."""
        self._tell(open=name, way=way)
        self._answer("ready")

    def connect(self, part: str, way: str, name: str) -> None:
        """Connect a port of one's own, called ``name``, to one of somebody else's."""
        self._tell(connect=part, way=way, name=name)
        answer = self._answer("ready", "missing")
        assert "missing" not in answer, f"no port {part!r} among {answer['ports']}"

    def close(self, name: str) -> None:
        """Pull a port's cable."""
        self._tell(close=name)
        self._answer("closed")

    # Out

    def send(self, port: str, *messages: bytes | Sequence[int]) -> float:
        """Send messages at once; the moment before it."""
        at = time.monotonic()
        self.play(port, [(0.0, bytes(message)) for message in messages])
        return at

    def play(self, port: str, events: Iterable[Event]) -> None:
        """Send each message at its moment. Does not wait for it."""
        orders = [[at, port, message.hex()] for at, message in events]
        for first in range(0, len(orders), AT_ONCE):
            self._told += 1
            self._tell(send=orders[first : first + AT_ONCE], number=self._told)

    def sent(self, patience: float = PATIENCE) -> float:
        """Wait until all has been sent; how late the latest of it was, in seconds."""
        late = 0.0
        while True:
            answer = self._answer("sent", patience=patience)
            late = max(late, float(answer["late"]))
            if answer["sent"] == self._told:
                return late

    def forget(self) -> None:
        """Do not send what is not sent yet."""
        self._tell(forget=True)

    def loop(self, port: str, to: str) -> None:
        """A cable from an input to an output."""
        self._tell(loop=port, to=to)

    # In

    def listen(self, seconds: float) -> None:
        """Let so much time go by, and hear what comes."""
        time.sleep(seconds)

    def until(self, fits: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Wait for something that is looked at anew with each message that comes."""
        with self._news:
            assert self._news.wait_for(fits, patience), (
                f"{what} did not come; what came last: {self.heard[-8:]}"
            )

    def ons(self, since: float = 0.0, before: float = float("inf")) -> list[Heard]:
        """The notes that began, in the order in which they came."""
        return [h for h in list(self.heard) if h.on and since <= h.at < before]

    def next_on(self, since: float, patience: float = PATIENCE) -> Heard:
        """The first note that begins after a moment."""
        self.until(lambda: bool(self.ons(since)), "a note", patience)
        return self.ons(since)[0]

    def sounding(self) -> set[tuple[int, int]]:
        """Channel and pitch of what began and has not ended."""
        notes: set[tuple[int, int]] = set()
        for heard in list(self.heard):
            if heard.on:
                notes.add(heard.note)
            elif heard.off:
                notes.discard(heard.note)
        return notes

    def end_of_what_sounded(self, at: float, patience: float = PATIENCE) -> float:
        """Wait until all that sounded at a moment has ended; when the last of it did."""
        begun: dict[tuple[int, int], float] = {}
        ends: dict[tuple[int, int], float] = {}

        def over() -> bool:
            begun.clear()
            ends.clear()
            for heard in list(self.heard):
                if heard.at <= at:
                    if heard.on:
                        begun[heard.note] = heard.at
                    elif heard.off:
                        begun.pop(heard.note, None)
                elif heard.off:
                    ends.setdefault(heard.note, heard.at)
            return begun.keys() <= ends.keys()

        self.until(over, f"the end of {begun.keys() - ends.keys()}", patience)
        return max((ends[note] for note in begun), default=at)

    def until_silent(self, patience: float = PATIENCE) -> float:
        """Wait until nothing sounds; when the last note ended."""
        self.until(lambda: not self.sounding(), "silence", patience)
        return max((h.at for h in list(self.heard) if h.off), default=0.0)

    def check_pairs(self) -> None:
        """Every note-on has had its note-off, before the same pitch began again."""
        begun: dict[tuple[int, int], float] = {}
        for heard in list(self.heard):
            if heard.on:
                assert heard.note not in begun, f"{heard.note} begins twice, at {heard.at}"
                begun[heard.note] = heard.at
            elif heard.off:
                begun.pop(heard.note, None)
        assert not begun, f"these hang: {begun}"
