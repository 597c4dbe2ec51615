"""MIDI clock in: the song's course from what a sequencer sends while it plays.

The MIDI 1.0 specification says: 24 clocks (F8) to the quarter note; Start (FA) plays from the top,
Continue (FB) from where the song is, and both begin *with the next clock*; a Song Position Pointer
(F2) counts sixteenths of six clocks each, and comes while the song stands.
"""

from __future__ import annotations

from bridge.clocks.glide import Glide
from bridge.clocks.pulse import PPQ, Pulse
from engine.music import TICKS_PER_BEAT
from engine.timing import Course

CLOCK = TICKS_PER_BEAT // PPQ
"""Ticks of the song from one clock to the next."""
SIXTEENTH = 6 * CLOCK
"""Ticks of the song in one unit of a Song Position Pointer."""
SILENCE = 0.5
"""Seconds without a clock, or a beat where that is longer, that are called a silence."""


class MidiClock:
    """Follows a MIDI clock. Times are seconds of ``time.monotonic()`` and may not go back.

    The position never jumps but where the source did: at Start, at a Song Position, and at
    Continue, which begins with a clock and so up to one clock further than where the song stood.
    It never goes backwards otherwise. Without clocks the song goes on in the tempo that it had.
    """

    def __init__(self) -> None:
        self.relocations = 0
        """How often the source went elsewhere: by Start or by Song Position."""
        self.dropouts = 0
        """How often clocks stayed away while the song played."""
        self._pulse = Pulse()
        self._glide = Glide()
        self._place = 0
        """Where the song goes on with the next clock, while it stands or waits for one."""
        self._waiting = False
        self._origin: int | None = None
        """The index of the clock that was, or would have been, at position 0; None if standing."""
        self._silent = False

    @property
    def course(self) -> Course:
        """Where the song is and how it goes on; the same object until that changes."""
        return self._glide.course

    @property
    def playing(self) -> bool:
        """Whether the song runs."""
        return self.course.playing

    @property
    def bpm(self) -> float:
        """Quarter notes per minute. The course's may differ while it catches up."""
        return 60.0 / (PPQ * self._pulse.period)

    @property
    def locked(self) -> bool:
        """Whether clocks come and the tempo is known well."""
        return self._pulse.locked and not self._silent

    @property
    def silent(self) -> bool:
        """Whether there was a clock that has stayed away for a beat now; told by :meth:`check`."""
        return self._silent

    @property
    def heard(self) -> float | None:
        """When the newest clock came."""
        return self._pulse.heard

    @property
    def jitter(self) -> float:
        """How much clocks come early and late; seconds, standard deviation."""
        return self._pulse.jitter

    @property
    def lost(self) -> int:
        """Clocks that were sent, it seems, and did not come."""
        return self._pulse.lost

    @property
    def outliers(self) -> int:
        """Clocks too early or too late to be believed at their word."""
        return self._pulse.outliers

    def tick(self, now: float) -> None:
        """A clock (F8) came."""
        self._silent = False
        before = self._pulse.index
        self._pulse.tick(now, first=self._waiting)
        if self._waiting:
            self._enter(now, self._pulse.index - before)
        elif self._origin is None:
            self._glide.pace(now, self._rate)
        else:
            self._aim(now)

    def start(self, now: float) -> None:
        """Start (FA) came: the next clock is position 0."""
        self._relocate(now, 0)
        self._waiting = True

    def resume(self, now: float) -> None:
        """Continue (FB) came: with the next clock the song goes on. Nothing if it plays already."""
        if self._origin is None:
            self._waiting = True

    def stop(self, now: float) -> None:
        """Stop (FC) came: the song stands where it is."""
        if self._origin is not None:
            if self._waiting:  # It has been sent elsewhere, and would be there with the next clock.
                self._glide.stand(now, self._place)
            else:
                self._place = self._next_place(now)
                self._glide.stand(now)
            self._origin = None
        self._waiting = False

    def song_position(self, sixteenths: int, now: float) -> None:
        """Song Position (F2) came. While the song plays, its next clock is at that place."""
        self._relocate(now, sixteenths * SIXTEENTH)
        self._waiting = self._waiting or self._origin is not None

    def check(self, now: float) -> bool:
        """Look for a drop-out, now and then. True once when a silence has begun."""
        heard = self._pulse.heard
        if heard is None or self._silent:
            if self._origin is not None:
                self._aim(now)
            return False
        if now - heard <= max(SILENCE, PPQ * self._pulse.period):
            return False
        self._silent = True
        self.dropouts += self.playing
        return True

    @property
    def _rate(self) -> float:
        return CLOCK / self._pulse.period

    def _next_place(self, now: float) -> int:
        """The position of the clock that would come next."""
        assert self._origin is not None
        missed = max(0, int(self._pulse.at(now) - self._pulse.index - 0.6))
        return (self._pulse.index + 1 + missed - self._origin) * CLOCK

    def _relocate(self, now: float, place: int) -> None:
        expected = self._place
        if self._origin is not None and not self._waiting:
            expected = self._next_place(now)
        self.relocations += place != expected
        self._place = place
        if self._origin is None:
            self._glide.stand(now, place)

    def _enter(self, now: float, counted: int) -> None:
        """The clock that just came is at the place where the song goes on."""
        pulse = self._pulse
        if not pulse.known:
            # One clock says nothing about the tempo. The song begins with the next, one further.
            self._place += counted * CLOCK
            return
        self._waiting = False
        origin = pulse.index - self._place // CLOCK
        here = max(float(self._place), self._song(now, origin))
        if self._origin is None:
            here = min(max(here, self.course.tick), self.course.tick + CLOCK)
        self._origin = origin
        self._glide.jump(now, here, self._rate)

    def _song(self, now: float, origin: int) -> float:
        return (self._pulse.at(now) - origin) * CLOCK

    def _aim(self, now: float) -> None:
        assert self._origin is not None
        self._glide.aim(now, self._song(now, self._origin), self._rate)
