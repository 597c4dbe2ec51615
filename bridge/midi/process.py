"""The process that plays: MIDI at its moment, and nothing that computes beside it.

It holds no model and no session. What is to be played comes from the engine with its place in the
song, long before its moment; this process sleeps until just before, spins the rest, and sends. If
the engine goes, however it goes, this one ends every note and goes too.

Threads: the main one sends. One reads the engine's line, one writes to it, one looks after the
ports, and the MIDI system has its own, which bring what comes in.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bridge import midi_bytes
from bridge.clocks.midi_clock_out import ClockOut
from bridge.midi import gestures, wire
from bridge.midi.breaks import Breaks
from bridge.midi.echo import Echo
from bridge.midi.player import Player
from bridge.midi.ports import Ports, System, open_system
from bridge.midi.trace import Trace
from bridge.midi.wakes import Wakes
from engine import garbage, priority
from engine.errors import SidemanError
from engine.triggers import Trigger
from engine.worker.inbox import Inbox
from engine.worker.wire import Message, frame

LOOK_EVERY = 0.5
"""Seconds between two looks at which ports are there."""

LEAST_BREAK, LONG_BREAK = 0.004, 0.05
"""Seconds without a note: to look for ports at least, and to open one or to sweep up."""

MOST_UNSAID = 65_536
"""Messages that wait for an engine that takes none; the oldest are lost first."""

TELL_EVERY = 0.25
"""Seconds between two reports of what was sent."""


class Outlet:
    """Says what came in, on a thread of its own: whoever hears a note need not wait for a pipe."""

    def __init__(self, line: BinaryIO) -> None:
        self._line = line
        self._heard: deque[tuple[int, float, bytes]] = deque()
        self._said: deque[Message] = deque()
        self._lost = 0
        self._some = threading.Event()
        threading.Thread(target=self._write, name="outlet", daemon=True).start()

    def heard(self, port: int, data: bytes, now: float) -> None:
        """A message came in. On a thread of the MIDI system."""
        if len(self._heard) >= MOST_UNSAID:
            self._heard.popleft()
            self._lost += 1
        self._heard.append((port, now, data))
        self._some.set()

    def say(self, message: Message) -> None:
        """Anything else. On any thread."""
        self._said.append(message)
        self._some.set()

    def _write(self) -> None:
        with suppress(OSError):  # the engine has gone: the main thread sees it too
            self._write_on()

    def _write_on(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            while self._said:
                self._line.write(frame(self._said.popleft()))
            messages = []
            while self._heard:
                messages.append(self._heard.popleft())
            if messages:
                lost, self._lost = self._lost, 0
                self._line.write(frame(wire.Heard(messages, lost)))
            self._line.flush()


class Musician:
    """What the engine's messages do. The main thread's, but for :meth:`hear`."""

    def __init__(
        self,
        say: Callable[[Message], None],
        heard: Callable[[int, bytes, float], None],
        trace: Trace | None = None,
        push: Callable[[wire.ToPlayer], None] = lambda message: None,
        system: Callable[[str], System] = lambda api: open_system(api, sys.platform),
    ) -> None:
        self._say = say
        self._heard = heard
        self._trace = trace
        self._push = push
        self._panics: frozenset[Trigger] = frozenset()
        self._system = system
        self._ports: Ports | None = None
        self._echo = Echo()
        self._thru = False
        self._thru_keys: set[tuple[int, int]] = set()
        self._ended = threading.Event()
        self._breaks = Breaks()
        self._sweeper = garbage.Sweeper()
        self._seconds = time.monotonic
        self._notes = 0
        self._worst = 0.0
        self._tell_at = 0.0
        self.player = Player(self._send, sent=self._was_sent)
        self._clock: ClockOut | None = None

    # From the engine

    def obey(self, message: wire.ToPlayer, now: float) -> None:
        """Do what the engine says."""
        match message:
            case wire.Play(track, notes, late):
                self.player.play(track, notes, late)
            case wire.Follow():
                self.player.follow(message.course, now)
                if self._clock is not None:
                    self._send_all(self._clock.follow(message.course, now))
            case wire.Cut(track, start, end, sounding):
                self.player.cut(track, start, end, sounding=sounding)
            case wire.Silence():
                self.player.silence()
                self._thru_keys.clear()
            case wire.Release(keys):
                self.player.release(keys)
            case wire.Send(data):
                if self._ports is not None:
                    self._ports.send(data, "lights")
            case wire.PanicBy(triggers):
                self._panics = frozenset(triggers)
            case wire.Open():
                self._open(message)

    def _open(self, asked: wire.Open) -> None:
        self._echo = Echo(asked.echo_seconds)
        self._thru = asked.thru
        self.player = Player(self._send, asked.late_seconds, self._was_sent)
        self._clock = ClockOut() if asked.send_clock else None
        try:
            system = self._system(asked.api)
        except SidemanError as problem:
            self._say(wire.Opened("", problem.text))
            return
        self._ports = Ports(system, asked.ports, self.hear, self._changed)
        self._ports.look()
        self._ports.before_long = lambda: self._breaks.wait(LONG_BREAK)
        self._say(wire.Opened(system.name))
        threading.Thread(target=self._look, name="ports", daemon=True).start()

    def _look(self) -> None:
        """Look after the ports now and then, in breaks of the music. A thread of its own."""
        assert self._ports is not None
        priority.go_first(behind=1)
        takes = LEAST_BREAK
        while not self._ended.wait(LOOK_EVERY):
            self._breaks.wait(takes)
            begun = time.monotonic()
            self._ports.look()
            ended = time.monotonic()
            takes = min(LONG_BREAK, max(LEAST_BREAK, 2.0 * (ended - begun)))
            if self._trace is not None:
                self._trace.looked(begun, ended)

    def _changed(self, number: int, name: str, problem: str) -> None:
        self._say(wire.PortState(number, name, problem))

    # From the ports

    def hear(self, port: int, data: bytes) -> None:
        """A message came in. On a thread of the MIDI system."""
        now = self._seconds()
        if not data:
            return
        if data[0] < midi_bytes.SYSEX:
            assert self._ports is not None
            with self._ports.lock:
                if self._echo.is_echo(data, now):
                    return
                if self._thru:
                    self._pass_on(data)
            if self._panics:
                gesture = gestures.read(data)
                if gesture is not None and gesture.presses and gesture.trigger in self._panics:
                    self._push(wire.Silence())
        self._heard(port, data, now)

    def _pass_on(self, data: bytes) -> None:
        """Send on what came in, and know which of its notes sound."""
        _, channel = midi_bytes.split(data[0])
        if midi_bytes.begins_note(data):
            self._thru_keys.add((channel, data[1]))
        elif midi_bytes.ends_note(data):
            self._thru_keys.discard((channel, data[1]))
        self._send(data)

    # To the ports

    def _send(self, data: bytes) -> None:
        if self._ports is None:
            return
        with self._ports.lock:
            if data[0] < midi_bytes.SYSEX:
                self._echo.sent(data, self._seconds())
            self._ports.send(data)

    def _send_all(self, messages: list[bytes]) -> None:
        for data in messages:
            self._send(data)

    def _was_sent(self, deadline: float, now: float) -> None:
        late = self._seconds() - deadline
        self._notes += 1
        self._worst = max(self._worst, late)
        if self._trace is not None:
            self._trace.sent(deadline, deadline + late)

    # Time

    def next_moment(self, now: float) -> float | None:
        """When :meth:`play` has something to do."""
        note = self.player.next_moment()
        tick = None if self._clock is None else self._clock.next_moment(now)
        return min((moment for moment in (note, tick) if moment is not None), default=None)

    def play(self, now: float) -> None:
        """Send what is due."""
        self.player.play_due(now)
        if self._clock is not None:
            self._send_all(self._clock.due(now))

    def rest(self, now: float, seconds: float) -> None:
        """There is nothing to send for so long: time for what would hold up a note."""
        self._tell(now)
        self._breaks.begin(seconds)
        if seconds >= LONG_BREAK:
            self._sweeper.idle(now)

    def _tell(self, now: float) -> None:
        """Say now and then how the sending goes."""
        if now < self._tell_at or not (self._notes or self.player.dropped):
            return
        self._tell_at = now + TELL_EVERY
        self._say(wire.Sent(self._notes, self.player.dropped, self._worst * 1000.0))
        self._notes, self._worst, self.player.dropped = 0, 0.0, 0

    def close(self) -> None:
        """End every note, and give the ports back."""
        self._ended.set()
        self.player.release(sorted(self._thru_keys))
        self.player.close()
        if self._ports is not None:
            time.sleep(FAREWELL)
            self._ports.close()


FAREWELL = 0.05
"""Seconds that a MIDI system is given to carry the last note offs before its ports close."""


def play(inbox: Inbox[wire.ToPlayer], musician: Musician, trace: Trace | None = None) -> None:
    """Play until the engine has gone."""
    wakes = Wakes()
    while not inbox.closed:
        now = time.monotonic()
        moment = musician.next_moment(now)
        if moment is not None and moment - now <= wakes.margin:
            while time.monotonic() < moment:
                pass
            musician.play(time.monotonic())
        # One message at a time: what is due goes before whatever else the engine has to say.
        if (message := inbox.take()) is not None:
            begun = time.monotonic()
            musician.obey(message, begun)
            if trace is not None:
                trace.obeyed(time.monotonic() - begun)
            continue
        now = time.monotonic()
        moment = musician.next_moment(now)
        until = now + LOOK_EVERY if moment is None else moment - wakes.margin
        if until > now:
            musician.rest(now, until - now)
            if trace is not None:
                trace.sleeps()
            inbox.wait(until - time.monotonic())
            woken = time.monotonic()
            wakes.woke(until, woken)
            if trace is not None:
                trace.woke(until, woken)
    musician.close()


def main() -> int:
    """Talk over stdin and stdout until the other side is gone. ``--trace FILE`` writes down how
    each note on went out; see :mod:`bridge.midi.trace`."""
    line = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    sys.setswitchinterval(0.0002)
    priority.go_first(behind=1)
    trace = Trace() if "--trace" in sys.argv else None
    outlet = Outlet(line)
    inbox = Inbox(sys.stdin.buffer, wire.for_player)
    priority.go_first()  # those threads stand behind this one
    musician = Musician(outlet.say, outlet.heard, trace, inbox.push)
    # Who ends us in order gets an end in order: every note off.
    signal.signal(signal.SIGTERM, lambda *_: inbox.close())
    garbage.settle()
    gc.disable()  # what there is to collect lies until there is a break
    play(inbox, musician, trace)
    if trace is not None:
        trace.write(Path(sys.argv[sys.argv.index("--trace") + 1]))
    return 0


if __name__ == "__main__":
    status = 0
    with suppress(BrokenPipeError, KeyboardInterrupt):
        status = main()
    # Threads that wait for a line or a port would keep the interpreter from ending in order.
    os._exit(status)
