"""A bar that is to be what an earlier one was, token by token, as long as that may be.

Where grammar or request rule a token of the earlier bar out, the rest of the bar goes its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.recall.contexts import POSITION, PROGRAM, Numbers
from engine.recall.habit import Habit

SURE = np.float32(0.999)
"""Chance of the earlier bar's token, before the grammar has its say."""

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
    ) -> None:
        """``earlier(n)`` is the song's bar ``n`` bars before the take, from 1; ``bar`` is the Bar
        token. ``fit(tokens, i)`` makes of an earlier bar what the take's bar ``i`` may have of it.
        """
        self._earlier = earlier
        self._habit = habit
        self._bar = bar
        self._fit = fit
        self._own: list[list[int]] = []
        self._refrain: Refrain | None = None

    @property
    def share(self) -> float:
        """The share of the song's past in what comes next."""
        return 1.0 if self._refrain else self._habit.share

    def accept(self, token: int) -> None:
        """The take goes on with this token."""
        if token == self._bar:
            self._refrain = self._begin(len(self._own))
            self._own.append([])
        if self._own:
            self._own[-1].append(token)
        if self._refrain is not None:
            self._refrain.accept(token)

    def _begin(self, bar: int) -> Refrain | None:
        distance = self._habit.next()
        if not distance:
            return None
        source = bar - distance
        earlier = self._own[source] if source >= 0 else self._earlier(-source)
        return Refrain([*self._fit(earlier, bar), self._bar]) if earlier else None

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
