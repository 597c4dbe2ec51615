"""How fast this machine makes music, by its own measurements: what deadlines are reckoned with."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_NOTE_TOKENS = 8
"""Bar, meter, position, program, pitch, velocity, duration, and one to spare."""

NOTE_TOKENS = 4.6
"""Tokens that a note becomes, on average over what the model learned from."""

SMOOTHING = 0.2
"""Weight of the latest measurement."""


@dataclass(slots=True)
class Speed:
    """Running means. ``token_seconds`` counts the grammar and the sampling as well as the step."""

    token_seconds: float = 0.001
    bar_tokens: float = 48.0
    token_steps: float = 1.6
    """A token's time in steps of the model, by what ``sideman bench`` found on this machine."""

    heard_until: float = 0.0
    """When the worker will have fed all that it was told."""

    def told(self, notes: int, now: float) -> None:
        """The worker was told so many notes that it did not know."""
        feeding = notes * NOTE_TOKENS * self.token_seconds / self.token_steps
        self.heard_until = max(self.heard_until, now) + feeding

    def backlog(self, now: float) -> float:
        """Seconds until the worker has fed all that it was told."""
        return max(0.0, self.heard_until - now)

    def stepped(self, step_seconds: float) -> None:
        """A freshly loaded model measured its step: a first guess until takes have been made."""
        self.token_seconds = step_seconds * self.token_steps

    def made(self, tokens: int, seconds: float, bars: int, sequences: int) -> None:
        """A request was made: ``tokens`` over ``sequences`` takes of ``bars`` bars."""
        if tokens <= 0 or bars <= 0:
            return
        self.token_seconds += SMOOTHING * (seconds * sequences / tokens - self.token_seconds)
        self.bar_tokens += SMOOTHING * (tokens / (bars * sequences) - self.bar_tokens)

    def first_note(self) -> float:
        """Seconds from a warm state to the first note."""
        return FIRST_NOTE_TOKENS * self.token_seconds

    def take(self, bars: int) -> float:
        """Seconds for a whole take."""
        return bars * self.bar_tokens * self.token_seconds

    def head_start(self, bars: int, bar_seconds: float) -> float:
        """Seconds that have to be made ahead so that no later bar line is missed."""
        return max(0.0, bars * (self.bar_tokens * self.token_seconds - bar_seconds))
