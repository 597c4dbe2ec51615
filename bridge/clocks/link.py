"""Ableton Link: tempo, phase and start/stop shared with whoever is on the network.

Link has no song position: its peers agree on where in the bar they are, not on which bar it is. So
the place in the song is ours, and only its beat in the bar is Link's.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Protocol, cast

from bridge.clocks.glide import Glide
from engine.errors import Code, SidemanError
from engine.music import TICKS_PER_BEAT
from engine.timing import Course

ON_TIME = 0.05
"""Beats after its place in the bar at which a start is still taken for being in time."""
SMALL = 0.25
"""Beats of phase that are made good on the way; by more, the session itself has jumped."""
GRAIN = 16
"""Parts of a quarter note; bars of every meter are whole numbers of them."""


# The names are Link's own.
# ruff: noqa: N802, N815


class SessionState(Protocol):
    """What peers agree on: ``link.SessionState``. ``at`` is in microseconds of Link's own clock."""

    def tempo(self) -> float:
        """Quarter notes per minute."""
        ...

    def setTempo(self, bpm: float, at: int) -> None:
        """Change the tempo."""
        ...

    def beatAtTime(self, at: int, quantum: float) -> float:
        """Beats since some bar line of ours."""
        ...

    def phaseAtTime(self, at: int, quantum: float) -> float:
        """Beats since the last bar line of all."""
        ...

    def isPlaying(self) -> bool:
        """Whether peers play."""
        ...

    def setIsPlaying(self, playing: bool, at: int) -> None:
        """Have them play or stop."""
        ...

    def timeForIsPlaying(self) -> int:
        """Since when that is so."""
        ...

    def setIsPlayingAndRequestBeatAtTime(
        self, playing: bool, at: int, beat: float, quantum: float
    ) -> None:
        """The same; alone, with that beat at that time."""
        ...


class Micros(Protocol):
    """Link's own clock."""

    def micros(self) -> int:
        """Microseconds."""
        ...


class Session(Protocol):
    """``link.Link``."""

    enabled: bool
    startStopSyncEnabled: bool

    def numPeers(self) -> int:
        """How many others there are."""
        ...

    def clock(self) -> Micros:
        """The clock that all times here are told in."""
        ...

    def captureSessionState(self) -> SessionState:
        """What peers agree on now."""
        ...

    def commitSessionState(self, state: SessionState) -> None:
        """Tell peers."""
        ...


def join(bpm: float) -> Session:
    """A session on this machine's networks. Raises where the extra is not installed."""
    try:
        module = importlib.import_module("link")
    except ImportError:
        raise SidemanError(
            Code.BAD_ARGUMENTS, "the clock link needs the extra: pip install 'sideman[link]'"
        ) from None
    session = cast(Session, module.Link(bpm))
    session.startStopSyncEnabled = True
    session.enabled = True
    return session


class LinkClock:
    """Follows a Link session, or leads it. Times are seconds of ``time.monotonic()``.

    A song begins, or goes on, when Link reaches the beat in the bar that its place has. To be
    called by one thread, :meth:`poll` a few times a beat at least.
    """

    def __init__(
        self,
        bpm: float = 120.0,
        *,
        leading: bool = False,
        session: Session | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``bpm`` holds until there is a peer, who then is right."""
        self.leading = leading
        """Whether we have a course without peers too."""
        self.relocations = 0
        """How often the session's phase jumped while the song played."""
        self._session = session or join(bpm)
        self._monotonic = monotonic
        self._glide = Glide()
        self._quantum = 4.0
        self._bar_line = 0
        # By how many beats our bars are beside Link's, since a meter changed on the way.
        self._beside = 0.0
        self._begin: float | None = None
        self._polled: int | None = None

    @property
    def peers(self) -> int:
        """How many others there are."""
        return self._session.numPeers()

    @property
    def bpm(self) -> float:
        """The session's quarter notes per minute."""
        return self._session.captureSessionState().tempo()

    def close(self) -> None:
        """Leave the session."""
        self._session.enabled = False

    def poll(self, now: float) -> Course | None:
        """Where the song is and how it goes on; None while nobody is there and we do not lead."""
        at = self._micros(now)
        state = self._session.captureSessionState()
        rate = state.tempo() * TICKS_PER_BEAT / 60.0
        if not state.isPlaying():
            self._begin = None
            if self._glide.course.playing:
                self._glide.stand(now)
            self._glide.pace(now, rate)
        elif self._glide.course.playing:
            self._align(now, self._phase(state, at), rate)
        else:
            self._glide.pace(now, rate)
            self._wait(now, at, state, rate)
        self._polled = at
        return self._glide.course if self.leading or self.peers else None

    def locate(self, now: float, tick: int, bar_line: int, quantum: float) -> None:
        """Go elsewhere: to ``tick``, in the bar that begins at ``bar_line``, both absolute.

        ``quantum`` is that bar's length in quarter notes. Playing, the song goes on from there when
        Link reaches that beat in the bar.
        """
        self._bar_line, self._quantum, self._beside = bar_line, quantum, 0.0
        self._begin = None
        self._polled = None
        self._glide.stand(now, tick)

    def set_meter(self, now: float, bar_line: int, quantum: float) -> None:
        """From ``bar_line`` on bars have another length. The song's position stays."""
        self._bar_line, self._quantum, self._beside = bar_line, quantum, 0.0
        if self._glide.course.playing:
            state = self._session.captureSessionState()
            off = self._phase(state, self._micros(now)) - self._beat(now)
            self._beside = round(off * GRAIN) / GRAIN

    def set_tempo(self, bpm: float) -> None:
        """Tell all peers a tempo, from now on."""
        state = self._session.captureSessionState()
        state.setTempo(bpm, self._session.clock().micros())
        self._session.commitSessionState(state)

    def set_playing(self, now: float, playing: bool) -> None:
        """Start or stop all peers that heed it.

        Alone, we begin at once; with peers, when the bar reaches our place's beat.
        """
        at = self._micros(now)
        state = self._session.captureSessionState()
        if playing and not state.isPlaying():
            beat = self._beat(now) % self._quantum
            state.setIsPlayingAndRequestBeatAtTime(True, at, beat, self._quantum)
        elif not playing:
            state.setIsPlaying(False, at)
        self._session.commitSessionState(state)

    def _micros(self, now: float) -> int:
        """A moment on Link's clock, which need not go as fast as ours."""
        best, offset = float("inf"), 0.0
        for _ in range(3):
            before = self._monotonic()
            theirs = self._session.clock().micros() * 1e-6
            after = self._monotonic()
            if after - before < best:
                best, offset = after - before, (before + after) / 2 - theirs
        return round((now - offset) * 1e6)

    def _phase(self, state: SessionState, at: int) -> float:
        return state.phaseAtTime(at, self._quantum) - self._beside

    def _beat(self, now: float) -> float:
        """Our quarter notes since the bar line that we know."""
        return (self._glide.course.tick_at(now) - self._bar_line) / TICKS_PER_BEAT

    def _align(self, now: float, phase: float, rate: float) -> None:
        off = (phase - self._beat(now)) % self._quantum
        if off > self._quantum / 2:
            off -= self._quantum
        tick = self._glide.course.tick_at(now) + off * TICKS_PER_BEAT
        if abs(off) <= SMALL:
            self._glide.aim(now, tick, rate)
        else:
            self.relocations += 1
            self._glide.jump(now, max(0.0, tick), rate)

    def _wait(self, now: float, at: int, state: SessionState, rate: float) -> None:
        """Begin when Link reaches our place's beat in the bar, counted from its start on."""
        if self._begin is None:
            # A session that has played before we looked does not begin for us.
            since = at if self._polled is None else max(self._polled, state.timeForIsPlaying())
            wait = (self._beat(now) - self._phase(state, since)) % self._quantum
            if wait > self._quantum - ON_TIME:
                wait -= self._quantum
            self._begin = state.beatAtTime(since, self._quantum) + wait
        gone = state.beatAtTime(at, self._quantum) - self._begin
        if gone >= 0:
            self._glide.jump(now, self._glide.course.tick + gone * TICKS_PER_BEAT, rate)
