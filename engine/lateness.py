"""What is done about a bar line that can't be met: the four rules. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.brief import Brief, Place
from engine.errors import Code, SidemanError
from engine.music import Note
from engine.session import Session, Track
from engine.timing import Clock, Target, entry_after, first_bar_after


@dataclass(frozen=True, slots=True)
class Loop:
    """The bars ``source`` again and again, from their end on, in the bars up to ``end``."""

    source: range
    end: int
    notes: list[Note]
    """What this turn adds: the notes from where the loop had got to up to ``end``."""


def rescue(
    brief: Brief,
    place: Place,
    ready: float,
    missed_ms: float,
    clock: Clock,
    session: Session,
    loop: Loop | None = None,
) -> tuple[Place, Loop | None]:
    """Another place for a take that will be ready at ``ready`` seconds, by the request's rule.

    ``loop`` is what leads to the present place already. Returns the place of the music to be made,
    and the loop that leads there, if any. Raises ``too-late`` where the rule has no other place.
    """
    target = place.target
    if brief.late == "shorten":
        entry = entry_after(clock, ready, target)
        bars = target.bar + place.bars - entry.bar
        if bars > 0:
            return moved(place, entry, bars), None
    elif brief.late != "drop":
        bar = target.bar + 1 if target.tick else target.bar
        then = moved(place, Target(first_bar_after(clock, ready, bar)), place.bars)
        if brief.late == "loop" and not target.tick:
            track = session.track(brief.track)
            gap = range(target.bar, then.target.bar)
            source = range(gap.start - len(gap), gap.start) if loop is None else loop.source
            notes = looped(session, track, source, gap, clock)
            if notes or loop is not None:  # a loop of nothing is no loop
                return then, Loop(source, gap.stop, notes)
        return then, None
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


def looped(session: Session, track: Track, source: range, bars: range, clock: Clock) -> list[Note]:
    """What a loop of ``source``, which begins at its end, plays in ``bars``; there all end."""
    meters = clock.meters
    found = []
    for bar in bars:
        room = meters.start(bars.stop) - meters.start(bar)
        found += [
            replace(note, bar=bar, duration=min(note.duration, room - note.tick))
            for note in session.notes(track, source[(bar - source.stop) % len(source)])
            if note.tick < meters.at(bar).ticks
        ]
    return found
