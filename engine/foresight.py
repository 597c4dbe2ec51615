"""What was made ahead of the next request, kept where it can go out at once.

The worker says the notes of a guess as it makes them. At the trigger they lie here, in the engine's
own process: nobody has to be asked for the first bars. The worker is told afterwards, and goes on.
"""

from __future__ import annotations

from msgspec.structs import replace

from engine.worker.wire import Made, Speculate, Wish


class Foresight:
    """The latest guess, and what came of it so far. One thread only, the conductor's."""

    def __init__(self) -> None:
        self._count = 0
        self._guess: Speculate | None = None
        self._made: list[Made] = []

    def begin(self, model: str, wish: Wish) -> Speculate | None:
        """Make this one the guess. Returns what the worker is to be told; None where it was."""
        if self._is(model, wish):
            return None
        self._count += 1
        self._guess = Speculate(-self._count, model, wish)
        self._made = []
        return self._guess

    def add(self, made: Made) -> None:
        """The worker has made notes of a guess; of an earlier one they are of no use."""
        if self._guess is not None and made.job == self._guess.job:
            self._made.append(made)

    def void(self) -> None:
        """Something was heard, or another computes from now on: what was made does not hold."""
        self._guess = None
        self._made = []

    def made(self, model: str, wish: Wish, job: int) -> list[Made]:
        """The notes that were made of this very wish, as those of ``job``."""
        found = self._made if self._is(model, wish) else []
        return [replace(made, job=job) for made in found]

    def _is(self, model: str, wish: Wish) -> bool:
        guess = self._guess
        return guess is not None and guess.model == model and guess.wish == wish
