"""Whose turn it is: what playing and pausing alone set off, without any trigger.

Musical time only, in absolute ticks of what the musician plays (:class:`engine.hands.Hands`). Only
the musician's own notes are reported here, never the player's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from engine.messages.keys import MOST_BARS
from engine.music import MeterMap, ticks
from engine.timing import SIXTEENTH


class Mode(StrEnum):
    """What playing and pausing do."""

    MANUAL = "manual"
    """Nothing: the player plays when it is asked to."""
    PUNCH_IN = "punch-in"
    """Playing quiets the player, a pause hands over to it."""
    CALL = "call"
    """Call and response: a phrase is answered by one as long; playing quiets the answer."""


LEAD = SIXTEENTH
"""How long before a bar line it is decided that the answer begins there."""


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The player is to go on, on this track, at the next bar line."""

    track: int
    bars: int | None = None
    """Length of an answer; None where the player goes on as it always does."""


@dataclass(slots=True)
class _Part:
    """One track. It is the musician's turn while ``start`` is set."""

    held: set[int] = field(default_factory=set)
    start: int | None = None
    rest: int = 0
    """Where the last note ended; of interest while none is held."""
    handed_over: int | None = None
    """Start of the phrase that was handed over last, while its answer has not begun."""
    answer: int = 0
    """Where the answer begins; playing before it does not disturb an answer that was asked for."""
    asked: bool = False
    """Whether the musician asked for the answer, rather than falling silent."""


class Turns:
    """Watches the musician's playing, track by track.

    ``pause_beats`` is the rest, in quarter notes, that hands over. ``most_bars`` is the length of
    the longest answer.

    A phrase ends with a rest of ``pause_beats`` while no note is held. For call and response half
    that rest is enough where the bar ends with it, so that the answer comes at that bar line and
    not a bar later; this is decided a sixteenth before the line. Who plays on before the answer
    has begun had not finished: the answer is taken back, and the phrase goes on.
    """

    def __init__(
        self, mode: Mode = Mode.MANUAL, pause_beats: float = 2.0, most_bars: int = MOST_BARS
    ) -> None:
        self.mode = mode
        self._pause = max(1, ticks(pause_beats))
        self._most_bars = most_bars
        self._parts: dict[int, _Part] = {}

    def down(self, track: int, pitch: int, tick: int) -> bool:
        """A key goes down. True where the player must fall silent on that track, at once."""
        if self.mode is Mode.MANUAL:
            return False
        part = self._parts.setdefault(track, _Part())
        part.held.add(pitch)
        if part.start is not None:
            return False
        if tick < part.answer:
            if part.asked:
                return False
            part.start = part.handed_over  # it was not over yet
        if part.start is None:
            part.start = tick
        return True

    def up(self, track: int, pitch: int, tick: int) -> None:
        """A key comes up."""
        part = self._parts.get(track)
        if part is not None and pitch in part.held:
            part.held.discard(pitch)
            part.rest = tick

    def asked(self, track: int, tick: int) -> None:
        """A take was asked for on a track, by a trigger or otherwise, that begins at ``tick``.

        Nothing else is handed over until then, and what is played up to there disturbs nothing.
        The answer that :meth:`check` has just called for changes nothing here.
        """
        if self.mode is Mode.MANUAL:
            return
        part = self._parts.setdefault(track, _Part())
        if part.handed_over is not None and tick == part.answer:
            return
        part.start = part.handed_over = None
        part.answer, part.asked = tick, True

    def moved(self, before: int, after: int) -> None:
        """The song went from ``before`` to ``after``, and the musician with it.

        A phrase in progress keeps its length and its rest.
        """
        if after == before:
            return
        for part in self._parts.values():
            part.rest += after - before
            if part.start is not None:
                part.start += after - before
            part.answer, part.handed_over = 0, None

    def check(self, tick: int, meters: MeterMap) -> list[TakeOver]:
        """Who hands over to the player now."""
        over = []
        for track, part in self._parts.items():
            end = self._end(part, meters)
            if end is None or tick < end or part.start is None:
                continue
            bars = self._bars(part.start, part.rest, meters) if self.mode is Mode.CALL else None
            over.append(TakeOver(track, bars))
            part.handed_over, part.start = part.start, None
            part.answer, part.asked = meters.start(meters.locate(tick).bar + 1), False
        return over

    def next_tick(self, meters: MeterMap) -> int | None:
        """When :meth:`check` has something to do, if nothing is played before; None for never."""
        ends = (self._end(part, meters) for part in self._parts.values())
        return min((end for end in ends if end is not None), default=None)

    def _end(self, part: _Part, meters: MeterMap) -> int | None:
        """When the musician's turn is over; None while it is not theirs, or a note is held."""
        if part.start is None or part.held:
            return None
        end = part.rest + self._pause
        if self.mode is Mode.CALL:
            line = meters.start(meters.locate(part.rest).bar + 1)
            if 2 * (line - part.rest) >= self._pause:
                end = min(end, max(part.rest, line - LEAD))
        return end

    def _bars(self, start: int, end: int, meters: MeterMap) -> int:
        """A phrase's length in bars, rounded up.

        What is a sixteenth too long rings over, and is not another bar.
        """
        first = meters.locate(start + SIXTEENTH).bar  # who begins a little early means that bar
        length = end - start - SIXTEENTH
        bars = 1
        while bars < self._most_bars and meters.start(first + bars) - meters.start(first) < length:
            bars += 1
        return bars
