"""A token data set as the trainer reads it: pieces, their variants, and lanes of music.

A *lane* is one endless sequence of a batch: pieces one after another, each whole and in order, so
that the model's state can be carried from segment to segment and nothing is padding.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError
from engine.tokens.conditions import names
from training.conditions import Teller
from training.tokenize.config import Piece
from training.tokenize.merging import merges_of

Tokens = NDArray[np.uint16]

CONDITIONS = sorted({name.partition("_")[0] for name in names(())} | {"Cast"})
"""Kinds of tokens that say what is to be played."""

TRANSPOSITIONS = range(-6, 6)
"""Semitones. Drums are never transposed."""


@dataclass(frozen=True, slots=True)
class Augment:
    """How a piece is varied each time it is heard, and where lanes start anew."""

    transpose: bool = True
    thin: float = 0.4
    """Chance that a piece of several programs keeps only some of them: small bands are the rule
    on stage."""

    restart: float = 0.08
    """Chance that a lane leaves its piece at a segment's start and begins with an empty state."""

    inside: float = 0.5
    """Chance that such a beginning is a bar inside a piece: a listener comes in at any bar."""

    velocity: int = 0
    """Levels that a piece may be louder or softer, at most."""

    tempo: int = 0
    """Levels that it may be faster or slower, at most, where the vocabulary has tempos."""

    tell: float = 0.85
    """Chance that a piece is told of what is in its bars, where the vocabulary has conditions."""


class Vocabulary:
    """What the variants need to know about token ids."""

    def __init__(self, folder: Path) -> None:
        """Read ``tokenizer.json`` of a data set or model folder."""
        path = folder / "tokenizer.json"
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            self._learn(settings["tokens"])
            self.merges = merges_of(settings)
        except (OSError, ValueError, KeyError) as error:
            raise SidemanError(Code.BAD_FILE, f"{path}: not a tokenizer: {error}") from error
        self.plain = self
        """The vocabulary of tokens that are not merged, which the variants are made in."""
        if self.merges:
            base: dict[str, int] = settings["_vocab_base"]
            self.plain = Vocabulary.__new__(Vocabulary)
            self.plain._learn(sorted(base, key=base.__getitem__))
            self.plain.merges, self.plain.plain = None, self.plain

    def _learn(self, names: list[str]) -> None:
        base = {name: token for token, name in reversed(list(enumerate(names)))}
        self.names = names
        self.size = len(names)
        self.begin = base["BOS_None"]
        self.end = base["EOS_None"]
        self.kind = np.zeros(self.size, dtype="U12")
        for token, name in enumerate(names):
            self.kind[token] = "Merged" if "+" in name else name.partition("_")[0]
        self.is_bar = np.array([name.startswith("Bar_") for name in names])
        self.is_condition = np.isin(self.kind, CONDITIONS)
        """Tokens that are told and never predicted."""
        self.is_position = self.kind == "Position"
        self.is_program = self.kind == "Program"
        self.is_note = np.array([name.count("Velocity_") for name in names])
        """Notes in a token: 0 or 1, and more in merged ones."""
        self.is_entry = self.is_bar
        """Where a listener may come in: at a bar, or a track where tracks follow one another."""
        self.by_track = "Track_Start" in base
        if self.by_track:
            self.is_entry = np.array([name.startswith("Track_Start") for name in names])
        tokens = np.flatnonzero(self.kind == "Pitch").tolist()
        pitches = {int(names[token].removeprefix("Pitch_")): token for token in tokens}
        self._shift = {by: self._shift_table(pitches, by) for by in TRANSPOSITIONS}

    def _shift_table(self, pitches: dict[int, int], by: int) -> Tokens:
        table = np.arange(self.size, dtype=np.uint16)
        for pitch, token in pitches.items():
            target = pitch + by
            if target not in pitches:  # past the end of the range: the same note an octave inside
                target += 12 if by < 0 else -12
            table[token] = pitches.get(target, token)
        return table

    def split(self, tokens: Tokens) -> Tokens:
        """In tokens of :attr:`plain`."""
        return self.merges.split(tokens) if self.merges else tokens

    def merge(self, tokens: Tokens) -> Tokens:
        """Tokens of :attr:`plain` in those of this vocabulary."""
        return self.merges.merge(tokens) if self.merges else tokens

    def transpose(self, tokens: Tokens, by: int) -> Tokens:
        """The same music ``by`` semitones higher, drums as they were."""
        return self.merge(self.plain._shift[by][self.split(tokens)])

    def step(self, kind: str, tokens: Tokens, by: int) -> Tokens:
        """The same music with each ``Velocity``, or each ``Tempo``, ``by`` levels higher, as far as
        there are levels. Unmerged tokens only."""
        ids = np.flatnonzero(self.kind == kind)
        levels = ids[np.argsort([float(self.names[token].partition("_")[2]) for token in ids])]
        table = np.arange(self.size, dtype=np.uint16)
        table[levels] = levels[np.clip(np.arange(len(levels)) + by, 0, len(levels) - 1)]
        return table[tokens]

    def thin(self, tokens: Tokens, keep: set[int]) -> Tokens:
        """Only the notes of the programs whose tokens are in ``keep``; all bars stay."""
        kept = np.ones(len(tokens), dtype=bool)
        programs = np.flatnonzero(self.is_program[tokens])
        dropped = programs[~np.isin(tokens[programs], list(keep))]
        for offset in range(4):  # program, pitch, velocity, duration
            kept[dropped + offset] = False
        # A position that no note follows any more goes as well.
        heard = np.cumsum(self.is_program[tokens] & kept)
        marks = np.flatnonzero(self.is_position[tokens] | self.is_bar[tokens])
        following = np.append(heard[marks[1:] - 1], heard[-1])
        silent = marks[self.is_position[tokens[marks]] & (following == heard[marks])]
        kept[silent] = False
        return tokens[kept]


class TokenSet:
    """A token data set, opened for reading."""

    def __init__(self, folder: Path) -> None:
        """Raises ``bad-file`` where ``folder`` holds no token data set."""
        self.folder = folder
        try:
            manifest = json.loads((folder / "pieces.json").read_text(encoding="utf-8"))
            self._tokens: Tokens = np.load(folder / "tokens.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise SidemanError(Code.BAD_FILE, f"{folder}: not a token data set: {error}") from error
        self.vocabulary = Vocabulary(folder)
        self.pieces = [Piece(**entry) for entry in manifest["pieces"]]
        self.recipe = manifest["recipe"]
        self.weights = {entry["name"]: entry["weight"] for entry in self.recipe["collections"]}

    def tokens(self, piece: Piece) -> Tokens:
        """One piece, without BOS and EOS."""
        return self._tokens[piece.start : piece.start + piece.length]

    def select(self, split: str, collection: str | None = None) -> list[Piece]:
        """Pieces of one side of the split, of one collection or of all."""
        return [
            piece
            for piece in self.pieces
            if piece.split == split and collection in (None, piece.collection)
        ]


class Lanes:
    """Segments of music for training, one row a lane."""

    def __init__(self, data: TokenSet, lanes: int, augment: Augment, seed: int) -> None:
        """Draws pieces so that each collection has its weight among the *tokens* heard."""
        self._data = data
        self._augment = augment
        self._random = np.random.default_rng(seed)
        heard = {piece.collection for piece in data.select("train")}
        self._weights = {name: w for name, w in data.weights.items() if w > 0 and name in heard}
        if not self._weights:
            raise SidemanError(Code.BAD_FILE, f"{data.folder}: no piece of it is for training")
        self._queues: dict[str, list[Piece]] = {name: [] for name in self._weights}
        self._heard = dict.fromkeys(self._weights, 0)
        self._buffers: list[Tokens] = [np.zeros(0, dtype=np.uint16)] * lanes
        self._teller = Teller(data.folder) if data.vocabulary.is_condition.any() else None

    def segment(self, length: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The next ``length`` steps: tokens [lanes, length + 1], and the lanes that start anew.

        A segment's last token is the next one's first, so that every token is predicted once.
        """
        rows, fresh = [], []
        for lane, buffer in enumerate(self._buffers):
            anew = len(buffer) == 0 or self._random.random() < self._augment.restart
            if anew:
                buffer = self._next_piece(self._random.random() < self._augment.inside)
            while len(buffer) <= length:
                buffer = np.concatenate((buffer, self._next_piece(False)))
            rows.append(buffer[: length + 1].astype(np.int64))
            fresh.append(anew)
            self._buffers[lane] = buffer[length:]
        return np.stack(rows), np.asarray(fresh)

    def state(self) -> dict[str, Any]:
        """All that decides the segments to come, in plain values: :meth:`restore` takes it."""
        return {
            "random": json.dumps(self._random.bit_generator.state),
            "heard": dict(self._heard),
            "queues": {name: [p.start for p in queue] for name, queue in self._queues.items()},
            "buffers": [buffer.tolist() for buffer in self._buffers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state` was asked, with the same segments."""
        at = {piece.start: piece for piece in self._data.pieces}
        self._random.bit_generator.state = json.loads(state["random"])
        self._heard = dict(state["heard"])
        self._queues = {name: [at[s] for s in starts] for name, starts in state["queues"].items()}
        self._buffers = [np.asarray(buffer, dtype=np.uint16) for buffer in state["buffers"]]

    def _next_piece(self, inside: bool) -> Tokens:
        collection = min(self._weights, key=lambda name: self._heard[name] / self._weights[name])
        queue = self._queues[collection]
        if not queue:
            queue += self._data.select("train", collection)
            self._random.shuffle(queue)
        tokens = self._vary(queue.pop())
        if inside:
            entries = np.flatnonzero(self._data.vocabulary.is_entry[tokens])
            tokens = tokens[entries[self._random.integers(0, max(1, len(entries) * 3 // 4))] :]
        vocabulary = self._data.vocabulary
        self._heard[collection] += len(tokens)
        return np.concatenate(([vocabulary.begin], tokens, [vocabulary.end])).astype(np.uint16)

    def _vary(self, piece: Piece) -> Tokens:
        whole, random, augment = self._data.vocabulary, self._random, self._augment
        vocabulary = whole.plain
        tokens = plain = whole.split(self._data.tokens(piece))
        by = int(random.choice(TRANSPOSITIONS)) if augment.transpose else 0
        tokens = vocabulary.transpose(tokens, by)
        for kind, most in (("Velocity", augment.velocity), ("Tempo", augment.tempo)):
            if most:
                tokens = vocabulary.step(kind, tokens, int(random.integers(-most, most + 1)))
        programs = np.unique(tokens[vocabulary.is_program[tokens]])
        many = len(programs) > 1 and not vocabulary.by_track
        if many and random.random() < augment.thin:
            count = int(random.integers(1, len(programs)))
            keep = random.choice(programs, size=count, replace=False)
            tokens = vocabulary.thin(tokens, set(keep.tolist()))
        if self._teller is not None and random.random() < augment.tell:
            chords = self._teller.chords(piece.start, plain)
            tokens = self._teller.tell(tokens, chords, by, random)
        return whole.merge(tokens)
