"""Who plays a song by the clock and is compared: Sideman and others, in processes of their own."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bench.peers.slices import TICKS_PER_BEAT, Event
from bench.tools import ROOT, one_thread
from bridge.measure import BAND
from bridge.midi import wire
from bridge.midi.trace import Traced, read
from engine.timing import Timed
from engine.worker.link import Line

BPM = 300.0
"""Faster than anybody plays: 100,000 notes at 120 BPM would take most of an hour."""

BEATS = 4
BAR = BEATS * TICKS_PER_BEAT
STEP = TICKS_PER_BEAT // 4
ASIDE = 12
"""Ticks that a track may be off the grid; 2.5 ms."""

DENSITY, MOST_AT_ONCE = 0.8, 4
LONGEST = STEP - 2 * ASIDE - 1
"""Ticks: no note meets the next one of its pitch."""

AHEAD = 1.0
"""Seconds before its first note that a bar is told to Sideman's player."""

LEAD = 0.4
"""Seconds to get ready for a slice."""

PATIENCE = 10.0
"""Seconds for a process to start or to end."""


class Note(NamedTuple):
    """One note of the song; ticks from the slice's begin, channels 1 to 16."""

    onset: int
    end: int
    channel: int
    pitch: int
    velocity: int


CHANNEL = attrgetter("channel")


def song(bars: int, seed: int) -> list[Note]:
    """Four tracks of sixteenths, in order of onset; each a little beside the grid."""
    chance = random.Random(seed)
    notes = []
    for step in range(bars * BEATS * 4):
        for channel in range(1, len(BAND) + 1):
            if chance.random() >= DENSITY:
                continue
            onset = max(0, step * STEP + chance.randint(-ASIDE, ASIDE))
            for pitch in chance.sample(range(36, 96), chance.randint(1, MOST_AT_ONCE)):
                end = onset + chance.randint(STEP // 4, LONGEST)
                notes.append(Note(onset, end, channel, pitch, chance.randint(40, 120)))
    return sorted(notes)


def events(notes: list[Note]) -> list[Event]:
    """The same as ons and offs, in order; what ends goes before what begins."""
    ons = [Event(n.onset, n.channel - 1, n.pitch, n.velocity) for n in notes]
    offs = [Event(n.end, n.channel - 1, n.pitch, 0) for n in notes]
    return sorted(ons + offs, key=lambda event: (event.tick, event.velocity > 0))


def seconds(tick: float) -> float:
    """How long so many ticks last."""
    return tick * 60.0 / (BPM * TICKS_PER_BEAT)


class Sender(Protocol):
    """Somebody who plays."""

    about: str
    notes: int
    """That were given to it."""

    def play(self, notes: list[Note]) -> None:
        """Play a slice; returns once it is over."""
        ...

    def errors(self) -> list[float]:
        """End, and say by how many seconds each note that was sent missed its moment."""
        ...


class Peer:
    """Another sender, in a process of its own."""

    def __init__(self, python: str, module: str, system: str) -> None:
        """Raises ``RuntimeError`` with its last words where it can't run here."""
        self._process = subprocess.Popen(
            [python, "-W", "ignore", "-m", f"bench.peers.{module}"],
            cwd=ROOT, env=one_thread(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.about: str = self._ask(system=system)["about"]
        self.notes = 0
        self._errors: list[float] = []

    def _ask(self, **task: object) -> Any:
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None and stdout is not None and stderr is not None
        try:
            stdin.write(json.dumps(task) + "\n")
            stdin.flush()
            return json.loads(stdout.readline())
        except (BrokenPipeError, ValueError):
            words = stderr.read().strip().splitlines()
            raise RuntimeError(words[-1] if words else "it ended without a word") from None

    def play(self, notes: list[Note]) -> None:
        """Play a slice; it has all of it beforehand."""
        piece = events(notes)
        answer = self._ask(start=time.monotonic() + LEAD, bpm=BPM, events=piece)
        due = [answer["begun"] + seconds(event.tick) for event in piece if event.velocity]
        self._errors += [at - moment for at, moment in zip(answer["sent"], due, strict=True)]
        self.notes += len(notes)

    def errors(self) -> list[float]:
        """End, and say by how much each note missed its moment."""
        self._process.kill()
        self._process.communicate()
        return self._errors


class Ours:
    """Sideman's player process, on the line that the engine has to it."""

    def __init__(self, about: str, system: str, command: tuple[str, ...] = ()) -> None:
        """``command`` stands before the one that starts the process."""
        self.about = about
        self.notes = 0
        self.traced = Traced([], [])
        """How each note went out; once :meth:`errors` was asked."""
        self._folder = tempfile.TemporaryDirectory(prefix="sideman-bench-")
        self._trace = Path(self._folder.name) / "trace"
        self._opened = threading.Event()
        player = (sys.executable, "-m", "bridge.midi.process", "--trace", str(self._trace))
        self._line = Line(self._said, wire.from_player, command=(*command, *player))
        port = wire.Port("out", "Sideman Out", virtual=True)
        self._line.send(wire.Open(api=system, ports=[port]))
        if not self._opened.wait(PATIENCE):
            raise RuntimeError("Sideman's player did not start")

    def _said(self, _: object, message: wire.FromPlayer | None) -> None:
        if isinstance(message, wire.Opened):
            self._opened.set()

    def play(self, notes: list[Note]) -> None:
        """Play a slice, told bar by bar as the engine does it."""
        start = time.monotonic() + LEAD
        self._line.send(wire.Follow(start, 0.0, BPM * TICKS_PER_BEAT / 60.0, True))
        for bar, in_bar in groupby(notes, lambda note: note.onset // BAR):
            rest(start + seconds(bar * BAR) - AHEAD)
            for track, of_track in groupby(sorted(in_bar, key=CHANNEL), CHANNEL):
                self._line.send(wire.Play(track, [Timed(*note) for note in of_track]))
        rest(start + seconds(notes[-1].end) + LEAD)
        self.notes += len(notes)

    def errors(self) -> list[float]:
        """End, and say by how much each note missed its moment."""
        self._line.close(PATIENCE)
        self.traced = read(self._trace)
        self._folder.cleanup()
        return [note.at - note.deadline for note in self.traced.notes]


def rest(until: float) -> None:
    """Sleep until a moment."""
    time.sleep(max(0.0, until - time.monotonic()))


WITHOUT_REAL_TIME = ("setpriv", "--bounding-set=-sys_nice", "--")


def without_real_time(api: str) -> list[Sender]:
    """Sideman's player as a user has it who may not run in real time, where we can show that."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None:
        return []
    return [Ours("Sideman, without leave to run in real time", api, WITHOUT_REAL_TIME)]
