"""Held-out pieces played on by the live maker, and by the players that it has to beat.

Each piece is cut in its middle. The engine's own worker hears all that came before and makes a take
as a musician's request would: the preset's sampling and rules, the model's recall and the grammar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from engine import presets
from engine.brief import Place, settle, wish_for
from engine.errors import Code, SidemanError
from engine.messages import Ask, Keys
from engine.music import DRUMS, Meter, MeterMap, Note
from engine.session import Session
from engine.timing import Target
from engine.tokens.encode import decode
from engine.tokens.vocabulary import Vocabulary
from engine.worker import wire
from engine.worker.direct import DirectLine
from training.baselines.players import markov_bars, repeat_last
from training.data import TokenSet
from training.measures import Bars, density
from training.tokenize import Piece

FEWEST_NOTES = 4
"""Notes a bar that context and real continuation must have, for a measure to mean something."""

PRESETS = {frozenset((DRUMS,)): "drums", frozenset((0,)): "piano"}
"""The preset for a song on these instruments alone; for all others it is the default one."""

METHODS = {
    "real": "what really follows",
    "model": "the model",
    "repeat": "the last bars again",
    "markov": "a Markov walk over the song's bars",
    "alone": "the model without context",
}
"""Who plays on."""

MODEL, TRACK = "model", 1


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """What is continued, and how."""

    pieces: int = 8
    """Of each collection, at most."""
    context_bars: int = 16
    """Bars before the cut that takes are measured against. The model hears what it would live."""
    bars: int = 8
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece up to its middle, and the bars that follow there."""

    piece: Piece
    past: list[list[Note]]
    real: list[list[Note]]
    meters: list[Meter]
    """Of the bars of both."""

    @property
    def preset(self) -> str:
        """The preset that a musician would choose for this piece."""
        programs = frozenset(note.program for bar in self.past for note in bar)
        return PRESETS.get(programs, presets.DEFAULT)


@dataclass(frozen=True, slots=True)
class Sample:
    """One piece, played on by each of `METHODS`."""

    piece: Piece
    context: Bars
    meters_before: list[Meter]
    """Of the context's bars."""
    meters: list[Meter]
    """Of the bars that follow."""
    takes: dict[str, Bars] = field(default_factory=dict)


def samples(model: Path, data: TokenSet, collection: str, config: SampleConfig) -> Iterator[Sample]:
    """Play on the first held-out pieces of a collection that are long and full enough."""
    if not config.pieces:
        return
    player = Player(model)
    for cut in islice(cuts(data, collection, config), config.pieces):
        past, bars = cut.past, config.bars
        takes: dict[str, Bars] = {
            "real": cut.real,
            "model": player.play(cut, config.seed),
            "repeat": repeat_last(past, bars),
            "markov": markov_bars(past, bars, config.seed),
            "alone": player.play(cut, config.seed, alone=True),
        }
        first, cut_at = len(past) - config.context_bars, len(past)
        before, after = cut.meters[first:cut_at], cut.meters[cut_at:]
        yield Sample(cut.piece, past[first:], before, after, takes)


def cuts(data: TokenSet, collection: str, config: SampleConfig) -> Iterator[Cut]:
    """Every held-out piece of a collection that can be cut, in order."""
    vocabulary = Vocabulary.load(data.folder)
    for piece in data.select("heldout", collection):
        tokens = data.tokens(piece).tolist()
        meters = [
            vocabulary.meters[token - vocabulary.time_signature.start]
            for token in tokens
            if token in vocabulary.time_signature
        ]
        middle = max(len(meters) // 2, config.context_bars)
        end = middle + config.bars
        if end > len(meters):
            continue
        bars: list[list[Note]] = [[] for _ in meters]
        for note in decode(vocabulary, tokens):
            bars[note.bar].append(note)
        cut = Cut(piece, bars[:middle], _moved(bars[middle:end], -middle), meters[:end])
        if min(density(cut.past[-config.context_bars :]), density(cut.real)) >= FEWEST_NOTES:
            yield cut


class Player:
    """A model as the engine plays it, without the engine's clock. One thread only."""

    def __init__(self, folder: Path) -> None:
        """Load it. Raises `SidemanError` where it can't be."""
        self._line = DirectLine()
        self._job = 0
        self._line.send(wire.Load(MODEL, str(folder)))
        self._work()

    def play(
        self, cut: Cut, seed: int, *, alone: bool = False, chords: str | None = None
    ) -> list[list[Note]]:
        """The take that follows a cut's past, by bar from 0; ``alone`` has heard none of it.

        ``chords`` is the chart that is asked for, if any.
        """
        wish = _wish(cut, seed, chords)
        bars = [
            (bar, meter.num, meter.den, [wire.row(note) for note in notes])
            for bar, (meter, notes) in enumerate(zip(cut.meters, cut.past, strict=False))
        ]
        self._line.send(wire.Forget())
        if alone:
            wish = replace(wish, context_end=0)
        else:
            self._line.send(wire.Hear(bars))
        self._job += 1
        self._line.send(wire.Make(self._job, MODEL, wish))
        take: list[list[Note]] = [[] for _ in wish.rooms]
        for row in self._work():
            note = Note(*row)
            take[note.bar].append(note)
        return take

    def _work(self) -> list[wire.NoteRow]:
        """Let the worker do all that there is to do; the notes that it made."""
        made: list[wire.NoteRow] = []
        while (message := self._line.pump()) is not None:
            match message:
                case wire.Made(notes=notes):
                    made += notes
                case wire.JobFailed() | wire.Failed():
                    raise SidemanError(Code(message.code), message.text)
        return made


def _wish(cut: Cut, seed: int, chords: str | None) -> wire.Wish:
    """What the engine asks of its worker when a musician has played this and asks for more."""
    session = Session()
    session.meters = MeterMap(enumerate(cut.meters))
    track = session.track(TRACK)
    for bar in cut.past:
        for note in bar:
            session.play(track, note)
    start, bars = len(cut.past), len(cut.real)
    ask = Ask("continue", 1, TRACK, Keys(bars=bars, at=start, chords=chords))
    preset = presets.load(cut.preset)
    brief = settle(ask, track, session, preset, explicit=False, parameters={}, seed=seed, way="osc")
    return wish_for(brief, Place(Target(start), bars, start), session)


def _moved(bars: list[list[Note]], by: int) -> list[list[Note]]:
    return [
        [Note(n.bar + by, n.tick, n.program, n.pitch, n.duration, n.velocity) for n in bar]
        for bar in bars
    ]
