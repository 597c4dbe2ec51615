"""What a song has been so far, indexed by context; and takes in the making that go on from it.

A :class:`Memory` follows a listener's context bar by bar. A :class:`Recollection` is what one
making sees of it: the past as it was when the making began, and its own tokens on top. One thread
only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from engine.models.folder import ModelInfo
from engine.recall import contexts
from engine.recall.balance import Balance, Counts, Scales, longest_rows, pitch_classes
from engine.recall.bars import Picture, Signs, Struck, picture
from engine.recall.blend import LATEST, Reals
from engine.recall.chains import FREE, Places
from engine.recall.contexts import (
    COUNT,
    KIND_COUNT,
    PITCH,
    PROGRAM,
    RUNS,
    VELOCITY,
    Numbers,
    Tokens,
)
from engine.recall.form import Echo, Form
from engine.recall.gate import Gate
from engine.recall.habit import Habit
from engine.recall.loops import fastest
from engine.recall.refrain import Course
from engine.sampling import COLDEST
from engine.tokens.vocabulary import Vocabulary
from engine.worker.wire import Wish

TAIL = max(RUNS)
"""Tokens before the present one that a context reaches back to."""

FEWEST = 4096
"""Tokens that there is room for from the start; it doubles as it fills."""

MOST_BARS = 512
"""Different bars whose notes are kept in mind."""

MOST_OUTLOOKS = 8
"""Sets of instruments whose outlook is."""

ALL = np.ones(KIND_COUNT, dtype=np.float32)
"""After which kinds of tokens the past has a say: all of them."""

KNOWN = np.array([kind in (PROGRAM, PITCH, VELOCITY) for kind in range(KIND_COUNT)], np.float32)
"""Or only inside of notes."""

LOAD = 2
"""Slots of the table for each context at least."""

NONE = -1
"""In the place of a token that is no music."""

NARROW = 0.01
"""At this top-p and below nothing but the likeliest token is left."""

CROWDED = 0.75
"""Part of the slots that may be filled before a new table is made."""


class Past:
    """Tokens, their contexts and chains: the arrays that the loops work on."""

    def __init__(self, kinds: Numbers, room: int = FEWEST) -> None:
        self.kinds = kinds
        self.length = 0
        self.state = contexts.beginning(len(kinds))
        self.readers: WeakSet[Recollection] = WeakSet()
        self.tokens: Tokens = np.zeros(room, dtype=np.int32)
        self.contexts: Numbers = np.zeros((room + 1, COUNT), dtype=np.int64)
        self.earlier: Places = np.zeros((room, COUNT), dtype=np.int32)
        slots = 1 << (LOAD * COUNT * room - 1).bit_length()
        self.keys: Numbers = np.full(slots, FREE, dtype=np.int64)
        self.latest: Tokens = np.zeros(slots, dtype=np.int32)
        self.filled = 0
        """Slots of the table that have a key, also those whose places were taken back."""
        fastest().walk(self.tokens, 0, 0, kinds, self.state, self.contexts)

    def copy(self, room: int) -> Past:
        """The same past with room for so many tokens, read by nobody."""
        other = Past(self.kinds, room)
        other.add(self.tokens[: self.length])
        return other

    def add(self, tokens: Iterable[int] | Tokens) -> None:
        """Append tokens; there must be room."""
        loops = fastest()
        fresh = np.asarray(tokens, dtype=np.int32)
        first, last = self.length, self.length + len(fresh)
        self.tokens[first:last] = fresh
        loops.walk(self.tokens, first, last, self.kinds, self.state, self.contexts)
        self.filled += loops.link(self.contexts, first, last, self.earlier, self.keys, self.latest)
        self.length = last

    def has_room(self, tokens: int) -> bool:
        """Whether so many more fit: into the arrays, and into a table that stays fast."""
        crowd = self.filled + COUNT * tokens
        return self.length + tokens <= len(self.tokens) and crowd <= CROWDED * len(self.keys)

    def take_back(self, length: int, state: Numbers) -> None:
        """Be ``length`` tokens long again, where ``state`` was the state."""
        loops = fastest()
        loops.unlink(self.contexts, length, self.length, self.earlier, self.keys, self.latest)
        self.length = length
        self.state = state.copy()
        loops.walk(self.tokens, length, length, self.kinds, self.state, self.contexts)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a bar ended: its running hash, the tokens up to it, the state after it; and the bar."""

    running: int
    length: int
    state: Numbers
    bar: HeardBar


@dataclass(frozen=True, slots=True)
class HeardBar:
    """A bar as its notes."""

    notes: Sequence[Struck]
    picture: Picture
    pitch_classes: Mapping[int, Counts]


@dataclass(slots=True)
class Outlook:
    """What takes of some instruments have before them, up to the bar that ended so."""

    form: Form
    running: int | None = None
    echoes: Sequence[Echo | None] = ()
    around: int = 0
    scales: Scales | None = None


class Memory:
    """The past of one player's song."""

    def __init__(self, vocabulary: Vocabulary, gate: Gate) -> None:
        self.gate = gate
        self._vocabulary = vocabulary
        self._signs = Signs.of(vocabulary)
        self._past = Past(contexts.kinds_of(vocabulary))
        self._marks: list[Mark] = []
        self._read: dict[tuple[int, ...], HeardBar] = {}
        """Bars by their tokens: songs repeat them, and a window that moves on keeps them."""
        self._outlooks: dict[frozenset[int], Outlook] = {}
        """By the programs that count."""

    @classmethod
    def of(cls, folder: Path, info: ModelInfo, vocabulary: Vocabulary) -> Memory | None:
        """An empty one for the model in ``folder``; None where the model has no gate."""
        gate = Gate.of(folder, info)
        return None if gate is None else cls(vocabulary, gate)

    def __len__(self) -> int:
        """Tokens that are remembered."""
        return self._past.length

    def follow(self, bars: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Remember just these bars: each a running hash, unlike any other context's, and tokens.

        What is remembered already stays; whoever reads the past that is to change keeps the old.
        """
        same = 0
        for mark, (running, _) in zip(self._marks, bars, strict=False):
            if mark.running != running:
                break
            same += 1
        if same == len(self._marks) == len(bars):
            return
        self._shorten(same)
        fresh = sum(len(tokens) for _, tokens in bars[same:])
        self._make_room(fresh)
        for running, tokens in bars[same:]:
            self._past.add(tokens)
            state = self._past.state.copy()
            self._marks.append(Mark(running, self._past.length, state, self._bar(tokens)))

    def _bar(self, tokens: Sequence[int]) -> HeardBar:
        key = tuple(tokens)
        if key not in self._read:
            if len(self._read) >= MOST_BARS:
                self._read.clear()
            notes = self._signs.read(key)
            counts = pitch_classes(self._vocabulary, notes)
            self._read[key] = HeardBar(notes, picture(notes), counts)
        return self._read[key]

    def outlook(self, programs: Iterable[int]) -> Outlook:
        """How the song repeats itself and what it plays, as far as some instruments go."""
        asked = frozenset(programs)
        if asked not in self._outlooks:
            while len(self._outlooks) >= MOST_OUTLOOKS:
                del self._outlooks[next(iter(self._outlooks))]
            self._outlooks[asked] = Outlook(Form(asked))
        found = self._outlooks[asked]
        running = self._marks[-1].running if self._marks else None
        if found.scales is None or found.running != running:
            bars = [mark.bar for mark in self._marks[1:]]
            found.form.follow([bar.picture for bar in bars])
            found.echoes, found.around = found.form.echoes(), found.form.round()
            counts = [bar.pitch_classes for bar in bars]
            rows = longest_rows(bar.notes for bar in bars)
            found.scales = Scales(self._vocabulary, counts, asked, rows)
            found.running = running
        return found

    def _shorten(self, bars: int) -> None:
        if bars == len(self._marks):
            return
        past = self._past
        length = self._marks[bars - 1].length if bars else 0
        state = self._marks[bars - 1].state if bars else contexts.beginning(len(past.kinds))
        if past.readers:
            self._past = Past(past.kinds, len(past.tokens))
            self._past.add(past.tokens[:length])
        else:
            past.take_back(length, state)
        del self._marks[bars:]

    def _make_room(self, fresh: int) -> None:
        past = self._past
        if past.has_room(fresh) and not past.readers:
            return
        room = len(past.tokens)
        while room < past.length + fresh:
            room *= 2
        self._past = past.copy(room)

    def recollect(self, wish: Wish) -> Recollection:
        """What the takes of a wish, that follow the past, see of it.

        Where an instrument was never heard, the past does not know that it may join in: who plays,
        and where, is then left to the network, and only what they play is not.
        """
        ids = self._vocabulary.program_ids
        programs = {ids[program] for program in wish.programs if program in ids}
        last = self._past.state[contexts.LAST_PITCHES :]
        says = KNOWN if any(last[program] < 0 for program in programs) else ALL
        outlook, marks = self.outlook(wish.programs), self._marks

        def earlier(bars: int) -> Sequence[Struck] | None:
            """The bar of the song that lies so many bars back; nothing before the first."""
            return marks[-bars].bar.notes if bars < len(marks) else None

        scales = outlook.scales
        if wish.key is not None or any(room.chords for room in wish.rooms):
            scales = None  # the wish says itself which pitches are to sound
        courses = [
            Course(
                earlier,
                Habit(outlook.echoes, len(wish.rooms), *lot, outlook.around),
                self._signs,
                frozenset(wish.programs),
                None if scales is None else Balance(scales, wish.recall),
            )
            for lot in _lots(wish)
        ]
        return Recollection(self._past, self.gate, courses, wish.recall * says)


def _lots(wish: Wish) -> list[tuple[int, int]]:
    """Seed and number of each sequence; all the same where the likeliest is asked for."""
    count = wish.variations * wish.candidates
    if wish.temperature <= COLDEST or wish.top_p <= NARROW or wish.top_k == 1:
        return [(0, 0)] * count
    return [(wish.seed, number) for number in range(count)]


class Recollection:
    """Several takes side by side, each with the same past and tokens of its own."""

    def __init__(
        self,
        past: Past,
        gate: Gate,
        courses: Sequence[Course],
        says: NDArray[np.float32],
    ) -> None:
        """``says`` is the share of the past after each kind of token."""
        past.readers.add(self)
        self._past = past
        self._gate = gate
        self._says = says
        self._courses = list(courses)
        self._own = Sequels(past, len(courses))
        self._shifted = self._chances = np.zeros((0, 0), dtype=np.float32)
        self._findings = Findings()

    def expect(
        self, logits: NDArray[np.float32], rows: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Log-probabilities ``[n, V]``: what the network expects by the ``logits`` ``[B, V]`` of
        all takes, mixed with what followed before. They are of the takes ``rows``; None is all.

        Valid until the next call.
        """
        courses, at = self._courses, self._own.rows
        if rows is not None and len(rows) < len(courses):
            courses, at, logits = [courses[row] for row in rows], at[rows], logits[rows]
        own, past, gate = self._own, self._past, self._gate
        if self._chances.shape != logits.shape:
            self._shifted, self._chances = np.empty((2, *logits.shape), dtype=np.float32)
        shifted, chances = self._shifted, self._chances
        np.subtract(logits, np.maximum.reduce(logits, axis=1, keepdims=True), out=shifted)
        np.exp(shifted, out=chances)
        total = np.add.reduce(chances, axis=1)
        chances /= total[:, None]
        entropy = np.log(total) - np.einsum("bv,bv->b", chances, shifted)
        share = np.array([c.share if c.free else 1.0 for c in courses], np.float32)
        fastest().mix(
            chances, entropy, 1 / total, self._says, share, at,
            past.tokens, past.earlier, past.keys, past.latest,
            own.states, own.tokens, own.contexts, own.first, own.lengths,
            gate.base, gate.experts, *self._findings.arrays,
        )  # fmt: skip
        np.log(chances, out=chances)
        for row, course in zip(chances, courses, strict=True):
            course.urge(row)
        return chances

    def accept(self, tokens: Sequence[int | None]) -> None:
        """Each take goes on with its token ``[B]``; None is one that is no music."""
        self._own.add([NONE if token is None else token for token in tokens])
        for course, token in zip(self._courses, tokens, strict=True):
            if token is not None:
                course.accept(token)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these takes only, in this order."""
        self._own.keep(rows)
        self._courses = [self._courses[row] for row in rows]


class Findings:
    """What `blend` leaves behind of its last call; see there."""

    def __init__(self) -> None:
        self.found: Places = np.zeros((COUNT, LATEST), dtype=np.int32)
        self.shares: Reals = np.zeros((COUNT, LATEST), dtype=np.float64)
        self.seen: Reals = np.zeros((COUNT, 2), dtype=np.float64)
        self.parts: Reals = np.zeros(COUNT + 1, dtype=np.float64)
        self.counts: Numbers = np.zeros(COUNT, dtype=np.int64)
        self.arrays = (self.found, self.shares, self.seen, self.parts, self.counts)


class Sequels:
    """The own tokens of takes side by side, behind the last ones of the past that they share."""

    def __init__(self, past: Past, takes: int, room: int = 512) -> None:
        tail = past.tokens[max(0, past.length - TAIL) : past.length]
        self.first = len(tail)
        self.rows: Numbers = np.arange(takes)
        """The takes that still go on; what stands below has all of them."""
        self.lengths: Numbers = np.full(takes, self.first)
        self.tokens: Places = np.zeros((takes, room), dtype=np.int32)
        self.tokens[:, : self.first] = tail
        self.states: Numbers = np.repeat(past.state[None], takes, axis=0)
        self.contexts: Numbers = np.zeros((takes, room + 1, COUNT), dtype=np.int64)
        self.contexts[:, self.first] = past.contexts[past.length]
        self._kinds = past.kinds
        self._longest = self.first

    def add(self, tokens: Sequence[int]) -> None:
        """Each goes on with its token, or none where that is below 0."""
        if self._longest == self.tokens.shape[1]:
            self.tokens = np.concatenate((self.tokens, np.zeros_like(self.tokens)), axis=1)
            self.contexts = np.concatenate((self.contexts, np.zeros_like(self.contexts)), axis=1)
        self._longest += 1
        fastest().advance(
            np.array(tokens), self.rows, self._kinds,
            self.states, self.tokens, self.contexts, self.lengths,
        )  # fmt: skip

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these only."""
        self.rows = self.rows[list(rows)]
