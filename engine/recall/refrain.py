"""A bar that is to be what an earlier one was, as nearly as it was drawn to be.

Some of the earlier bar's notes are held: all but certain, in their places. Where others stood the
take is free, but for what it was the last time, up to the next note that is held. What grammar or
request rule out is gone, and the notes behind it still come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from itertools import pairwise, takewhile

import numpy as np
from numpy.typing import NDArray

from engine.recall.balance import Balance
from engine.recall.bars import Picture, Signs, Struck, picture
from engine.recall.contexts import BAR, PITCH, POSITION, PROGRAM, VELOCITY
from engine.recall.habit import Habit

SURE = np.float32(0.999)
"""Chance of a note that is held, before the grammar has its say."""

LOG_SURE = np.log(SURE)

UNSURE = np.float32(math.log1p(-SURE))

OTHERWISE = np.float32(math.log(0.03))
"""Added to a free note's pitch of the last time, or the bar would be the same again."""

STALE, WARMER, MOST_STILL = 0.6, 0.25, 3
"""For each time that a bar was repeated at once, up to three: what is left of the past's share, and
how much warmer the next one is drawn."""

START = -1, -2, -1
"""The place before the first note; programs begin at -1."""

Row = NDArray[np.float32]


class Refrain:
    """One take's place in the bar that it repeats."""

    def __init__(self, notes: Sequence[Struck], held: Sequence[bool], signs: Signs) -> None:
        """``notes`` of the earlier bar, and which of them are ``held``."""
        self._notes = notes
        self._places = [note.place for note in notes]
        self._held = held
        self._signs = signs
        self._place = START
        self._kind = BAR
        self._next = 0
        self._here: Struck | None = None
        """The earlier bar's note in this very place."""

    @property
    def free(self) -> bool:
        """Whether what comes next is left open."""
        if self._kind in (PITCH, VELOCITY):
            return self._here is None
        return self._next < len(self._notes) and not self._held[self._next]

    def accept(self, token: int) -> None:
        """The take goes on with this token."""
        self._kind = self._signs.kinds[token]
        if self._kind == POSITION:
            self._place = token, *START[1:]
        elif self._kind == PROGRAM:
            self._place = self._place[0], self._signs.programs[token], -1
        elif self._kind == PITCH:
            self._place = *self._place[:2], token
        else:
            return
        self._here = None
        places, place = self._places, self._place
        while self._next < len(places) and places[self._next] <= place:
            if places[self._next] == place:
                self._here = self._notes[self._next]
            self._next += 1

    def urge(self, row: Row) -> None:
        """Pull log-probabilities ``[V]`` towards the bar that is repeated, in place."""
        if not self.free:
            token = self._expected()
            if token is not None:
                row += UNSURE
                row[token] = np.logaddexp(row[token], LOG_SURE)
        elif self._kind not in (PITCH, VELOCITY):
            note = self._notes[self._next]
            if self._kind == PROGRAM and self._is_here(note):
                row[note.pitch] += OTHERWISE
            held = next((n for n, h in self._rest() if h), None)
            if held is not None:
                self._reserve(row, held)

    def _rest(self) -> zip[tuple[Struck, bool]]:
        return zip(self._notes[self._next :], self._held[self._next :], strict=True)

    def _is_here(self, note: Struck) -> bool:
        """Whether a note stands where the last Program token has brought the take."""
        return note.place[:2] == self._place[:2]

    def _expected(self) -> int | None:
        """The token that leads to the next note; None where the take has gone elsewhere."""
        if self._here is not None and self._kind in (PITCH, VELOCITY):
            return self._here.velocity if self._kind == PITCH else self._here.duration
        if self._next == len(self._notes):
            return None if self._kind in (POSITION, PROGRAM) else self._signs.bar
        note = self._notes[self._next]
        if self._kind == PROGRAM:
            return note.pitch if self._is_here(note) else None
        if note.position == self._place[0]:
            return self._signs.program_ids[note.program]
        return None if self._kind == POSITION else note.position

    def _reserve(self, row: Row, held: Struck) -> None:
        """Make everything unlikely that would leave the note that is held behind."""
        here = held.position == self._place[0]
        if self._kind == PROGRAM:
            if self._is_here(held):
                row[held.pitch + 1 :] += UNSURE
            return
        if here:
            for token, program in self._signs.programs.items():
                if program > held.program:
                    row[token] += UNSURE
        if self._kind != POSITION:
            positions = self._signs.positions
            first = positions.start if here else held.position + 1
            row[first : positions.stop] += UNSURE
            row[self._signs.bar] += UNSURE


class Course:
    """One take's way through its bars: which of them repeat which."""

    def __init__(
        self, earlier: Callable[[int], Sequence[Struck] | None], habit: Habit, signs: Signs,
        programs: Container[int], balance: Balance | None = None,
    ) -> None:  # fmt: skip
        """``earlier(n)`` are the song's notes ``n`` bars before the take, from 1, or None; of these
        and of the take's, those of ``programs`` count. ``balance`` is the take's, if it has one.
        """
        self._earlier = earlier
        self._habit = habit
        self._signs = signs
        self._programs = programs
        self._balance = balance
        self._own: list[list[Struck]] = []
        """The take's bars, but for the last."""
        self._tokens: list[int] | None = None
        """Of the last one; None before the first."""
        self._refrain: Refrain | None = None
        self.free = True
        """Whether what comes next is no repetition."""
        self.share = habit.share
        """The share of the song's past in it then."""
        self._warmth = 1.0

    def accept(self, token: int) -> None:
        """The take goes on with this token."""
        if token == self._signs.bar:
            self._enter_bar()
        elif self._tokens is not None:
            self._tokens.append(token)
        if self._refrain is not None:
            self._refrain.accept(token)
            self.free = self._refrain.free
        if self._balance is not None:
            self._balance.accept(token)

    def _enter_bar(self) -> None:
        if self._tokens is not None:
            self._own.append(self._mine(self._signs.read(self._tokens)))
        self._tokens = []
        still = self._count_still()
        self.share = min(self._habit.share, STALE**still)
        # Who has said the same thing twice is bored.
        self._warmth = 1.0 + WARMER * still
        self._refrain, self.free = self._begin(), True

    def urge(self, row: Row) -> None:
        """Make log-probabilities ``[V]`` what the take would have them be, in place.

        In a bar that is repeated they are pulled towards the earlier one. Where the take is free
        its pitch classes are balanced, and all is the more even the longer nothing changed.
        """
        if self.free:
            if self._balance is not None:
                self._balance.urge(row)
            if self._warmth != 1:
                row /= self._warmth
        if self._refrain is not None:
            self._refrain.urge(row)

    def _count_still(self) -> int:
        last = [self._bar_before(distance) for distance in range(1, MOST_STILL + 2)]
        pictures: list[Picture] = [picture(notes) for notes in last if notes is not None]
        return len(list(takewhile(lambda pair: pair[0] == pair[1], pairwise(pictures))))

    def _bar_before(self, distance: int) -> Sequence[Struck] | None:
        """The bar so many bars before the one that begins, as far as it concerns the take."""
        if distance <= len(self._own):
            return self._own[-distance]
        notes = self._earlier(distance - len(self._own))
        return None if notes is None else self._mine(notes)

    def _mine(self, notes: Sequence[Struck]) -> list[Struck]:
        return [note for note in notes if note.program in self._programs]

    def _begin(self) -> Refrain | None:
        echo = self._habit.next()
        if echo is None:
            return None
        notes = self._bar_before(echo.distance)
        if notes is None:
            return None
        return Refrain(notes, self._habit.kept(echo, notes, self._signs), self._signs)
