"""What the engine and its worker process say to each other, and how it is framed.

Messages are msgpack with a tag and fixed fields, so nothing is ever unpickled; a frame is a
four-byte length and the message. Times in seconds are those of ``time.monotonic``, which both
processes share.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import msgspec

from engine.music import Note

MAX_FRAME = 64 * 2**20
"""No honest message comes near it; a longer one means that the line is broken."""

_LENGTH = struct.Struct("<I")

NoteRow = tuple[int, int, int, int, int, int]
"""A note as it travels: bar, tick, program, pitch, duration, velocity; the order of ``Note``."""


def row(note: Note) -> NoteRow:
    """A note as it travels."""
    return (note.bar, note.tick, note.program, note.pitch, note.duration, note.velocity)


class Message(msgspec.Struct, tag_field="m", frozen=True):
    """Base of all messages."""


# To the worker


class Load(Message, tag="load", frozen=True):
    """Load the model in ``folder`` under ``model``, and say `Loaded` or `Failed`.

    ``adapter`` is the folder of one that is merged into its weights, or nothing.
    """

    model: str
    folder: str
    device: str = "cpu"
    precision: str = "auto"
    adapter: str = ""
    strength: float = 1.0


class Unload(Message, tag="unload", frozen=True):
    """Let go of a model; what was asked of it fails."""

    model: str


class Hear(Message, tag="hear", frozen=True):
    """What sounds in each of these bars from now on: (bar, meter num, meter den, notes)."""

    bars: list[tuple[int, int, int, list[NoteRow]]]


class Forget(Message, tag="forget", frozen=True):
    """Everything that was heard is void."""


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A chord in a bar: ticks from the start of the bar, and its pitch classes; None is free."""

    start: int
    end: int
    pitch_classes: list[int] | None
    root: int = 0
    quality: str = ""
    """Of `engine.chords.QUALITIES`."""


class Room(msgspec.Struct, frozen=True, array_like=True):
    """One bar of a take to be: its meter, the others' notes that are given, and its chords."""

    num: int
    den: int
    given: list[NoteRow]
    chords: list[Span]


class Wish(msgspec.Struct, frozen=True):
    """All that decides what a take will be. Equal wishes on equal contexts give equal takes."""

    context_end: int
    rooms: list[Room]
    programs: list[int]
    seed: int
    variations: int = 1
    start_tick: int = 0
    key: list[int] | None = None
    low: int = 0
    high: int = 127
    density: float | None = None
    polyphony: int | None = None
    chord_share: float = 0.8
    longest_rest: int = 0
    """Bars of silence after which an instrument is called upon; 0 for never."""
    reference: list[NoteRow] = []
    after: list[Room] = []
    """What follows an infill: what it leads up to, and what candidates are chosen by."""
    beforehand: bool = False
    """Whether the model is told all that the others play in a bar, and what a gap leads up to.
    No request asks for it yet: the model that ships plays worse for it; see docs/decisions.md."""
    candidates: int = 1
    temperature: float = 1.0
    top_p: float = 0.95
    top_k: int = 0
    repetition_penalty: float = 1.0
    penalty_decay: float = 0.98
    penalty_window: int = 128
    recall: float = 1.0
    """How much the song's own past counts, where the model knows how: 0 to 1."""
    curve: tuple[str, float, float, float, float] = ("constant", 0.0, 0.0, 8.0, 0.0)
    """Shape, swing of temperature and of top-p, period in bars, noise; see `sampling.Curve`."""


class Make(Message, tag="make", frozen=True):
    """Make takes for job ``job``. The most urgent ``due`` (seconds) goes first."""

    job: int
    model: str
    wish: Wish
    due: float | None = None


class Speculate(Message, tag="speculate", frozen=True):
    """Make the beginning of this wish when there is nothing better to do, in case it is asked.

    ``job`` is below 0, as no request's is; each takes the place of the one before.
    """

    job: int
    model: str
    wish: Wish


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """Some of an audio file: ``frames`` sample frames from ``first`` on."""

    path: str
    first: int
    frames: int


class SoundWish(msgspec.Struct, frozen=True):
    """All that decides what a take of sound will be. Equal wishes on equal files give equal takes.

    ``past`` is what sounded, in order, up to the line of ``bar``; nothing where a text alone is
    asked for. ``following`` is what would sound after it, such as a loop's own beginning.
    """

    past: list[Piece]
    rate: int
    """Of the take, in Hz."""
    bpm: float
    meters: list[tuple[int, int, int]]
    """Changes of meter: bar, num, den."""
    bar: int
    bars: int
    seed: int
    following: list[Piece] = []
    lead: int = 0
    """How many of the bars are the last ones of the past once more, before the new sound enters."""
    text: str = ""
    candidates: int = 1
    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 1.0
    guidance: float = 3.0
    alone: bool = False
    """Whether it must not share a model's steps: in a larger batch sums are rounded otherwise, and
    once in a while another code is drawn."""
    live: bool = True
    """Whether it is played while it is made; else it may be fitted as a whole at the end."""


class MakeSound(Message, tag="make-sound", frozen=True):
    """Make a take of sound for job ``job``. The most urgent ``due`` (seconds) goes first.

    ``adapters`` are those that count: (name, folder, strength).
    """

    job: int
    model: str
    wish: SoundWish
    adapters: list[tuple[str, str, float]] = []
    due: float | None = None


class Adapt(Message, tag="adapt", frozen=True):
    """Have these adapters count so much on a model, and no others: (name, folder, strength).

    Sound that is being made goes on with them from its next bar line.
    """

    model: str
    adapters: list[tuple[str, str, float]]


class Cancel(Message, tag="cancel", frozen=True):
    """Job ``job`` is not wanted any more."""

    job: int


class Ping(Message, tag="ping", frozen=True):
    """Say `Pong`, to show that you are there."""

    n: int


# From the worker


class Loaded(Message, tag="loaded", frozen=True):
    """A model is there and listens."""

    model: str
    runtime: str
    precision: str
    weights_hash: str
    step_seconds: float
    """Measured time of one decoding step of one sequence."""
    frame_seconds: float = 0.0
    """How much sound a step makes; 0 for a model that makes notes."""


class Started(Message, tag="started", frozen=True):
    """Job ``job`` has its context: ``fed`` tokens of it had not been fed before."""

    job: int
    fed: int
    speculated: bool


class Made(Message, tag="made", frozen=True):
    """New notes of a variation, bars counted from the start of the take, in order of onset."""

    job: int
    variation: int
    notes: list[NoteRow]


class Finished(Message, tag="finished", frozen=True):
    """A variation has all its notes. ``context_hash`` names the music that it follows."""

    job: int
    variation: int
    context_hash: str


class JobDone(Message, tag="job-done", frozen=True):
    """All variations are finished: ``tokens`` of all of them, in ``seconds`` of work."""

    job: int
    tokens: int
    seconds: float


class JobFailed(Message, tag="job-failed", frozen=True):
    """Nothing more comes of a job."""

    job: int
    code: str
    text: str


class Sound(Message, tag="sound", frozen=True):
    """The next sample frames of a take: float32, little-endian, ``channels`` by turns.

    ``mark`` names all of the take up to their end.
    """

    job: int
    channels: int
    data: bytes
    mark: str = ""


class SoundDone(Message, tag="sound-done", frozen=True):
    """A take of sound is complete: ``frames`` of the model's were made in ``seconds`` of work.

    ``report`` says how it was made and what was measured; ``context_hash`` names what it follows.
    """

    job: int
    frames: int
    seconds: float
    context_hash: str
    report: dict[str, Any]


class Adapted(Message, tag="adapted", frozen=True):
    """Adapters count as `Adapt` asked; or, where ``code`` is not empty, nothing has changed."""

    model: str
    adapters: list[tuple[str, str, float]]
    code: str = ""
    text: str = ""


class Unloaded(Message, tag="unloaded", frozen=True):
    """A model made room for another one."""

    model: str


class Pong(Message, tag="pong", frozen=True):
    """The answer to `Ping`."""

    n: int


class Failed(Message, tag="failed", frozen=True):
    """The model could not be loaded."""

    model: str
    code: str
    text: str


ToWorker = (
    Load | Unload | Hear | Forget | Make | MakeSound | Speculate | Adapt | Cancel | Ping
)  # fmt: skip
FromWorker = (
    Loaded | Started | Made | Finished | JobDone | JobFailed | Pong | Failed
    | Sound | SoundDone | Adapted | Unloaded
)  # fmt: skip

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def frame(message: Message) -> bytes:
    """A message as the bytes that go over the line."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next message's bytes; None where the other side has gone."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > MAX_FRAME:
        return None
    body = stream.read(size)
    return body if len(body) == size else None


def for_worker(body: bytes) -> ToWorker:
    """The message that the engine sent. Raises ``msgspec.DecodeError`` where it is none."""
    return _to_worker.decode(body)


def from_worker(body: bytes) -> FromWorker:
    """The message that the worker sent. Raises ``msgspec.DecodeError`` where it is none."""
    return _from_worker.decode(body)
