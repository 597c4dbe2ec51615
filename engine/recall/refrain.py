"""A bar that is to be what an earlier one was, token by token, as long as that may be.

Where grammar or request rule a token of the earlier bar out, the rest of the bar goes its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from itertools import pairwise, takewhile

import numpy as np
from numpy.typing import NDArray

from engine.recall.contexts import POSITION, PROGRAM, Numbers
from engine.recall.habit import Habit

SURE = np.float32(0.999)
"""Chance of the earlier bar's token, before the grammar has its say."""

STALE, WARMER, MOST_STILL = 0.6, 0.25, 3
"""For each time that a bar was repeated at once, up to three: what is left of the past's share, and
how much warmer the next one is drawn."""

NOTE_TOKENS = 4
"""Program, pitch, velocity, duration."""


class Refrain:
    """One take's place in the bar that it repeats."""

    def __init__(self, tokens: Sequence[int]) -> None:
        """``tokens`` of the earlier bar, from its Bar token to that of the bar after it."""
        self._tokens = tokens
        self._at = 0

    @property
    def expected(self) -> int | None:
        """The token that comes next; None once the take went its own way."""
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def accept(self, token: int) -> None:
        """The take goes on with this token."""
        self._at = self._at + 1 if token == self.expected else len(self._tokens)

    def urge(self, row: NDArray[np.float32]) -> None:
        """Make the expected token likely among log-probabilities ``[V]``, in place."""
        token = self.expected
        if token is not None:
            row += np.log1p(-SURE)
            row[token] = np.logaddexp(row[token], np.log(SURE))


class Course:
    """One take's way through its bars: which of them repeat which."""

    def __init__(
        self,
        earlier: Callable[[int], Sequence[int]],
        habit: Habit,
        bar: int,
        fit: Callable[[Sequence[int], int], Sequence[int]],
        content: Callable[[Sequence[int]], int] = lambda tokens: hash(tuple(tokens)),
    ) -> None:
        """``earlier(n)`` is the song's bar ``n`` bars before the take, from 1; ``bar`` is the Bar
        token. ``fit(tokens, i)`` makes of an earlier bar what the take's bar ``i`` may have of it.
        ``content`` is equal for bars that are taken to be the same.
        """
        self._content = content
        self._earlier = earlier
        self._habit = habit
        self._bar = bar
        self._fit = fit
        self._own: list[list[int]] = []
        self._refrain: Refrain | None = None
        self._still = 0
        """How often the bar before was repeated at once, in a row."""

    @property
    def share(self) -> float:
        """The share of the song's past in what comes next."""
        return 1.0 if self._refrain else min(self._habit.share, STALE**self._still)

    @property
    def warmth(self) -> float:
        """What temperature is multiplied with: who has said the same thing twice is bored."""
        return 1.0 if self._refrain else 1.0 + WARMER * self._still

    def accept(self, token: int) -> None:
        """The take goes on with this token."""
        if token == self._bar:
            self._still = self._count_still()
            self._refrain = self._begin(len(self._own))
            self._own.append([])
        if self._own:
            self._own[-1].append(token)
        if self._refrain is not None:
            self._refrain.accept(token)

    def _count_still(self) -> int:
        bar = len(self._own)
        last = [self._bar_before(bar, distance) for distance in range(1, MOST_STILL + 2)]
        contents = [self._content(tokens) for tokens in last if tokens]
        return len(list(takewhile(lambda pair: pair[0] == pair[1], pairwise(contents))))

    def _bar_before(self, bar: int, distance: int) -> Sequence[int]:
        """The bar so many bars before one of the take, as far as it concerns the take."""
        source = bar - distance
        return self._own[source] if source >= 0 else self._fit(self._earlier(-source), bar)

    def _begin(self, bar: int) -> Refrain | None:
        distance = self._habit.next()
        if not distance:
            return None
        earlier = self._bar_before(bar, distance)
        return Refrain([*earlier, self._bar]) if earlier else None

    def urge(self, row: NDArray[np.float32]) -> None:
        """Pull log-probabilities ``[V]`` towards the bar that is repeated, in place."""
        if self._refrain is not None:
            self._refrain.urge(row)


def only(tokens: Sequence[int], programs: Container[int], kinds: Numbers) -> list[int]:
    """A bar's tokens without the notes of other programs, and without positions left empty."""
    kept: list[int] = []
    position: int | None = None
    skip = 0
    for token in tokens:
        if skip:
            skip -= 1
        elif kinds[token] == POSITION:
            position = token
        elif kinds[token] == PROGRAM and token not in programs:
            skip = NOTE_TOKENS - 1
        else:
            if position is not None:
                kept.append(position)
                position = None
            kept.append(token)
    return kept
