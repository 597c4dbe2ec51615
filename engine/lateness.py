"""What is done about a bar line that can't be met: the four rules. Pure functions."""

from __future__ import annotations

from dataclasses import replace

from engine.brief import Brief, Place
from engine.errors import Code, SidemanError
from engine.music import Note
from engine.session import Session, Track
from engine.timing import Clock, Target, entry_after, first_bar_after


def rescue(
    brief: Brief, place: Place, ready: float, missed_ms: float, clock: Clock, session: Session
) -> tuple[Place, list[Note]]:
    """Another place for a take that will be ready at ``ready`` seconds, by the request's rule.

    Returns the place of the music to be made, and the loop that leads there, if any. Raises
    ``too-late`` where the rule has no other place.
    """
    target = place.target
    if brief.late == "shorten":
        entry = entry_after(clock, ready, target)
        bars = target.bar + place.bars - entry.bar
        if bars > 0:
            return moved(place, entry, bars), []
    elif brief.late != "drop":
        bar = target.bar + 1 if target.tick else target.bar
        then = moved(place, Target(first_bar_after(clock, ready, bar)), place.bars)
        if brief.late == "loop" and not target.tick:
            track = session.track(brief.track)
            return then, looped(session, track, target.bar, then.target.bar, clock)
        return then, []
    raise SidemanError(
        Code.TOO_LATE,
        f"bar {target.bar} would be missed by {missed_ms:.0f} ms and the rule is {brief.late}:"
        " ask earlier, or with late move",
    )


def moved(place: Place, target: Target, bars: int) -> Place:
    """The same take elsewhere. What it follows goes up to where it begins, but for variations."""
    follows = place.source >= place.target.bar
    source = max(place.source, target.bar) if follows else place.source
    return replace(place, target=target, bars=bars, source=source)


def looped(session: Session, track: Track, first: int, end: int, clock: Clock) -> list[Note]:
    """The bars before ``first`` again, for the bars up to ``end``, at which all of them end."""
    meters = clock.meters
    found = []
    for bar in range(first, end):
        room = meters.start(end) - meters.start(bar)
        found += [
            replace(note, bar=bar, duration=min(note.duration, room - note.tick))
            for note in session.notes(track, bar - (end - first))
            if note.tick < meters.at(bar).ticks
        ]
    return found
