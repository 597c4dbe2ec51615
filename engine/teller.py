"""Lets the worker hear what changes in the session, soon but not at every note."""

from __future__ import annotations

from itertools import chain

from engine.listener import WINDOW_BARS
from engine.ports import Maker
from engine.session import Session
from engine.speed import Speed
from engine.worker import wire

TELL_EVERY = 0.004
"""Seconds in which changes are gathered before the worker hears of them."""

TELL_AT_ONCE = 2000
"""Notes after which the rest has to wait for the next turn: some 2 ms of the engine's time."""

MOST_HEARD = 256
"""Notes of a track in a bar that the worker hears, and half of what it hears of all of them: more
than music has, and what a flood may cost."""

TELL_NOTE = 20e-6
"""Seconds more for each note that was told: the worker reads them between two tokens."""


class Teller:
    """Gathers changes and tells them. One thread only, the conductor's."""

    def __init__(self, session: Session, worker: Maker, speed: Speed) -> None:
        self._session = session
        self._worker = worker
        self._speed = speed
        self._told = 0
        self._waiting: set[int] = set()
        """Bars that are left for the next turn."""
        self._known: dict[int, int] = {}
        """Notes of each bar that the worker knows."""
        self.moment: float | None = None
        """When what has changed is to be told; None where nothing has."""

    def changed(self, now: float) -> None:
        """Something has changed that the worker has to hear."""
        if self.moment is None:
            self.moment = now + TELL_EVERY + self._told * TELL_NOTE

    def due(self, now: float) -> bool:
        """Whether it is time to tell; asked, it counts as done."""
        if self._session.has_changes():
            self.changed(now)
        if self.moment is None or now < self.moment:
            return False
        self.moment = None
        return True

    def tell(
        self, now: float, held_until: int | None = None, most: int | None = None
    ) -> bool:
        """Tell the bars that have changed. False where none has.

        The latest bars go first; once ``most`` notes are told, the others wait for another turn.
        At a trigger, notes that are held count as if they ended at ``held_until`` absolute ticks;
        once they do end, their bars will have changed again.
        """
        sounding = [] if held_until is None else self._session.sounding(held_until)
        held = {note.bar for note in sounding}
        bars = []
        self._told = 0
        self._waiting.update(self._session.take_changes(), held)
        for bar in sorted(self._waiting, reverse=True):
            if most is not None and self._told >= most:
                break
            self._waiting.remove(bar)
            meter = self._session.meters.at(bar)
            heard = self._session.heard(bar, MOST_HEARD)
            notes = chain(heard, (n for n in sounding if n.bar == bar))
            # As rows they are sorted several times as fast: a crowded bar is told again and again.
            rows = sorted(map(wire.row, notes))[: 2 * MOST_HEARD]
            bars.append((bar, meter.num, meter.den, rows))
            self._told += len(rows)
        if bars:
            self._worker.send(wire.Hear(bars))
        self._speed.told(self._new({bar: len(notes) for bar, *_, notes in bars}), now)
        if self._waiting:
            self.changed(now)
        return bool(bars)

    def _new(self, told: dict[int, int]) -> int:
        """How many of the notes told have to be fed: those of the context that were not known."""
        known, self._known = self._known, self._known | told
        window = max(self._known, default=0) - 2 * WINDOW_BARS
        return sum(max(0, n - known.get(bar, 0)) for bar, n in told.items() if bar >= window)

    def tell_all(self, now: float) -> None:
        """To a worker that knows nothing, or has to forget what it knew: everything."""
        self._worker.send(wire.Forget())
        self._known.clear()
        self._session.touch_all()
        self.tell(now)
