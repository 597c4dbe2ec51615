"""Takes, and the arrangement of takes on one track with its undo and redo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from engine.music import Note
from engine.tape import Tape


@dataclass(slots=True)
class Take:
    """What the player played once: the notes of ``bars`` bars from ``bar`` on, on one track.

    ``notes`` lie at absolute bars and are in order of onset once the take is closed.
    """

    number: int
    track: int
    bar: int
    bars: int
    verb: str = "continue"
    preset: str = ""
    model: str = ""
    model_hash: str = ""
    seed: int = 0
    variation: int = 0
    context_hash: str = ""
    notes: list[Note] = field(default_factory=list)
    channels: dict[int, int] = field(default_factory=dict)
    """Channel (1 to 16) of each program in the take."""
    closed: bool = False
    timing: dict[str, Any] = field(default_factory=dict)
    amends: bool = False
    """Whether it goes on for a take that was begun, and is undone together with it."""
    midi: bool = False
    """Whether it is played by MIDI where it lies on its track."""
    late_seconds: float | None = None
    """How late a note of it may still begin by MIDI; None for as late as any."""
    tape: Tape | None = None
    """Its sound, where it is one of sound."""
    report: dict[str, Any] = field(default_factory=dict)
    """How sound was made: prompt, licence, what was measured of it."""

    @property
    def end(self) -> int:
        """The first bar after the take."""
        return self.bar + self.bars

    def channel(self, program: int) -> int:
        """The channel, 1 to 16, of a program's notes."""
        return self.channels.get(program, 1)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Which takes a track plays. Immutable, so that undo is keeping the former one.

    Later takes cover earlier ones where their bars overlap, as a new recording does on tape.
    """

    active: tuple[int, ...] = ()
    kept: frozenset[int] = frozenset()

    def placed(self, take: int) -> Arrangement:
        """With ``take`` on top."""
        return replace(self, active=(*(t for t in self.active if t != take), take))

    def without(self, take: int) -> Arrangement:
        """With ``take`` off."""
        return Arrangement(tuple(t for t in self.active if t != take), self.kept - {take})

    def keeping(self, take: int) -> Arrangement:
        """With ``take`` kept; an alternative that was not playing is put on top."""
        shown = self if take in self.active else self.placed(take)
        return replace(shown, kept=shown.kept | {take})


class History:
    """Undo and redo over arrangements: each change keeps the arrangement that it replaced.

    ``limit`` bounds the memory of a night's session; the oldest steps are forgotten first.
    """

    def __init__(self, limit: int = 1000) -> None:
        self.now = Arrangement()
        self._done: list[Arrangement] = []
        self._undone: list[Arrangement] = []
        self._limit = limit

    def change(self, arrangement: Arrangement) -> None:
        """Make ``arrangement`` the present one. What had been undone can't be redone any more."""
        if arrangement == self.now:
            return
        self._done.append(self.now)
        del self._done[: -self._limit]
        self._undone.clear()
        self.now = arrangement

    def amend(self, arrangement: Arrangement) -> None:
        """Make ``arrangement`` the present one, as part of the last change."""
        self.now = arrangement

    def undo(self) -> bool:
        """Back to the former arrangement; False where there is none."""
        if not self._done:
            return False
        self._undone.append(self.now)
        self.now = self._done.pop()
        return True

    def redo(self) -> bool:
        """Forward to what was undone last; False where there is nothing."""
        if not self._undone:
            return False
        self._done.append(self.now)
        self.now = self._undone.pop()
        return True


def covering(active: Iterable[Take], bar: int) -> Take | None:
    """The take that sounds in ``bar``: the last placed one of those that hold it."""
    found = None
    for take in active:
        if take.bar <= bar < take.end:
            found = take
    return found
