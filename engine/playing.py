"""What of the session is played by MIDI: the takes that were asked for so, where they lie.

One thread only, the conductor's. Notes are promised to the player as they are made, long before
their moment; what becomes of them afterwards by undo, or by a take on top of theirs, is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.music import Note
from engine.ports import Player
from engine.session import Session, Track
from engine.takes import Take, covering
from engine.timing import Clock, Timed


class Playing:
    """Tells the player, where there is one, what to play and what no longer."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._player: Player | None = None

    def connect(self, player: Player) -> None:
        """Play through this one from now on."""
        self._player = player
        player.follow(self._clock.course)

    def disconnect(self) -> None:
        """Nobody plays any more."""
        self._player = None

    @property
    def is_open(self) -> bool:
        """Whether anybody plays."""
        return self._player is not None

    def moved(self) -> None:
        """The song goes on another course."""
        if self._player is not None:
            self._player.follow(self._clock.course)

    def enters(self, take: Take) -> None:
        """A take begins to come: what its track was to play in its bars is not played."""
        if self._player is not None:
            start = self._clock.meters.start
            self._player.cut(take.track, start(take.bar), start(take.end), sounding=False)

    def notes(self, take: Take, notes: Sequence[Note]) -> None:
        """Notes of a take, as they are made."""
        if self._player is not None and take.midi and notes:
            timed = [self._timed(take, note) for note in notes]
            self._player.play(take.track, timed, take.late_seconds)

    def rearranged(self, track: Track, coming: Iterable[Take], now: float) -> None:
        """Other takes lie on a track than before; those that are ``coming`` lie on top of them.

        What sounds of the track ends: the take that it belongs to may be gone.
        """
        if self._player is None:
            return
        here = self._clock.tick(now)
        self._player.cut(track.number, here, None, sounding=True)
        layers = [*self._session.active(track), *coming]
        for take in layers:
            if take.midi:
                ahead = [
                    note
                    for note in take.notes
                    if covering(layers, note.bar) is take
                    and self._clock.meters.absolute(note.onset) > here
                ]
                self.notes(take, ahead)

    def quiet(self, track: Track, now: float) -> None:
        """Whatever a track was to play from now on is not played."""
        if self._player is not None:
            self._player.cut(track.number, self._clock.tick(now), None, sounding=True)

    def silence(self) -> None:
        """Every note off, everywhere; the takes that lie on the tracks are not played any more."""
        for track in self._session.tracks.values():
            for take in self._session.active(track):
                take.midi = False
        if self._player is not None:
            self._player.silence()

    def _timed(self, take: Take, note: Note) -> Timed:
        onset = self._clock.meters.absolute(note.onset)
        return Timed(
            onset, onset + note.duration, take.channel(note.program), note.pitch, note.velocity
        )
