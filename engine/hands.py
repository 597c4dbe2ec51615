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
        rate = self._clock.bpm * TICKS_PER_BEAT / 60.0
        self._end = here + round((now - self._since) * rate)
        return self._end

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
