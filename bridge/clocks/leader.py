"""Which of all clocks leads the song."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from bridge.config import ClockSource

Source = Literal["plugin", "link", "midi", "osc", "internal"]
"""Whoever can lead, the most trusted first: a plugin knows the host's own position, Link the phase
and not the place, MIDI clock jitters, and OSC comes when it comes."""

PATIENCE: dict[Source, float | None] = {
    # Both live with their client; whoever sees the client go says so.
    "plugin": None,
    "osc": None,
    # Link says itself when the last peer has left.
    "link": None,
    # A cable says nothing when it is pulled, and many sequencers send no clock while they stand.
    "midi": 2.0,
    "internal": None,
}
"""Seconds of silence after which a source is taken for gone; None if never."""


class Leader:
    """Chooses the source that leads. Times are seconds of ``time.monotonic()``.

    A fixed choice leads whether it speaks or not. With ``auto`` the first of :data:`Source` leads
    that is alive: that spoke, and is neither gone nor silent for longer than its patience.
    """

    def __init__(
        self, choice: ClockSource = "auto", changed: Callable[[Source], None] | None = None
    ) -> None:
        """``changed`` is called once for every change of :attr:`current`, with the new one."""
        self._choice = choice
        self._changed = changed
        self._spoke: dict[Source, float] = {}
        self._current: Source = "internal" if choice == "auto" else choice

    @property
    def current(self) -> Source:
        """Who leads."""
        return self._current

    def spoke(self, source: Source, now: float) -> bool:
        """A source said something that makes it alive; whether it leads now.

        MIDI: a clock or Start. Plugin and OSC: a transport message. Link: it has peers.
        """
        self._spoke[source] = now
        self.check(now)
        return source == self._current

    def gone(self, source: Source, now: float) -> None:
        """A source has left: its port vanished, its client unregistered, its last peer went."""
        self._spoke.pop(source, None)
        self.check(now)

    def check(self, now: float) -> Source:
        """Who leads at ``now``; to be asked now and then, as silence does not speak up."""
        if self._choice == "auto":
            alive = (source for source in get_args(Source) if self._alive(source, now))
            first: Source = next(alive, "internal")
            if first != self._current:
                self._current = first
                if self._changed is not None:
                    self._changed(first)
        return self._current

    def _alive(self, source: Source, now: float) -> bool:
        spoke, patience = self._spoke.get(source), PATIENCE[source]
        return spoke is not None and (patience is None or now - spoke <= patience)
