"""A client that knows the contract and nothing of the engine: it holds every answer to it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.e2e.engine import Engine
from tests.e2e.osc import Message, Scalar, Wire, bundle, pack, tag_in

PATIENCE = 30.0
"""Seconds after which an answer is given up. Every wait ends as soon as the answer is there."""

ANSWERS = {
    "/sideman/ping": "/sideman/pong",
    "/sideman/version": "/sideman/version.reply",
    "/sideman/status": "/sideman/status.reply",
    "/sideman/sync": "/sideman/synced",
    "/sideman/get": "/sideman/value",
    "/sideman/set": "/sideman/value",
    "/sideman/listen": "/sideman/value",
}

OF_REQUESTS = {
    "/sideman/accepted", "/sideman/late", "/sideman/clip/open", "/sideman/clip/note",
    "/sideman/clip/audio", "/sideman/clip/close", "/sideman/done", "/sideman/fail",
}  # fmt: skip

TYPES = {
    "/sideman/accepted": (int, float, int),
    "/sideman/late": (int, float, str),
    "/sideman/clip/open": (int, int, str, int, int),
    "/sideman/clip/note": (int, int, int, float, float, int, int, int),
    "/sideman/clip/audio": (int, int, int, str, int, int),
    "/sideman/clip/close": (int, int, int),
    "/sideman/done": (int,),
    "/sideman/fail": (int, str, str, str),
    "/sideman/status.reply": (str, str, int, int, int, int, int),
    "/sideman/version.reply": (str, int, int, int),
    "/sideman/pong": (int, float),
    "/sideman/synced": (int,),
}
"""The types of each reply's arguments, as section 2 of the contract has them."""

CODES = {
    "unknown-address", "bad-arguments", "unknown-track", "unknown-preset", "unknown-model", "busy",
    "too-late", "cancelled", "worker-died", "out-of-memory", "no-context", "not-allowed",
    "bad-file",
}  # fmt: skip


class Refused(Exception):  # noqa: N818 (it is no error of the test's)
    """The engine answered ``/sideman/fail``."""

    def __init__(self, message: Message) -> None:
        super().__init__(*message.args)
        self.req, self.code, self.text, self.address = message.args


class ClipNote(NamedTuple):
    """A note as ``/sideman/clip/note`` brings it. Beats are quarter notes."""

    bar: int
    beat: float
    duration: float
    pitch: int
    velocity: int
    channel: int


class Chunk(NamedTuple):
    """A part of a take of sound, as ``/sideman/clip/audio`` brings it."""

    bar: int
    path: str
    rate: int
    frames: int


@dataclass
class Clip:
    """One take as it came."""

    take: int
    track: str
    bar: int
    bars: int
    notes: list[ClipNote] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    count: int | None = None
    """What ``close`` said; None as long as the take is open."""


@dataclass
class Answer:
    """All that came back for one request, in the order of the contract."""

    req: int
    accepted: Message | None = None
    clips: list[Clip] = field(default_factory=list)
    lates: list[Message] = field(default_factory=list)
    end: Message | None = None
    sent_at: float = 0.0

    @property
    def code(self) -> str:
        """The code of its fail, or ``done``."""
        assert self.end is not None
        return "done" if self.end.address == "/sideman/done" else str(self.end.args[1])

    @property
    def clip(self) -> Clip:
        """Its only take."""
        (clip,) = self.clips
        return clip

    @property
    def notes(self) -> list[ClipNote]:
        """The notes of its only take."""
        return self.clip.notes

    @property
    def bar(self) -> int:
        """The bar that ``accepted`` named."""
        assert self.accepted is not None
        return int(self.accepted.args[2])

    @property
    def accepted_ms(self) -> float:
        """From the sending to ``accepted``."""
        assert self.accepted is not None
        return (self.accepted.at - self.sent_at) * 1000.0


class Client:
    """One client on a socket of its own; use it in a ``with`` block. Waits never sleep."""

    def __init__(self, engine: Engine, *, tcp: bool = False, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.engine = engine
        self.inbox: list[Message] = []
        self.takes: list[int] = []
        """The takes that were opened for it."""
        self._wire = Wire(engine.host, engine.port, tcp=tcp)
        self._reqs = itertools.count(1)
        self._syncs = itertools.count(1)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    # Out

    def send(self, address: str, *args: Scalar) -> float:
        """Send a message; the moment at which it went."""
        at = time.monotonic()
        self._wire.write(pack(address, *args))
        return at

    def send_in(self, seconds: float, *messages: tuple[Scalar, ...]) -> None:
        """Send a bundle whose time tag lies ``seconds`` ahead."""
        packets = [pack(str(address), *args) for address, *args in messages]
        self._wire.write(bundle(tag_in(seconds), *packets))

    def send_bytes(self, packet: bytes) -> None:
        """Send a packet as it is."""
        self._wire.write(packet)

    # In

    def wait(
        self, fits: Callable[[Message], bool], what: str, patience: float | None = None
    ) -> Message:
        """The first message that ``fits``, taken out of the inbox."""
        deadline = time.monotonic() + (self.patience if patience is None else patience)
        seen = 0
        while True:
            for i in range(seen, len(self.inbox)):
                if fits(self.inbox[i]):
                    return self.inbox.pop(i)
            seen = len(self.inbox)
            left = deadline - time.monotonic()
            assert left > 0, f"{what} did not come; what came: {self.inbox[-8:]}"
            for message in self._wire.read(left):
                self._hold(message)
                self.inbox.append(message)

    def _hold(self, message: Message) -> None:
        """What holds for every message."""
        assert message.size < 1400 or self._wire.tcp, message
        if message.address == "/sideman/clip/open":
            self.takes.append(int(message.args[1]))
        if message.address == "/sideman/done" and isinstance(message.args[0], str):
            return
        types = TYPES.get(message.address)
        assert types is None or tuple(map(type, message.args)) == types, message
        assert message.address != "/sideman/fail" or message.args[1] in CODES, message

    def next(self, address: str, *first: Scalar, patience: float | None = None) -> Message:
        """The next message to ``address`` whose arguments begin with ``first``."""
        return self.wait(
            lambda m: m.address == address and m.args[: len(first)] == first,
            f"{address} {first}",
            patience,
        )

    def ask(self, address: str, *args: Scalar) -> Message:
        """Send a command and wait for its one answer. Raises :class:`Refused`."""
        self.send(address, *args)
        answer = ANSWERS.get(address, "/sideman/done")

        def fits(message: Message) -> bool:
            if message.address == "/sideman/fail":
                return message.args[3] == address
            return message.address == answer and (
                answer != "/sideman/done" or message.args[0] == address
            )

        message = self.wait(fits, f"an answer to {address}")
        if message.address == "/sideman/fail":
            raise Refused(message)
        return message

    def refusal(self, address: str, *args: Scalar) -> Refused:
        """Send what has to be refused; the fail that comes."""
        self.send(address, *args)
        return Refused(self.next("/sideman/fail"))

    def sync(self) -> None:
        """Wait until all that was sent before has taken effect; its replies lie in the inbox."""
        n = next(self._syncs)
        self.send("/sideman/sync", n)
        self.next("/sideman/synced", n)

    def news(self) -> list[Message]:
        """Everything that came up to now and nobody has waited for; empties the inbox."""
        self.sync()
        news, self.inbox = self.inbox, []
        return news

    # The contract's parts

    def hello(self, name: str = "test") -> int:
        """Say hello; the client's number."""
        return int(self.ask("/sideman/hello", 1, name).args[1])

    def status(self) -> dict[str, Scalar]:
        """``status.reply`` by its names."""
        names = ("state", "preset", "clients", "queued", "generating", "late", "takes")
        return dict(zip(names, self.ask("/sideman/status").args, strict=True))

    def until(self, *states: str, patience: float = PATIENCE) -> None:
        """Wait until the engine is in one of ``states``."""
        deadline = time.monotonic() + patience
        while (state := self.status()["state"]) not in states:
            said = self.engine.log.read_text()
            assert state != "degraded", said
            assert time.monotonic() < deadline, f"the engine is still {state}; {said}"
            time.sleep(0.01)

    def rest(self) -> None:
        """Wait until nobody's request is under way."""
        deadline = time.monotonic() + self.patience
        while (status := self.status())["queued"] or status["generating"]:
            assert time.monotonic() < deadline, status
            time.sleep(0.01)

    def stand(self, bar: int, beat: float = 0.0, *, bpm: float = 120.0, num: int = 4) -> None:
        """The transport stands still there."""
        self.send("/sideman/transport", 0, bpm, bar, beat, num, 4)

    def roll(self, bar: int, beat: float = 0.0, *, bpm: float = 120.0) -> None:
        """The transport runs from there on."""
        self.send("/sideman/transport", 1, bpm, bar, beat, 4, 4)

    def start(self, verb: str, track: Scalar | None, **keys: Scalar) -> Answer:
        """Send a request and do not wait. ``from_`` is the key ``from``.

        Without a track, ``verb`` names it as a path does: ``track/3/continue``.
        """
        req = next(self._reqs)
        args = [] if track is None else [track]
        args += [x for name, value in keys.items() for x in (name.rstrip("_"), value)]
        return Answer(req, sent_at=self.send(f"/sideman/{verb}", req, *args))

    def finish(self, answer: Answer, beats: float = 4.0, patience: float | None = None) -> Answer:
        """Wait for a request's last word, and hold all that came to the contract."""
        while answer.end is None:
            message = self.wait(
                lambda m: m.address in OF_REQUESTS and m.args[0] == answer.req,
                f"the end of request {answer.req}",
                patience,
            )
            add(answer, message)
        check(answer, beats)
        return answer

    def next_note(self, answer: Answer) -> None:
        """Wait until a note of it has come; it stays in the inbox."""
        note = self.next("/sideman/clip/note", answer.req)
        self.inbox.append(note)
        self.inbox.sort(key=lambda message: message.at)

    def request(self, verb: str, track: Scalar | None, **keys: Scalar) -> Answer:
        """Ask for music and wait until it is there."""
        return self.finish(self.start(verb, track, **keys))


def add(answer: Answer, message: Message) -> None:
    """Take in one message about a request; fails where it may not come now."""
    assert answer.end is None, f"{message} after the last word"
    args = message.args
    by_take = {clip.take: clip for clip in answer.clips}
    match message.address:
        case "/sideman/accepted":
            assert answer.accepted is None and not answer.clips, message
            answer.accepted = message
        case "/sideman/late":
            answer.lates.append(message)
        case "/sideman/clip/open":
            assert answer.accepted is not None and args[1] not in by_take, message
            assert not any(clip.notes for clip in answer.clips), message
            answer.clips.append(Clip(int(args[1]), str(args[2]), int(args[3]), int(args[4])))
        case "/sideman/clip/note":
            clip = by_take[int(args[1])]
            assert clip.count is None, message
            clip.notes.append(ClipNote(*args[2:]))  # type: ignore[arg-type]  # held by TYPES
        case "/sideman/clip/audio":
            clip = by_take[int(args[1])]
            assert clip.count is None, message
            clip.chunks.append(Chunk(*args[2:]))  # type: ignore[arg-type]  # held by TYPES
        case "/sideman/clip/close":
            clip = by_take[int(args[1])]
            assert clip.count is None, message
            clip.count = int(args[2])
        case _:
            answer.end = message


def check(answer: Answer, beats: float) -> None:
    """What holds for every request, in bars of ``beats`` quarter notes."""
    if answer.code != "done":
        return
    assert answer.accepted is not None and answer.clips
    assert float(answer.accepted.args[1]) >= 0.0
    for clip in answer.clips:
        assert clip.count == len(clip.notes) + len(clip.chunks), clip
        ends = [chunk.frames for chunk in clip.chunks]
        assert ends == sorted(set(ends)) and len({c.path for c in clip.chunks}) <= 1, clip
        onsets = [(note.bar, note.beat) for note in clip.notes]
        assert onsets == sorted(onsets), clip
        for note in clip.notes:
            assert clip.bar <= note.bar < clip.bar + clip.bars, (clip, note)
            assert 0.0 <= note.beat < beats, note
            end = (note.bar - clip.bar) * beats + note.beat + note.duration
            assert note.duration > 0.0 and end <= clip.bars * beats + 1e-3, (clip, note)
            assert 0 <= note.pitch <= 127 and 1 <= note.velocity <= 127, note
            assert 1 <= note.channel <= 16, note
