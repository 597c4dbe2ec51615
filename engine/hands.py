"""Where notes lie that are played by hand, also while the song stands still."""

from __future__ import annotations

from engine.music import TICKS_PER_BEAT
from engine.timing import Clock


class Hands:
    """The musician's own time. While the transport runs it is the song's.

    While it stands still, the first note begins at the song's position and the others follow at the
    song's tempo: who noodles over a stopped song and then presses the trigger has played a phrase.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self._at = 0
        self._end = 0

    def tick(self, now: float) -> int:
        """Absolute ticks of what is played at ``now``."""
        here = self._clock.tick(now)
        if self._clock.playing:
            self._since = None
            return here
        if self._since is None or here != self._at:
            self._since, self._at = now, here
        self._end = self.at(now)
        return self._end

    def at(self, now: float) -> int:
        """The same, where nothing is played at ``now``: a phrase does not end here."""
        here = self._clock.tick(now)
        if self._clock.playing or self._since is None or here != self._at:
            return here
        return here + round((now - self._since) * self._ticks_per_second)

    def seconds(self, tick: int, now: float) -> float:
        """When what is played from ``now`` on reaches ``tick``."""
        return now + (tick - self.at(now)) / self._ticks_per_second

    @property
    def _ticks_per_second(self) -> float:
        return self._clock.bpm * TICKS_PER_BEAT / 60.0

    def end(self, now: float) -> int:
        """Where the last phrase over a standing song ended; the song's position where none was."""
        here = self._clock.tick(now)
        standing = not self._clock.playing and self._since is not None and here == self._at
        return self._end if standing else here

    def bars(self, now: float) -> range:
        """The bars wholly ahead of a standing song that the phrase over it reaches into."""
        locate = self._clock.meters.locate
        line = locate(self._clock.tick(now) - 1).bar + 1
        return range(line, locate(self.end(now) - 1).bar + 1)
