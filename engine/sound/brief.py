"""From what was asked to what is made, for sound: a request with every default settled.

Pure functions of the request, the session and the presets; nothing here waits or changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.audio.grid import Grid
from engine.brief import Place
from engine.errors import Code, SidemanError
from engine.messages.commands import Ask, Verb
from engine.music import Meter, MeterMap
from engine.presets import Preset
from engine.session import Session, Track
from engine.takes import Take
from engine.tape import heard
from engine.timing import Clock, Target, next_bar
from engine.worker import wire

VERBS = ("audio", "continue", "variation")
"""What an audio preset can do; to the others it has no answer."""

OF_NOTES = ("chords", "key", "density", "program", "low", "high", "from_", "to")
"""Keys that say something of notes."""

CONTEXT_SECONDS = 30.0
"""Of what sounded, at most; models look back no further."""

LONGEST = 600.0
"""Seconds that one take may last."""

RATE = 48_000
"""Hz of a take where neither a parameter nor what it goes on from says another rate."""


@dataclass(frozen=True, slots=True)
class SoundBrief:
    """A request for sound with nothing left open."""

    verb: Verb
    track: int
    bars: int
    preset: Preset
    seed: int
    seeded: bool
    """Whether somebody has named the seed, and so wants the same take for it."""
    candidates: int
    late: str
    text: str
    rate: int | None
    """In Hz; None for the rate of what it goes on from."""
    temperature: float
    top_k: int
    top_p: float
    live: bool
    """Whether it is played while it is made."""


def settle(
    ask: Ask,
    track: Track,
    preset: Preset,
    *,
    parameters: Mapping[str, Any],
    seed: int,
    live: bool = True,
) -> SoundBrief:
    """Fill what the request leaves open: from the parameters, then the preset.

    Raises ``bad-arguments`` for what a model of sound can't be told.
    """
    given = ask.keys
    if ask.verb not in VERBS:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"preset {preset.name} makes sound, and can {', '.join(VERBS)}: "
            f"for {ask.verb} name a MIDI preset",
        )
    for name in OF_NOTES:
        if getattr(given, name) is not None:
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"{name.strip('_')} is for notes, and preset {preset.name} makes sound: leave it "
                "out, or name a MIDI preset",
            )
    if given.deliver == frozenset({"midi"}):
        raise SidemanError(
            Code.NOT_ALLOWED, "sound does not go out by MIDI: leave deliver out, or ask for osc"
        )

    def setting(name: str, fallback: Any) -> Any:
        value = getattr(given, name)
        if value is None:
            value = parameters.get(name)
        return fallback if value is None else value

    return SoundBrief(
        verb=ask.verb,
        track=track.number,
        bars=given.bars or parameters.get("bars") or preset.audio.bars,
        preset=preset,
        seed=seed if given.seed is None else given.seed,
        seeded=given.seed is not None or (parameters.get("seed") or -1) >= 0,
        candidates=setting("variations", 1),
        late=setting("late", "move"),
        text=preset.audio.prompt if given.prompt is None else given.prompt,
        rate=parameters.get("rate") or None,
        temperature=setting("temperature", preset.sampling.temperature),
        top_k=parameters.get("top_k") or preset.sampling.top_k,
        top_p=setting("top_p", preset.sampling.top_p),
        live=live,
    )


def place_for(ask: Ask, brief: SoundBrief, track: Track, session: Session, tick: int) -> Place:
    """Where a take goes and where the sound that it follows ends. Sound enters at bar lines."""
    coming = next_bar(session.meters, tick)
    target = Target(ask.keys.at) if isinstance(ask.keys.at, int) else coming
    if brief.verb != "variation":
        return Place(target, brief.bars, target.bar)
    takes = [take for take in session.active(track) if take.tape is not None]
    ahead = next((take for take in reversed(takes) if take.bar >= target.bar), None)
    if ahead is not None and ask.keys.at is None:
        bars = brief.bars if ask.keys.bars is not None else ahead.bars
        return Place(Target(ahead.bar), bars, ahead.bar)
    last = heard(session.tapes(track), target.bar, 1.0)
    if not last.past:
        raise _nothing(track)
    return Place(target, brief.bars, max(0, last.end - brief.bars))


def wish_for(
    brief: SoundBrief, place: Place, session: Session, clock: Clock, lead: int = 0
) -> wire.SoundWish:
    """All that the worker needs to know. ``lead`` bars of the place are a loop of what was before.

    Raises ``no-context`` where there is nothing to go on from, ``bad-arguments`` for too much.
    """
    track = session.track(brief.track)
    before = heard(session.tapes(track), place.source, CONTEXT_SECONDS)
    if not before.past and not brief.text.strip():
        raise _nothing(track)
    bpm, bar = clock.bpm, place.target.bar
    rate = brief.rate or before.rate or RATE
    seconds = Grid(rate, bpm, clock.meters).length(bar, place.bars) / rate
    if seconds > LONGEST:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"{place.bars} bars last {seconds:.0f} s here, and a take at most {LONGEST:.0f}: "
            "ask for fewer bars",
        )
    return wire.SoundWish(
        past=list(before.past),
        following=list(before.following),
        lead=lead if before.past else 0,
        rate=rate,
        bpm=bpm,
        meters=[(at, meter.num, meter.den) for at, meter in clock.meters.changes],
        bar=bar,
        bars=place.bars,
        seed=brief.seed,
        text=brief.text,
        candidates=brief.candidates,
        temperature=brief.temperature,
        top_k=brief.top_k,
        top_p=brief.top_p,
        guidance=brief.preset.audio.guidance,
        alone=brief.seeded,
        live=brief.live,
    )


def grid_of(wish: wire.SoundWish) -> Grid:
    """The bars of a wish in samples."""
    meters = MeterMap((bar, Meter(num, den)) for bar, num, den in wish.meters)
    return Grid(wish.rate, wish.bpm, meters)


def new_take(number: int, brief: SoundBrief, place: Place) -> Take:
    """An empty take for a request."""
    return Take(
        number=number,
        track=brief.track,
        bar=place.target.bar,
        bars=place.bars,
        verb=brief.verb,
        preset=brief.preset.name,
        model=brief.preset.model,
        seed=brief.seed,
    )


def _nothing(track: Track) -> SidemanError:
    return SidemanError(
        Code.NO_CONTEXT,
        f"track {track.name} has no sound yet: load an audio file with /sideman/track/load, or "
        "give a prompt",
    )
