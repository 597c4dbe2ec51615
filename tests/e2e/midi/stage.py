"""A real ``sideman serve`` with MIDI ports, and who plays to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import psutil

from tests.e2e.client import Client
from tests.e2e.engine import Engine
from tests.e2e.midi.daw import STOP, Daw, Run
from tests.e2e.midi.musician import Musician
from tests.e2e.osc import Scalar
from tests.support.jack import Server

CHANNEL = 1
"""What the musician plays on, and the track."""

CONTROL = 16
BPM = 240.0
BEATS = 4.0
PHRASE = [(i / 2, 0.5, pitch) for i, pitch in enumerate((60, 62, 64, 67, 69, 67, 64, 62))]
"""A bar of eighths: beat, duration, pitch."""

TRIGGERS = {
    36: "continue", 37: "variation", 38: "undo", 39: "redo", 40: "keep", 41: "panic", 42: "discard",
}  # fmt: skip
"""Pads of the control channel."""

CONFIG = "\n".join(
    ["[triggers]", *(f'"{CONTROL} note {pad}" = "{do}"' for pad, do in TRIGGERS.items())]
)
PAD = {do: pad for pad, do in TRIGGERS.items()}

WORKER, PLAYER = "engine.worker.process", "bridge.midi.process"


class MidiEngine(Engine):
    """An engine that plays through JACK, with the pads of :data:`TRIGGERS`."""

    OPTIONS: ClassVar = ["--osc-port", "0", "--no-panel", "--midi-api", "jack"]

    def __init__(self, home: Path, jack: Server, *options: str, config: str = "") -> None:
        """``config`` is put before the triggers."""
        file = home / "sideman.toml"
        file.write_text(f"{config}\n{CONFIG}\n", encoding="utf-8")
        super().__init__(home, "--config", str(file), *options, environment=jack.environment)

    def _children(self, module: str) -> list[psutil.Process]:
        return [child for child in super().workers() if module in child.cmdline()]

    def workers(self) -> list[psutil.Process]:
        """The processes that hold the model."""
        return self._children(WORKER)

    def player(self) -> psutil.Process:
        """The process that plays MIDI."""
        (player,) = self._children(PLAYER)
        return player

    def until_logged(self, words: str, since: int = 0, patience: float = 20.0) -> int:
        """Wait until the log says it, after its first ``since`` characters; the log's length."""
        return self._until(lambda log: words in log[since:], f"{words!r} in the log", patience)

    def _until(self, fits: Callable[[str], bool], what: str, patience: float) -> int:
        deadline = time.monotonic() + patience
        while not fits(log := self.log.read_text(encoding="utf-8")):
            assert time.monotonic() < deadline, f"no {what}: {log[-2000:]}"
            time.sleep(0.01)
        return len(log)


class Stage:
    """One engine and one musician, wired to each other by ports of their own.

    The musician's ports are called ``Keys`` and ``Synth``, and the engine is told to open those;
    with ``name`` other stages may stand on the same server.
    """

    def __init__(
        self, home: Path, jack: Server, *options: str, name: str = "1", config: str = ""
    ) -> None:
        self.keys, self.synth = f"Keys {name}", f"Synth {name}"
        self.musician = Musician(jack)
        self.musician.open(self.keys, "out")
        self.musician.open(self.synth, "in")
        ports = ("--midi-in", self.keys, "--midi-out", self.synth)
        self.engine = MidiEngine(home, jack, *ports, *options, config=config)
        self.client = Client(self.engine)
        try:
            self.client.until("ready")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Everybody goes home."""
        self.client.__exit__()
        self.engine.stop()
        self.musician.__exit__()

    def roll(self, beats: float, bpm: float = BPM) -> Run:
        """The DAW starts at the song's begin, and the musician plays a phrase of one bar."""
        daw = Daw(time.monotonic() + 0.1, bpm)
        daw.wait(1.0)
        run = daw.start()
        daw.add_notes(run, CHANNEL, PHRASE)
        daw.play(beats)
        self.musician.play(self.keys, daw.events)
        return run

    def play_on(self, beats: float = 64.0, **keys: Scalar) -> Run:
        """The same, and then the pad: returns when the first note of the take sounds."""
        for name, value in ({"bars": 8} | keys).items():
            self.client.ask("/sideman/set", name, value)
        run = self.roll(beats)
        self.pad("continue", run.seconds(BEATS - 0.7))
        self.musician.next_on(run.seconds(BEATS - 0.5))
        return run

    def rest(self) -> None:
        """The DAW stops, and everything is as it was: no take, no request."""
        self.musician.forget()
        self.musician.send(self.keys, bytes([STOP]))
        self.musician.until_silent()
        self.client.ask("/sideman/cancel", 0)
        self.client.ask("/sideman/track/clear", CHANNEL)
        self.client.rest()

    def pad(self, action: str, at: float = 0.0) -> None:
        """Press the pad of an action, and let go of it."""
        pad = PAD[action]
        events = [(at, bytes([0x9F, pad, 100])), (at and at + 0.01, bytes([0x8F, pad, 0]))]
        self.musician.play(self.keys, events)
