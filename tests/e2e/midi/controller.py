"""A controller and a DAW: a process of its own that plays MIDI by the clock and writes down all.

    python -m tests.e2e.midi.controller

It knows nothing of Sideman. What it is told comes as JSON, one object a line, on stdin:

* ``{"open": NAME, "way": "in" | "out"}`` makes a port that others can connect to;
* ``{"connect": PART, "way": ..., "name": NAME}`` connects a port of its own to the first one of
  somebody else's whose name contains PART; it waits until there is one;
* ``{"close": NAME}`` takes a port away, as pulling its cable does;
* ``{"send": [[SECONDS, NAME, HEX], ...], "number": N}`` sends each message at its moment on the
  monotonic clock;
* ``{"forget": true}`` drops what is not sent yet;
* ``{"loop": NAME, "to": NAME}`` sends what comes in by one port out by another, as a cable does.

What it has to say goes to stdout in the same way: ``{"heard": HEX, "port": NAME, "at": SECONDS}``
for each message that came, ``{"ready": NAME}`` or ``{"missing": PART}`` for a port, ``{"closed":
NAME}``, and ``{"sent": N, "late": SECONDS}`` when nothing is left to send: the number of the last
order, and the most that a message went out after its moment.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from queue import SimpleQueue
from typing import Any

import rtmidi

CONNECT_SECONDS = 10.0
"""Patience with somebody else's port."""

PRIORITY = 5
"""In real time, of 1 to 99."""

CLIENT = "controller"
API = rtmidi.API_UNIX_JACK

LISTEN_EVERY = 0.0005
"""Seconds between two looks at what came in."""

QUEUE = 2**14
"""Messages that RtMidi keeps for us."""


class Ear:
    """An input whose messages are queued and stamped by RtMidi.

    No Python runs on JACK's thread: it would wait for this process's other threads, the server
    would not wait for it, and messages of everybody else would be lost, or come twice.
    """

    def __init__(self) -> None:
        self.port = rtmidi.MidiIn(API, name=CLIENT, queue_size_limit=QUEUE)
        self.port.ignore_types(sysex=False, timing=False, active_sense=False)
        self._elapsed = 0.0
        self._begun = inf

    def heard(self) -> Iterator[tuple[float, bytes]]:
        """What came since the last look, and when: RtMidi says how long after the one before, and
        the first came when it was seen, or before, as any later one shows that is seen sooner.
        """
        while (event := self.port.get_message()) is not None:
            message, since = event
            self._elapsed += since
            self._begun = min(self._begun, time.monotonic() - self._elapsed)
            yield self._begun + self._elapsed, bytes(message)


class Controller:
    """Ports by name, and what they are to send when."""

    def __init__(self) -> None:
        self._ports: dict[str, Any] = {}
        self._due: list[tuple[float, int, str, bytes]] = []
        self._numbers = itertools.count()
        self._loops: dict[str, str] = {}
        self._order = 0
        self._late = 0.0
        self._says: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._ears: dict[str, Ear] = {}
        self._lock = threading.Lock()
        """Held while inputs are looked at, and while one is opened or closed."""
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._write, daemon=True).start()

    def run(self) -> None:
        """Until stdin ends."""
        unread = b""
        while True:
            left = self._due[0][0] - time.monotonic() if self._due else None
            if left is None or left > 0:
                ready, _, _ = select.select([sys.stdin], [], [], left)
                if ready:
                    data = os.read(sys.stdin.fileno(), 2**16)
                    if not data:
                        return
                    *lines, unread = (unread + data).split(b"\n")
                    for line in lines:
                        self._obey(json.loads(line))
            self._send_due()

    def _send_due(self) -> None:
        while self._due and self._due[0][0] <= (now := time.monotonic()):
            at, _, name, message = heapq.heappop(self._due)
            if name in self._ports:
                self._ports[name].send_message(message)
            self._late = max(self._late, now - at if at else 0.0)
            if not self._due:
                self._says.put({"sent": self._order, "late": self._late})
                self._late = 0.0

    def _obey(self, order: dict[str, Any]) -> None:
        match order:
            case {"open": name, "way": way}:
                with self._lock:
                    self._ports[name] = port = self._port(name, way)
                    port.open_virtual_port(name)
                self._says.put({"ready": name})
            case {"connect": part, "way": way, "name": name}:
                self._connect(part, way, name)
            case {"close": name}:
                with self._lock:
                    self._ears.pop(name, None)
                    self._ports.pop(name).delete()
                self._says.put({"closed": name})
            case {"send": messages, "number": number}:
                self._order = number
                for at, name, message in messages:
                    entry = (at, next(self._numbers), name, bytes.fromhex(message))
                    heapq.heappush(self._due, entry)
            case {"forget": True}:
                self._due.clear()
            case {"loop": name, "to": other}:
                self._loops[name] = other

    def _port(self, name: str, way: str) -> Any:
        if way == "out":
            return rtmidi.MidiOut(API, name=CLIENT)
        self._ears[name] = ear = Ear()
        return ear.port

    def _connect(self, part: str, way: str, name: str) -> None:
        with self._lock:
            port = self._port(name, way)
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            found = [i for i, other in enumerate(port.get_ports()) if part in other]
            if found:
                port.open_port(found[0], name)
                self._ports[name] = port
                self._says.put({"ready": name})
                return
            if time.monotonic() > deadline:
                self._says.put({"missing": part, "ports": port.get_ports()})
                return
            time.sleep(0.01)

    def _listen(self) -> None:
        while True:
            time.sleep(LISTEN_EVERY)
            with self._lock:
                for name, ear in self._ears.items():
                    for at, message in ear.heard():
                        if name in self._loops:
                            self._ports[self._loops[name]].send_message(message)
                        self._says.put({"heard": message.hex(), "port": name, "at": at})

    def _write(self) -> None:
        while True:
            print(json.dumps(self._says.get()), flush=True)


def go_first() -> None:
    """As a DAW does, where the system allows it."""
    if hasattr(os, "sched_setscheduler"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))


if __name__ == "__main__":
    go_first()
    Controller().run()
