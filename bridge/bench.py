"""``sideman bench``: how fast this machine plays, and what the engine remembers of it.

Measured as a musician would notice it, at an engine of its own and by OSC; only the decoding step
is measured inside. Deadlines are reckoned with what is stored until the engine knows better.
"""

from __future__ import annotations

import json as jsons
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

if TYPE_CHECKING:
    from bridge.measure import Spread

FORMAT = 1
TRIGGERS = 30
TAKES = 10
PINGS = 200
STEPS = 500
SOUND_FRAMES = 100
SETTLE = 0.1
"""Seconds between the last note played and the trigger."""

HALF_A_BAR = 1.0
"""Seconds, at 120 BPM. Who takes longer for a bar makes nothing ahead: it would come too late, and
keep a core busy all the time."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What deadlines rest on, as this machine measured it."""

    step_seconds: float
    """One decoding step of one sequence."""
    token_seconds: float
    """The same with the grammar and the sampling."""
    bar_tokens: float
    """Tokens in a bar of a take."""

    @property
    def thinks_ahead(self) -> bool:
        """Whether speculation is worth it."""
        return self.bar_tokens * self.token_seconds <= HALF_A_BAR


def file() -> Path:
    """Where it is stored."""
    return platformdirs.user_data_path("sideman", appauthor=False) / "bench.json"


def stored() -> Stored | None:
    """What ``sideman bench`` found on this machine; None where it has not been run, or long ago."""
    try:
        found = jsons.loads(file().read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            return None
        values = [float(found["speed"][name]) for name in Stored.__slots__]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Stored(*values) if all(0 < value < float("inf") for value in values) else None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    unit: str
    spread: Spread


def run_bench(*, json: bool) -> int:
    """Measure, store, and show. Returns the exit status."""
    from bridge.files.atomic import replacing

    model, speed, step = _decoding()
    rows = [step, *_playing(), *_midi(), *_sound()]
    facts = {
        "format": FORMAT,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "model": model,
        "speed": asdict(speed),
        "speculation": speed.thinks_ahead,
        "rows": [{"what": r.what, "unit": r.unit, **asdict(r.spread)} for r in rows],
    }
    with replacing(file()) as path:
        path.write_text(jsons.dumps(facts, indent=1), encoding="utf-8")
    if json:
        print(jsons.dumps(facts))
    else:
        _show(model, rows, speed)
    return 0


def _show(model: str, rows: list[Row], speed: Stored) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=model, title_justify="left")
    for head in ("", "unit", "p50", "p95", "p99"):
        table.add_column(head, justify="left" if head in ("", "unit") else "right")
    for row in rows:
        s = row.spread
        table.add_row(row.what, row.unit, *(f"{value:.2f}" for value in (s.p50, s.p95, s.p99)))
    console = Console()
    console.print(table)
    if not speed.thinks_ahead:
        console.print("This machine is too slow to make bars ahead: speculation is off.")
    console.print(f"Stored in {file()}; deadlines are reckoned with it from the next start on.")


def _decoding() -> tuple[str, Stored, Row]:
    """The model of the default preset in this process: its name, its speed, its step."""
    import time

    from bridge.measure import Spread, band_bar
    from engine import presets
    from engine.generate import Making
    from engine.models import registry, store
    from engine.music import COMMON_TIME
    from engine.recall.memory import Memory
    from engine.tokens.encode import encode_bar
    from engine.tokens.vocabulary import Vocabulary
    from engine.worker.wire import Room, Wish

    folder = store.find(presets.load(presets.DEFAULT).model)
    model = registry.load(folder)
    model.warm_up()
    vocabulary = Vocabulary.load(folder)
    stream = model.open()
    memory = Memory.of(folder, model.info, vocabulary)
    heard = []
    for bar in range(8):
        notes = [note for track in band_bar(bar).values() for note in track]
        heard.append((bar, encode_bar(vocabulary, COMMON_TIME, notes)))
        stream.feed(heard[-1][1])
    if memory is not None:
        memory.follow(heard)

    steps = []
    scratch = stream.fork()
    for i in range(STEPS):
        begun = time.perf_counter()
        scratch.step([i % model.vocab])
        steps.append(time.perf_counter() - begun)

    bars = 8
    tokens, seconds = 0, 0.0
    for seed in range(TAKES):
        wish = Wish(0, [Room(4, 4, [], []) for _ in range(bars)], [0], seed)
        begun = time.perf_counter()
        making = Making(vocabulary, stream, wish, memory)
        while not making.done:
            making.step()
        seconds += time.perf_counter() - begun
        tokens += making.tokens
    step = Spread.of(steps)
    speed = Stored(step.p50, seconds / tokens, tokens / (bars * TAKES))
    name = f"{model.info.name}, {model.runtime} {model.precision}"
    return name, speed, Row("decoding step", "ms", Spread.of(steps, 1000))


def _midi() -> Iterator[Row]:
    """What a synthesiser would get, where there is a MIDI system to carry it."""
    from bridge.measure import Spread
    from bridge.midi.loopback import measure
    from engine.errors import SidemanError

    try:
        yield Row("MIDI note after its moment", "ms", Spread.of(measure().late_ms))
    except SidemanError as problem:
        print(f"MIDI is not measured: {problem.text}", file=sys.stderr)


def _sound() -> Iterator[Row]:
    """A frame of the model that loops are continued with, or of a tiny one where that is missing.

    As a take has it: with guidance, in its second half.
    """
    import time

    from bridge.measure import Spread
    from engine import presets
    from engine.errors import SidemanError
    from engine.models import audio, store
    from engine.models.folder import read_info
    from engine.models.musicgen.known import TINY
    from engine.sound.rack import DEFAULT, installed

    if not installed():
        print("sound is not measured: the extra `audio` is not installed", file=sys.stderr)
        return
    try:
        folder = store.find(presets.load(DEFAULT).model)
    except SidemanError:
        from engine.models.musicgen.installing import make

        folder = make(TINY[1])
    model = audio.family(read_info(folder).family).load(folder)
    frames = (model.trained_frames or SOUND_FRAMES) // 2
    stream = model.open(1, frames=frames + SOUND_FRAMES, sampling=audio.Sampling(), seeds=[0])
    silence = model.encode(np.zeros((frames * model.hop, model.channels), np.float32))
    stream.prime([silence], [audio.Cue("a slow beat")])
    steps = []
    for _ in range(SOUND_FRAMES - 1):
        begun = time.perf_counter()
        stream.step()
        steps.append(time.perf_counter() - begun)
    what = f"audio step, {model.name} ({float(1000 / model.frame_rate):g} ms of sound)"
    yield Row(what, "ms", Spread.of(steps[1:], 1000))


def _playing() -> Iterator[Row]:
    """What an engine of its own does, from outside."""
    import tempfile

    from bridge.commands.output import Progress
    from bridge.demo import running_engine, wait_until_ready
    from bridge.measure import FAST_BPM, Rehearsal, Spread, ping_seconds, triggers
    from bridge.osc.client import OscClient

    progress = Progress("measuring")
    with (
        tempfile.TemporaryDirectory(prefix="sideman-bench-") as folder,
        running_engine(Path(folder)) as (host, port),
        OscClient(host, port) as client,
    ):
        client.hello("bench")
        wait_until_ready(client)
        rehearsal = Rehearsal(client, FAST_BPM)
        rehearsal.play_context()
        done = 0
        for name, on in (("speculation off", 0), ("speculation on", 1)):
            client.ask("/sideman/set", "speculation", on)
            first: list[float] = []
            for answer in triggers(rehearsal, TRIGGERS, settle=SETTLE):
                first.append(answer.first_note)
                done += 1
                progress(done / (2 * TRIGGERS + TAKES))
            yield Row(f"first note, {name}", "ms", Spread.of(first, 1000))
        pace = []
        for answer in triggers(rehearsal, TAKES, settle=SETTLE, bars=8):
            if len(answer.notes) > 1:
                pace.append((answer.arrived[-1] - answer.arrived[0]) / (len(answer.notes) - 1))
            done += 1
            progress(done / (2 * TRIGGERS + TAKES))
        yield Row("notes", "a second", Spread.of(pace).as_rate())
        progress.close()
        yield Row("OSC ping", "ms", Spread.of(ping_seconds(client, PINGS), 1000))
