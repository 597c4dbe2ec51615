"""What is meant by a request: its preset, seed and place; and a guess at the next one."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.brief import Brief, Place, chart_bars, has_context, settle, variation_source, wish_for
from engine.errors import Code, SidemanError
from engine.hands import Hands
from engine.messages.commands import Ask
from engine.presets import Preset
from engine.session import Session, Track
from engine.shelf import Shelf
from engine.sound.rack import DEFAULT
from engine.timing import Clock, Target, next_bar, next_sixteenth
from engine.worker.wire import Wish

LED_BY_CHORDS = ("continue", "accompany")
"""Verbs whose take is as long as the chords that come with it, where no bars are asked for."""


@dataclass(slots=True)
class Asking:
    """Reads requests against the session as it is. Changes nothing but its own memory."""

    session: Session
    clock: Clock
    hands: Hands
    shelf: Shelf
    parameters: Mapping[str, Any]
    random_seed: Callable[[], int] = lambda: random.randrange(2**31)
    _seeds: dict[int, int] = field(default_factory=dict)
    _last: dict[int, Ask] = field(default_factory=dict)

    def preset_for(self, ask: Ask, track: Track) -> Preset:
        """What a request is played by: its own preset, its track's, or the one in use.

        One for sound, where a MIDI preset would be it, is played by `rack.DEFAULT`. Raises
        ``unknown-preset``, ``bad-file``, ``unknown-model``, and ``bad-arguments`` for sound asked
        of notes by name.
        """
        named = ask.keys.preset or track.preset
        preset = self.shelf.named(named) if named else self.shelf.preset
        if ask.verb != "audio" or preset.kind == "audio":
            return preset
        if ask.keys.preset is not None:
            raise SidemanError(
                Code.BAD_ARGUMENTS, f"preset {preset.name} plays notes: name an audio preset"
            )
        return self.shelf.named(DEFAULT)

    def understand(self, ask: Ask, track: Track, now: float) -> tuple[Brief, Place]:
        """A request with every default settled, and its place in the song.

        Raises :class:`SidemanError` for what can't be played.
        """
        preset = self.preset_for(ask, track)
        brief = settle(
            ask,
            track,
            self.session,
            preset,
            explicit=(ask.keys.preset or track.preset) is not None,
            parameters=self.parameters,
            seed=self.seed(track),
            way="osc",
        )
        may_begin = preset.midi.begins or brief.chords is not None
        if not may_begin and not has_context(self.session, track):
            raise SidemanError(
                Code.NO_CONTEXT,
                "nothing was played yet: play something, load a file, give chords, or name a preset"
                f" that may begin by itself (preset {preset.name} may not)",
            )
        target = self._target(ask, now)
        if brief.chords is not None and ask.keys.bars is None and ask.verb in LED_BY_CHORDS:
            bars = chart_bars(brief.chords, self.clock.meters, target.bar)
            brief = replace(brief, bars=bars)
        return brief, self._place(ask, brief, track, target, now)

    def _place(self, ask: Ask, brief: Brief, track: Track, target: Target, now: float) -> Place:
        if ask.verb == "variation":
            return variation_source(
                self.session,
                track,
                brief.bars,
                target,
                anywhere=ask.keys.at is None,
                whole=ask.keys.bars is None,
            )
        source = target.bar
        if ask.keys.at is None or ask.keys.at == "next":
            # A phrase that was played over a standing song is heard to its end.
            end = self.clock.meters.locate(self.hands.end(now) - 1).bar + 1
            source = max(source, end)
        return Place(target, brief.bars, source)

    def _target(self, ask: Ask, now: float) -> Target:
        tick = self.clock.tick(now)
        if ask.keys.from_ is not None:
            return Target(ask.keys.from_)
        match ask.keys.at:
            case int(bar):
                return Target(bar)
            case "now":
                return next_sixteenth(self.clock.meters, tick)
            case _:
                return next_bar(self.clock.meters, tick)

    def seed(self, track: Track) -> int:
        """The seed of the next request on a track: known beforehand, so that it can be begun."""
        fixed = self.parameters.get("seed", -1)
        if fixed is not None and fixed >= 0:
            return int(fixed)
        if track.number not in self._seeds:
            self._seeds[track.number] = self.random_seed()
        return self._seeds[track.number]

    def accepted(self, ask: Ask, track: Track) -> None:
        """A request was taken on: its seed is used up, and the next will probably be like it."""
        if ask.keys.seed is None:
            self._seeds.pop(track.number, None)
        at = None if isinstance(ask.keys.at, int) else ask.keys.at
        self._last[track.number] = replace(ask, keys=replace(ask.keys, seed=None, at=at))
        self.session.last_track = track.number

    def guess(self, now: float) -> tuple[str, Wish] | None:
        """What will probably be asked next, from wherever the song is: the same as last time.

        A model's name and a wish; None where nothing need be made ahead.
        """
        number = self.session.last_track
        if number is None or not self.parameters.get("speculation", True):
            return None
        track = self.session.track(number)
        ask = self._last.get(number) or Ask("continue", 1, number)
        try:
            if self.preset_for(ask, track).kind == "audio":
                return None
            brief, place = self.understand(ask, track, now)
            wish = wish_for(brief, place, self.session)
        except SidemanError:
            return None  # what can't be asked now need not be made ahead
        model = brief.preset.model
        return (model, wish) if self.shelf.holds(model) else None
