"""A conductor with its worker in the same process, and nothing that moves by itself.

The worker speaks only when :meth:`Band.pump` lets it, time passes only in :meth:`Band.wait`, what
goes out is a list, and the journal is another. So every moment of a request can be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bridge.clock import SongClock
from bridge.files.audio_file import Recorder
from engine import presets
from engine.conductor import Conductor
from engine.errors import Code, SidemanError
from engine.messages import Reply, Scalar, parse, parse_reply
from engine.messages.replies import (
    Accepted,
    ClipAudio,
    ClipClose,
    ClipNote,
    ClipOpen,
    Done,
    Fail,
    Late,
    StatusReply,
)
from engine.messages.table import request_number
from engine.music import MeterMap, Note
from engine.past import Spot, lay_out
from engine.ports import Chunk
from engine.presets import Preset
from engine.takes import Take
from engine.worker import wire
from engine.worker.direct import DirectLine, sound
from engine.worker.supervisor import Supervisor

R = TypeVar("R")

PRESETS = {
    "plain": presets.parse('kind = "midi"\nlicence = "none"\n[midi]\npolyphony = 4\n', "plain"),
    "trio": presets.parse(
        'kind = "midi"\nlicence = "none"\n[midi]\nprograms = ["piano", "bass", "drums"]\n'
        "channels = { piano = 1, bass = 2, drums = 10 }\n",
        "trio",
    ),
    "opener": presets.parse(
        'kind = "midi"\nlicence = "none"\n[midi]\nbegins = true\nbars = 2\n', "opener"
    ),
    "other": presets.parse('kind = "midi"\nlicence = "none"\nmodel = "second"\n', "other"),
    "noise": presets.parse(
        'kind = "audio"\nlicence = "none"\nmodel = "noise"\n[sampling]\ntop_p = 1.0\ntop_k = 50\n',
        "noise",
    ),
    "lost sound": presets.parse(
        'kind = "audio"\nlicence = "none"\nmodel = "nowhere"\n', "lost sound"
    ),
    "lost": presets.parse('kind = "midi"\nlicence = "none"\nmodel = "nowhere"\n', "lost"),
}


def load_preset(name: str) -> Preset:
    if name not in PRESETS:
        raise SidemanError(Code.UNKNOWN_PRESET, f"there is no preset {name!r}")
    return PRESETS[name]


@dataclass
class Outbox:
    """Keeps what is sent; see :class:`engine.ports.Outbox`."""

    said: list[tuple[int, Reply]] = field(default_factory=list)
    shared: list[tuple[int | None, Reply]] = field(default_factory=list)
    values: list[tuple[str, Scalar | None]] = field(default_factory=list)
    flushed: list[int] = field(default_factory=list)
    """How much was said at each flush."""

    def reply(self, client_id: int, reply: Reply) -> None:
        # As over the wire: what can't be sent fails here.
        self.said.append((client_id, parse_reply(reply.address, reply.args())))

    def broadcast(self, reply: Reply, besides: int | None = None) -> None:
        self.shared.append((besides, reply))

    def changed(self, name: str, value: Scalar | None) -> None:
        self.values.append((name, value))

    def flush(self) -> None:
        self.flushed.append(len(self.said))

    def client_count(self) -> int:
        return 1


@dataclass
class Memory:
    """A store that forgets at the end of the test; see :class:`engine.ports.Store`.

    ``slow`` holds back what is to be told until :meth:`flush`; ``broken`` is the error of all.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    takes: list[Take] = field(default_factory=list)
    folder: Path = Path()
    """Where takes of sound lie."""
    recorders: dict[int, Recorder] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)
    slow: bool = False
    broken: str | None = None
    _later: list[Callable[[], None]] = field(default_factory=list)

    def save(
        self, take: Take, meters: MeterMap, bpm: float, then: Callable[[str | None], None]
    ) -> None:
        self.takes.append(take)
        self.events.append({"event": "take", "take": take.number})
        self._tell(then)

    def write(
        self, event: dict[str, Any], then: Callable[[str | None], None] | None = None
    ) -> None:
        self.events.append(event)
        if then is not None:
            self._tell(then)

    def write_all(self, events: Sequence[dict[str, Any]]) -> None:
        self.events += events

    def path(self, take: Take) -> str:
        return str(self.folder / f"take-{take.number:04d}.wav")

    def sound(self, take: Take, chunk: Chunk, then: Callable[[str | None], None]) -> None:
        if take.number not in self.recorders:
            path = Path(self.path(take))
            self.recorders[take.number] = Recorder(
                path, chunk.total, chunk.rate, chunk.channels
            )
        self.recorders[take.number].write(chunk.at, chunk.data)
        self._tell(then)

    def drop(self, take: Take) -> None:
        self.recorders.pop(take.number).close()
        self.dropped.append(take.number)

    def _tell(self, then: Callable[[str | None], None]) -> None:
        if self.slow:
            self._later.append(lambda: then(self.broken))
        else:
            then(self.broken)

    def flush(self) -> None:
        """Tell what was held back, and what comes of it."""
        while self._later:
            self._later.pop(0)()

    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events]


class Shelf:
    """A loader whose files are values; see :class:`engine.ports.Loader`. Read by hand."""

    def __init__(self) -> None:
        self.files: dict[str, Any] = {}
        self._reading: list[tuple[str, Spot, Callable[[Any], None]]] = []

    def load(self, path: str, spot: Spot, then: Callable[[Any], None]) -> None:
        if path not in self.files:
            raise SidemanError(Code.NOT_ALLOWED, f"{path} lies outside the folders")
        self._reading.append((path, spot, then))

    def read(self) -> None:
        path, spot, then = self._reading.pop(0)
        found = self.files[path]
        if callable(found):
            found = found(spot)
        elif not isinstance(found, Exception):
            try:
                found = lay_out(found, spot)
            except SidemanError as error:
                found = error
        then(found)


class Line(DirectLine):
    """A worker's line of which the answers to pings can be read alone."""

    def pongs(self) -> list[wire.FromWorker]:
        found = [message for message in self._said if isinstance(message, wire.Pong)]
        for message in found:
            self._said.remove(message)
        return found


class Band:
    """Everything that :mod:`bridge.serve` wires together, but for sockets, files and threads."""

    def __init__(
        self, model: Path, *, preset: str = "plain", store: Any = None, start: bool = True
    ) -> None:
        self.now = 100.0
        self.models = {"default": model, "second": model}
        self.out = Outbox()
        self.store: Any = Memory() if store is None else store
        self.shelf = Shelf()
        self.seeds = iter(range(1000, 10_000))
        self.conductor = Conductor(
            clock=SongClock(),
            outbox=self.out,
            store=self.store,
            loader=self.shelf,
            preset=load_preset(preset),
            load_preset=load_preset,
            find_model=self._find,
            random_seed=lambda: next(self.seeds),
        )
        self.lines: list[Line] = []
        self.sound_lines: list[Line] = []
        self.worker = Supervisor(self._line, self.conductor)
        self.sound_worker = Supervisor(self._sound_line, self.conductor.sound)
        self.conductor.connect(self.worker, self.sound_worker)
        self.heard: list[wire.FromWorker] = []
        """All that the worker has said."""
        self._seen = 0
        if start:
            self.start()

    def _find(self, name: str) -> Path:
        if name not in self.models:
            raise SidemanError(Code.UNKNOWN_MODEL, f"there is no model {name!r}")
        return self.models[name]

    def _line(self) -> Line:
        self.lines.append(Line())
        return self.lines[-1]

    def _sound_line(self) -> Line:
        self.sound_lines.append(Line(sound))
        return self.sound_lines[-1]

    def start(self) -> None:
        """Load the preset's model."""
        self.conductor.start(self.now)
        self.pump()

    @property
    def session(self):
        return self.conductor.session

    @property
    def requests(self):
        return self.conductor.requests

    # In

    def send(self, address: str, *args: Scalar, client: int = 1) -> None:
        """A message takes effect now. What is wrong with it is answered as by the door."""
        try:
            self.conductor.handle(parse(address, args), client, self.now)
        except SidemanError as error:
            req = request_number(address, args)
            self.out.reply(client, Fail.of(error, req, address))

    def ask(self, req: int = 1, track: int | str = 1, *keys: Scalar, **more: Any) -> None:
        """``/sideman/continue`` with keys and values; ``verb`` and ``client`` by name."""
        verb = more.pop("verb", "continue")
        client = more.pop("client", 1)
        flat = [part for pair in more.items() for part in pair]
        self.send(f"/sideman/{verb}", req, track, *keys, *flat, client=client)

    def transport(
        self, bar: int, beat: float = 0.0, *, playing: bool = True, bpm: float = 120.0,
        meter: tuple[int, int] = (4, 4),
    ) -> None:  # fmt: skip
        self.send("/sideman/transport", int(playing), bpm, bar, beat, *meter)

    def play(self, bars: range, track: int | str = 1, pitch: int = 60, steps: int = 4) -> None:
        """A scale of quarter notes, ``steps`` to the bar."""
        for bar in bars:
            for i in range(steps):
                self.send("/sideman/track/note", track, pitch + 2 * i, 90, bar, float(i), 1.0)

    # Time and work

    def wait(self, seconds: float, *, pump: bool = False) -> None:
        """Let time pass, and the conductor do what is due meanwhile.

        The worker answers pings, and makes nothing unless ``pump`` is true.
        """
        end = self.now + seconds
        while self.now < end:
            moment = self.conductor.next_moment(self.now)
            self.now = min(end, max(moment, self.now + 1e-4))
            self.conductor.tick(self.now)
            if pump:
                self.pump()
            for worker, lines in self._workers():
                for pong in lines[-1].pongs():
                    worker.receive(lines[-1], pong, self.now)

    def _workers(self) -> list[tuple[Supervisor, list[Line]]]:
        both = [(self.worker, self.lines), (self.sound_worker, self.sound_lines)]
        return [(worker, lines) for worker, lines in both if lines]

    def pump(self, until: type | None = None, times: int = 1) -> None:
        """Let the workers work until they have no more to do, or said ``until`` so many times."""
        for worker, lines in self._workers():
            line = lines[-1]
            while (message := line.pump()) is not None:
                self.heard.append(message)
                worker.receive(line, message, self.now)
                if until is not None and isinstance(message, until):
                    times -= 1
                    if times == 0:
                        return

    def kill(self) -> None:
        """The processes of the workers die; others start."""
        for worker, lines in self._workers():
            line = lines[-1]
            line.kill()
            worker.receive(line, None, self.now)

    # Out

    def status(self) -> StatusReply:
        return self.conductor.status()

    def replies(self, kind: type[R] | None = None, client: int = 1) -> list[R]:
        """All replies to a client, or those of one kind."""
        return [
            reply
            for to, reply in self.out.said
            if to == client and (kind is None or isinstance(reply, kind))
        ]  # type: ignore[misc]

    def fresh(self, client: int = 1) -> list[Reply]:
        """The replies to a client since the last call."""
        new = [reply for to, reply in self.out.said[self._seen :] if to == client]
        self._seen = len(self.out.said)
        return new

    def fails(self, client: int = 1) -> list[str]:
        return [fail.code for fail in self.replies(Fail, client)]

    def order(self, req: int = 1, client: int = 1) -> list[str]:
        """What came of a request, in order, runs of the same kind as one."""
        kinds: list[str] = []
        for reply in self.of(req, client):
            kind = reply.address.removeprefix("/sideman/")
            if not kinds or kinds[-1] != kind:
                kinds.append(kind)
        return kinds

    def of(self, req: int, client: int = 1) -> Iterator[Any]:
        """Every reply about a request."""
        for reply in self.replies(client=client):
            if isinstance(
                reply, Accepted | ClipOpen | ClipNote | ClipAudio | ClipClose | Late | Fail
            ):
                if reply.req == req:
                    yield reply
            elif isinstance(reply, Done) and reply.subject == req:
                yield reply

    def clips(self, req: int = 1, client: int = 1) -> list[Clip]:
        """The takes of a request, in the order in which they were opened."""
        found: dict[int, Clip] = {}
        for reply in self.of(req, client):
            match reply:
                case ClipOpen():
                    assert reply.take not in found, "opened twice"
                    found[reply.take] = Clip(reply)
                case ClipNote():
                    assert found[reply.take].closed is None, "a note after the close"
                    found[reply.take].notes.append(reply)
                case ClipClose():
                    assert found[reply.take].closed is None, "closed twice"
                    found[reply.take].closed = reply.count
        return list(found.values())


@dataclass
class Clip:
    """A take as a client sees it."""

    opened: ClipOpen
    notes: list[ClipNote] = field(default_factory=list)
    closed: int | None = None

    @property
    def take(self) -> int:
        return self.opened.take

    def rows(self) -> list[tuple[int, float, float, int, int, int]]:
        """The notes from the take's own bar 0 on."""
        return [
            (n.bar - self.opened.bar, n.beat, n.duration, n.pitch, n.velocity, n.channel)
            for n in self.notes
        ]

    def check(self, meters: MeterMap | None = None) -> None:
        """Closed, counted, in order of onset, and inside its bars."""
        meters = meters or MeterMap()
        assert self.closed == len(self.notes)
        onsets = [(note.bar, note.beat) for note in self.notes]
        assert onsets == sorted(onsets)
        first, end = self.opened.bar, self.opened.bar + self.opened.bars
        for note in self.notes:
            assert first <= note.bar < end, note
            assert 0 <= note.beat < meters.at(note.bar).beats, note
            begin = meters.start(note.bar) / 960 + note.beat
            assert begin + note.duration <= meters.start(end) / 960 + 1e-6, note


def tune(bar: int, pitches: tuple[int, ...] = (60, 64, 67, 72), program: int = 0) -> list[Note]:
    """A bar of quarter notes."""
    return [Note(bar, 960 * i, program, pitch, 960, 90) for i, pitch in enumerate(pitches)]
