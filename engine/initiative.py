"""What the engine does without being asked each time: answers, hand-overs, and second thoughts.

One thread only, the conductor's. Time is a parameter.

*Turns*: in the modes of :mod:`engine.turns`, playing quiets the player and a pause hands over.

*Second thoughts*: a preset with ``commit`` keeps so many bars of a take as they were promised; what
lies beyond is made again at a bar line when the musician has played on meanwhile, so that the take
goes on from what is heard and not from what was. How many bars have to be promised at least
follows from the machine's own measured speed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from engine.errors import SidemanError
from engine.hands import Hands
from engine.messages import commands as c
from engine.messages.keys import Keys
from engine.messages.spec import TrackRef
from engine.music import Position
from engine.requests import Requests
from engine.session import Session, Track
from engine.shelf import Shelf
from engine.speed import Speed
from engine.takes import Take, covering
from engine.timing import Clock, Target
from engine.turns import Mode, Turns

log = logging.getLogger(__name__)

FOLLOWING = ("continue", "accompany")
"""Verbs whose takes go on from what is played, and so can go on from something else."""


class Initiative:
    """Watches what the musician does, and asks on its own account, as a client of number 0."""

    def __init__(
        self,
        session: Session,
        clock: Clock,
        hands: Hands,
        shelf: Shelf,
        requests: Requests,
        take_on: Callable[[c.Ask, float, bool], None],
    ) -> None:
        """``take_on(ask, now, amends)`` carries a request of our own out; see :meth:`ask`."""
        self._session = session
        self._clock = clock
        self._hands = hands
        self._shelf = shelf
        self._requests = requests
        self._take_on = take_on
        self._turns = Turns()
        self._pause = 0.0
        self._asked = 0
        self._played_on = False
        self._bar = 0

    def take_turns(self, mode: Mode, pause_beats: float) -> None:
        """Take turns so from now on."""
        if (mode, pause_beats) != (self._turns.mode, self._pause):
            self._pause = pause_beats
            self._turns = Turns(mode, pause_beats)

    def ask(
        self, verb: c.Verb, track: TrackRef, now: float, keys: Mapping[str, object] | None = None
    ) -> None:
        """Ask for music as the engine itself does, for a pad or because a phrase is over.

        It is played by MIDI where a port is open; who is notified hears of it. Raises what is
        wrong.
        """
        self._ask(verb, track, now, Keys.of(keys or {}), amends=False)

    def _ask(
        self, verb: c.Verb, track: TrackRef, now: float, keys: Keys, *, amends: bool
    ) -> None:
        self._asked += 1
        if keys.deliver is None:
            ways = {"osc", "midi"} if self._requests.delivery.playing.is_open else {"osc"}
            keys = replace(keys, deliver=frozenset(ways))
        self._take_on(c.Ask(verb, self._asked, track, keys), now, amends)

    # What happens

    def down(self, track: Track, pitch: int, tick: int, now: float) -> None:
        """The musician strikes a key."""
        if self._turns.down(track.number, pitch, tick):
            self._requests.withdraw(track, now)
            self._requests.delivery.playing.quiet(track, now)

    def up(self, track: Track, pitch: int, now: float) -> None:
        """The musician lets a key go."""
        self._turns.up(track.number, pitch, self._hands.tick(now))

    def played(self) -> None:
        """The musician has played a note."""
        self._played_on = True

    def accepted(self, track: Track, target: Target) -> None:
        """A take was asked for."""
        if self._turns.mode is not Mode.MANUAL:
            tick = self._clock.meters.absolute(Position(target.bar, target.tick))
            self._turns.asked(track.number, tick)

    def moved(self, before: int, after: int) -> None:
        """The song went elsewhere, by absolute ticks of what the musician plays."""
        self._turns.moved(before, after)

    # Time

    def check(self, bar: int, now: float) -> None:
        """Do what is due while the song is in ``bar``."""
        if self._turns.mode is not Mode.MANUAL:
            self._hand_over(now)
        if bar != self._bar:
            self._bar = bar
            if self._clock.playing and self._played_on:
                self._played_on = False
                self._think_again(bar, now)

    def _hand_over(self, now: float) -> None:
        """Go on where the musician's turn is over."""
        for over in self._turns.check(self._hands.at(now), self._clock.meters):
            keys = {} if over.bars is None else {"bars": over.bars}
            try:
                self.ask("continue", over.track, now, keys)
            except SidemanError as error:
                log.info("no answer on track %d: %s", over.track, error.text)

    def next_moment(self, now: float) -> float | None:
        """When a turn is over, if nothing more is played. Bar lines are looked at anyway."""
        tick = self._turns.next_tick(self._clock.meters)
        return None if tick is None else self._hands.seconds(tick, now)

    def _think_again(self, bar: int, now: float) -> None:
        """Have what is not promised yet made again, on every track whose preset wants it."""
        for track in list(self._session.tracks.values()):
            active = self._session.active(track)
            take = covering(active, bar)
            if take is None or take.verb not in FOLLOWING or self._is_kept(track, take):
                continue
            if not take.midi:
                continue  # who asked for it by OSC has it, and would not hear of another one
            try:
                commit = self._shelf.named(take.preset).midi.commit
                speed, clock = self._requests.speed, self._clock
                begin = second_thought(take, bar, commit, speed, clock.bar_seconds(bar))
                if begin is not None and covering(active, begin) is take:
                    rest = Keys(
                        bars=take.end - begin, at=begin, preset=take.preset, seed=take.seed
                    )
                    verb: c.Verb = "accompany" if take.verb == "accompany" else "continue"
                    self._ask(verb, track.number, now, rest, amends=True)
            except SidemanError as error:
                log.info("track %s goes on as it was made: %s", track.name, error.text)

    def _is_kept(self, track: Track, take: Take) -> bool:
        return take.number in track.history.now.kept


def second_thought(
    take: Take, bar: int, commit: int, speed: Speed, bar_seconds: float
) -> int | None:
    """The bar from which a take is made again while the song enters ``bar``; None for not at all.

    ``commit`` bars from ``bar`` on stay, 0 for all; at least as many as pass until a slow machine
    has the first of the new ones.
    """
    if commit == 0:
        return None
    rest = max(0, take.end - bar - commit)
    ready = speed.first_note() + speed.head_start(rest, bar_seconds)
    begin = bar + max(commit, math.ceil(ready / bar_seconds))
    return begin if take.bar < begin < take.end else None
