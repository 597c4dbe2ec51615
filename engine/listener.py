"""Keeps a model's state warm on what is being played.

What was heard is a list of tokens, bar by bar, and a recurrent state is a function of the tokens
before it. So snapshots are kept under a running hash of those tokens: going back for an undo, a
variation or a corrected note is finding the longest stretch that was fed before, and nothing ever
has to be declared out of date. One thread only.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from engine.models.base import Snapshot, Stream
from engine.music import Meter, Note
from engine.tokens.encode import encode_bar
from engine.tokens.vocabulary import Vocabulary

WINDOW_BARS = 32
"""The context is at least the last 32 bars, and up to twice that: it begins at a multiple of 32, so
that it moves on only once in a while and equal songs have equal contexts."""

CHECKPOINT_TOKENS = 12
"""Inside the last bar a snapshot is kept every so many tokens, about three notes."""


@dataclass(slots=True)
class HeardBar:
    """A bar's tokens, and the running hash after each of them (first: before all of them)."""

    tokens: list[int]
    hashes: list[int] = field(default_factory=list)

    def follow(self, start: int) -> int:
        """The running hash after this bar where ``start`` is the one before it."""
        if not self.hashes or self.hashes[0] != start:
            self.hashes = [start]
            for token in self.tokens:
                start = hash((start, token))
                self.hashes.append(start)
        return self.hashes[-1]


def digest(context: Iterable[list[int]]) -> str:
    """A name for a context: equal for equal tokens, today and tomorrow."""
    tokens = array("i", [token for bar in context for token in bar])
    return hashlib.blake2b(tokens.tobytes(), digest_size=8).hexdigest()


class Listener:
    """The state of one model on one session.

    ``memory`` bounds its snapshots, in bytes; two are kept in any case.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        stream: Stream,
        *,
        prelude: Iterable[int] = (),
        memory: int = 96 * 2**20,
    ) -> None:
        self._vocabulary = vocabulary
        self._stream = stream
        self._zero = stream.snapshot()
        self._prelude = HeardBar(list(prelude))
        self._memory = memory
        self._used = 0
        self._snapshots: OrderedDict[int, Snapshot] = OrderedDict()
        self._bars: dict[int, HeardBar] = {}
        self._empty: dict[Meter, HeardBar] = {}
        self._meters: dict[int, Meter] = {}
        self._at = 0
        """Running hash of what the stream has been fed."""
        self._kept = 0
        """That of the whole present context, whose snapshot is not given up."""

    @property
    def stream(self) -> Stream:
        """The stream that listens, wherever it has got to."""
        return self._stream

    @property
    def end(self) -> int:
        """The bar after the last one with notes."""
        return max(self._bars, default=-1) + 1

    def hear(self, bar: int, meter: Meter, notes: Iterable[Note]) -> None:
        """From now on these notes, and no others, sound in ``bar``."""
        self._meters[bar] = meter
        notes = list(notes)
        if notes:
            self._bars[bar] = HeardBar(encode_bar(self._vocabulary, meter, notes))
        else:
            self._bars.pop(bar, None)

    def forget(self) -> None:
        """Nothing has been heard."""
        self._bars.clear()
        self._meters.clear()

    def context(self, end: int) -> list[HeardBar]:
        """The bars that a take at bar ``end`` follows.

        Silence before the first and after the last bar with notes is left out: the player goes on
        from where the musician stopped, not from a rest of twenty bars.
        """
        anchor = (end - WINDOW_BARS) // WINDOW_BARS * WINDOW_BARS
        heard = [bar for bar in self._bars if anchor <= bar < end]
        if not heard:
            return [self._prelude]
        inside = range(min(heard), max(heard) + 1)
        return [self._prelude, *(self._bars.get(bar) or self._silence(bar) for bar in inside)]

    def _silence(self, bar: int) -> HeardBar:
        meter = self._meters.get(bar) or self._meters[max(b for b in self._meters if b < bar)]
        if meter not in self._empty:
            self._empty[meter] = HeardBar(encode_bar(self._vocabulary, meter, []))
        # A copy: each empty bar has its own place in the chain of hashes.
        return HeardBar(self._empty[meter].tokens)

    def tokens(self, end: int) -> list[list[int]]:
        """The tokens of the context of a take at bar ``end``, bar by bar."""
        return [bar.tokens for bar in self.context(end)]

    def passages(self, end: int) -> list[tuple[int, list[int]]]:
        """The same, each bar with a number that is equal where all up to its end is equal."""
        running, found = 0, []
        for bar in self.context(end):
            running = bar.follow(running)
            found.append((running, bar.tokens))
        return found

    def mark(self, end: int) -> int:
        """A number that is equal for equal contexts; not to be kept."""
        running = 0
        for bar in self.context(end):
            running = bar.follow(running)
        return running

    def approach(self, end: int, limit: int = 1 << 30) -> int:
        """Bring the stream nearer to the state after the context of bar ``end``.

        Feeds up to ``limit`` tokens and returns how many; 0 once the stream is there.
        """
        return self._approach(self.context(end), limit)

    def advance(self, limit: int) -> bool:
        """Feed up to ``limit`` tokens of what has been heard. True where more may be to do."""
        end = self.end
        if self.approach(end, limit):
            return True
        # Nothing to do for now: prepare the context that will hold once the window moves on,
        # without letting go of the present one, or neither would ever be finished.
        self._kept = self._at
        ahead = (end // WINDOW_BARS + 1) * WINDOW_BARS
        return self._approach(self.context(ahead), limit) > 0

    def _missing(self, bars: list[HeardBar]) -> tuple[int | None, list[tuple[HeardBar, int]]]:
        """The running hash to start from, and the (bar, token index) pairs to be fed after it.

        The hash is None where nothing usable is kept and feeding starts from silence.
        """
        running = 0
        for bar in bars:
            running = bar.follow(running)
        todo: list[tuple[HeardBar, int]] = []
        for bar in reversed(bars):
            for i in range(len(bar.tokens), 0, -1):
                if bar.hashes[i] == self._at or bar.hashes[i] in self._snapshots:
                    todo.reverse()
                    return bar.hashes[i], todo
                todo.append((bar, i - 1))
        todo.reverse()
        return None, todo

    def _approach(self, bars: list[HeardBar], limit: int) -> int:
        """Feed up to about ``limit`` tokens towards the end of ``bars``; how many it was."""
        start, todo = self._missing(bars)
        if start is None:
            self._stream.restore(self._zero)
        elif start != self._at:
            self._stream.restore(self._snapshots[start])
            self._snapshots.move_to_end(start)
        self._at = 0 if start is None else start
        todo = todo[:limit]
        last = bars[-1]
        run: list[int] = []
        for bar, i in todo:
            run.append(bar.tokens[i])
            is_bar_end = i + 1 == len(bar.tokens)
            if is_bar_end or (bar is last and (i + 1) % CHECKPOINT_TOKENS == 0):
                self._feed(run, bar.hashes[i + 1])
                run = []
        if run:
            bar, i = todo[-1]
            self._feed(run, bar.hashes[i + 1])
        return len(todo)

    def _feed(self, tokens: list[int], running: int) -> None:
        self._stream.feed(np.array(tokens, dtype=np.int32))
        self._at = running
        if running in self._snapshots:
            return
        snapshot = self._stream.snapshot()
        self._snapshots[running] = snapshot
        self._used += snapshot.nbytes
        while self._used > self._memory and len(self._snapshots) > 2:
            oldest = next(key for key in self._snapshots if key != self._kept)
            self._used -= self._snapshots.pop(oldest).nbytes
