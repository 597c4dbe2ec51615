"""How a model goes on for longer than it can look back: at a bar line it begins anew after the last
whole bars.

The frames of codes go on without a break, so nothing is heard of it but what the model forgets.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from engine.audio.grid import Grid
from engine.audio.wanted import PROMPT_SECONDS
from engine.music import TICKS_PER_BEAT

MOST = Fraction(2, 5)
"""The share of what a model can look back on that it begins anew with."""


class Reprime(NamedTuple):
    """A moment at which a model begins anew."""

    made: int
    """Frames of the take before it."""
    keep: int
    """Frames that it goes on from."""
    bar: int
    """The bar that begins there, or in which it lies where no bar line could be reached."""


def reprimes(
    grid: Grid, bar: int, frames: int, primed: int, frame_rate: Fraction, room: int
) -> list[Reprime]:
    """When to begin anew in a take of so many ``frames`` from ``bar`` on.

    ``primed`` frames stand before it, and there is ``room`` for so many of both.
    """
    per_tick = grid.tick_samples / grid.rate * frame_rate
    origin = grid.meters.start(bar)
    most = min(floor(PROMPT_SECONDS * frame_rate), floor(room * MOST))
    found = []
    made, context = 0, primed
    while made + room - context < frames:
        limit = made + room - context
        # The first frame at or after the line, which begins less than a frame after it.
        line = _line(grid, origin + floor(limit / per_tick), origin + floor(made / per_tick))
        at = limit if line is None else ceil((line - origin) * per_tick)
        tick = origin + floor(at / per_tick) if line is None else line
        start = _start(grid, tick, tick - floor(most / per_tick))
        there = context + at - made
        made, context = at, min(most, there, at - floor((start - origin) * per_tick))
        found.append(Reprime(at, context, grid.meters.locate(tick).bar))
    return found


def _line(grid: Grid, latest: int, earliest: int) -> int | None:
    """The last bar line after tick ``earliest`` and up to ``latest``, or else the last beat."""
    bar = grid.meters.start(grid.meters.locate(latest).bar)
    if bar > earliest:
        return bar
    beat = latest - (latest - bar) % TICKS_PER_BEAT
    return beat if beat > earliest else None


def _start(grid: Grid, tick: int, earliest: int) -> int:
    """Where the whole bars before ``tick`` begin that lie after ``earliest``, or else beats."""
    bar = grid.meters.locate(earliest).bar
    if grid.meters.start(bar) < earliest:
        bar += 1
    start = grid.meters.start(bar)
    if start < tick:
        return start
    return max(earliest, tick - (tick - earliest) // TICKS_PER_BEAT * TICKS_PER_BEAT)
