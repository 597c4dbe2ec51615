"""``sideman demo``: a phrase goes into a running engine by OSC, as from a DAW, and comes back.

What this prints is what a DAW would see, and when.
"""

from __future__ import annotations

import json as jsons
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridge.files.midi_file import MidiSong, MidiTrack, Tempo, write_midi
from bridge.files.render import render_midi
from bridge.osc.client import OscClient
from bridge.phrase import BARS, BPM, PROGRAMS, phrase
from engine.errors import Code, SidemanError
from engine.messages import Scalar, parse_reply
from engine.messages.replies import Accepted, ClipClose, ClipNote, ClipOpen, Done, Fail, Late
from engine.music import DRUM_CHANNEL, DRUMS, TICKS_PER_BEAT, MeterMap, Note, Position, ticks

TAKE_BARS = 8
REQ = 1
PATIENCE = 60.0
"""Seconds after which the engine is given up; the first start compiles its model's step."""

LIVE_FROM = 6
"""The phrase is played in tempo from this bar on."""

TRIGGER_BEAT = 3.0
"""The trigger comes here in the phrase's last bar, a beat before the bar line."""

SECONDS_PER_TICK = 60.0 / BPM / TICKS_PER_BEAT


@contextmanager
def running_engine(sessions: Path, *options: str) -> Iterator[tuple[str, int]]:
    """A ``sideman serve`` of its own, on a free port; its host and port."""
    command = [sys.executable, "-m", "engine", "--osc-port", "0", "--no-midi", "--no-panel"]
    process = subprocess.Popen(
        [*command, "--sessions", str(sessions), *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready "):
            raise SidemanError(Code.WORKER_DIED, "the engine did not start; run sideman doctor")
        fields = dict(part.split("=", 1) for part in line.split()[1:])
        host, port = fields["osc"].rsplit(":", 1)
        yield host, int(port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(client: OscClient) -> None:
    """Until the model is loaded. Raises where that does not come to pass."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        reply = client.ask("/sideman/status")
        if reply.args()[0] in ("ready", "generating"):
            return
        if reply.args()[0] == "degraded":
            break
        time.sleep(0.05)
    raise SidemanError(Code.WORKER_DIED, "the engine found no model to play; run sideman doctor")


class Watch:
    """Prints what comes, and keeps the notes. Times are from the trigger on."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._begun = time.monotonic()
        self.bar_line = self._begun + (4.0 - TRIGGER_BEAT) * 60.0 / BPM
        self.rows: list[ClipNote] = []
        self.events: list[dict[str, Any]] = []
        self.first_note_ms: float | None = None

    def saw(self, what: str, **facts: Any) -> None:
        """One thing that arrived."""
        ms = (time.monotonic() - self._begun) * 1000.0
        self.events.append({"ms": round(ms, 2), "what": what, **facts})
        if not self._quiet:
            detail = "  ".join(f"{name} {value}" for name, value in facts.items())
            print(f"{ms:9.1f} ms  {what:<10} {detail}")

    def note(self, note: ClipNote) -> None:
        """A note arrived; only the first of each bar is printed."""
        if self.first_note_ms is None:
            self.first_note_ms = (time.monotonic() - self._begun) * 1000.0
        if not self.rows or self.rows[-1].bar != note.bar:
            early = self.bar_line + (note.bar - BARS) * 240.0 / BPM - time.monotonic()
            self.saw("bar", bar=note.bar, early_s=round(early, 2))
        self.rows.append(note)


def run_demo(output: Path, *, seed: int, json: bool) -> int:
    """Play the demo into the folder ``output``. Returns the exit status."""
    output.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="sideman-demo-") as folder,
        running_engine(Path(folder)) as (host, port),
        OscClient(host, port) as client,
    ):
        started = time.monotonic() - begun
        client.hello("demo")
        wait_until_ready(client)
        if not json:
            print(f"engine on {host}:{port}, answering after {started:.2f} s")
            print(
                f"a phrase of {BARS} bars goes in, the last {BARS - LIVE_FROM} played live;"
                " the trigger comes a beat before its end"
            )
        play_phrase(client)
        watch = Watch(json)
        keys = ("preset", "trio", "bars", TAKE_BARS, "seed", seed)
        client.send("/sideman/continue", REQ, "piano", *keys)
        collect(client, watch)
    files = write(output, watch.rows)
    report(watch, files, json)
    return 0


def play_phrase(client: OscClient) -> None:
    """Play the phrase to the engine, as a DAW would, up to the moment of the trigger.

    What lies before `LIVE_FROM` is the song's past; the rest is played note by note, in tempo.
    """
    live: list[tuple[int, tuple[Scalar, ...]]] = []
    for number, (name, notes) in enumerate(phrase().items(), 1):
        client.send("/sideman/track/set", number, "name", name)
        if PROGRAMS[name] == DRUMS:
            client.send("/sideman/track/set", number, "drums", 1)
        else:
            client.send("/sideman/track/set", number, "program", PROGRAMS[name])
        for n in notes:
            if n.bar < LIVE_FROM:
                place = (n.bar, n.beat, n.duration_beats)
                client.send("/sideman/track/note", number, n.pitch, n.velocity, *place)
            else:
                onset = MeterMap().absolute(n.onset)
                on = ("/sideman/track/on", number, n.pitch, n.velocity)
                live.append((onset, on))
                live.append((onset + n.duration - 1, ("/sideman/track/off", number, n.pitch)))
        client.sync(number)
    begun = time.time()
    client.send("/sideman/transport", 1, BPM, LIVE_FROM, 0.0, 4, 4)
    start = MeterMap().start(LIVE_FROM)
    for tick, message in sorted(live):
        client.send_bundle(begun + (tick - start) * SECONDS_PER_TICK, [message])
    trigger = MeterMap().start(BARS - 1) + ticks(TRIGGER_BEAT)
    time.sleep(max(0.0, begun + (trigger - start) * SECONDS_PER_TICK - time.time()))


def collect(client: OscClient, watch: Watch) -> None:
    """Everything up to the request's last word."""
    while True:
        message = client.receive(PATIENCE)
        reply = parse_reply(message.address, message.args)
        match reply:
            case Accepted():
                watch.saw("accepted", bar=reply.bar, eta_ms=round(reply.eta_ms, 1))
            case ClipOpen():
                watch.saw("open", take=reply.take, bar=reply.bar, bars=reply.bars)
            case ClipNote():
                watch.note(reply)
            case ClipClose():
                watch.saw("close", take=reply.take, notes=reply.count)
            case Late():
                watch.saw("late", ms=round(reply.ms, 1), rule=reply.rule)
            case Done(subject) if subject == REQ:
                watch.saw("done")
                return
            case Fail():
                raise SidemanError(Code(reply.code), reply.text)


def write(output: Path, rows: list[ClipNote]) -> list[Path]:
    """The take by itself, and the phrase with the take after it; each as MIDI and as sound."""
    programs = {1: PROGRAMS["piano"], 2: PROGRAMS["bass"], DRUM_CHANNEL: DRUMS}
    first = min(row.bar for row in rows) // TAKE_BARS * TAKE_BARS if rows else BARS
    take = [
        Note(
            row.bar - first, ticks(row.beat), programs.get(row.channel, 0), row.pitch,
            ticks(row.duration), row.velocity,
        )
        for row in rows
    ]  # fmt: skip
    before = [note for notes in phrase().values() for note in notes]
    after = [
        Note(n.bar + BARS, n.tick, n.program, n.pitch, n.duration, n.velocity) for n in take
    ]
    files = []
    for name, notes, bars in (
        ("take", take, TAKE_BARS),
        ("phrase-and-take", before + after, BARS + TAKE_BARS),
    ):
        song = _song(notes, bars)
        write_midi(output / f"{name}.mid", song)
        render_midi(song, output / f"{name}.wav")
        files += [output / f"{name}.mid", output / f"{name}.wav"]
    return files


def _song(notes: list[Note], bars: int) -> MidiSong:
    tracks = tuple(
        MidiTrack(
            name,
            program,
            tuple(sorted(n for n in notes if n.program == program)),
            channel=DRUM_CHANNEL if program == DRUMS else None,
        )
        for name, program in PROGRAMS.items()
    )
    end = MeterMap().absolute(Position(bars))
    return MidiSong(tracks, MeterMap(), (Tempo.of_bpm(BPM),), end)


def report(watch: Watch, files: list[Path], json: bool) -> None:
    """What was made, and where it lies."""
    ahead = [e["early_s"] for e in watch.events if e["what"] == "bar"]
    facts = {
        "notes": len(watch.rows),
        "first_note_ms": round(watch.first_note_ms or 0.0, 2),
        "least_time_in_hand_s": min(ahead, default=0.0),
        "files": [str(path) for path in files],
    }
    if json:
        print(jsons.dumps({**facts, "events": watch.events}))
        return
    print(
        f"\n{facts['notes']} notes; the first {facts['first_note_ms']} ms after the trigger, each"
        f" bar at least {facts['least_time_in_hand_s']} s before its bar line"
    )
    for path in files:
        print(path)
