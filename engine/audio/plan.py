"""How many frames a take is made of, and where a model begins anew on the way.

A model looks back only so far. When there is no more room it begins anew at a bar line, after the
last whole bars: the frames of codes go on without a break, so nothing is heard of it but what the
model forgets.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from engine.audio.grid import Grid, frames_for
from engine.audio.tempo import MENDABLE
from engine.audio.wanted import PROMPT_SECONDS, Wanted
from engine.models.audio import AudioModel
from engine.music import TICKS_PER_BEAT

SETTLE = 0.01
"""Seconds after a take that the resampler looks at, and more: it takes 3 ms, whatever the rates."""

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


class Plan(NamedTuple):
    """The frames of a take."""

    primed: int
    """Those of its prompt; 0 without one."""
    first_bar: int
    """Those after which its first bar is certain."""
    needed: int
    """Those to be made."""
    reprimes: tuple[Reprime, ...]

    def shares(self, other: Plan) -> bool:
        """Whether both can be made side by side, neither other than it would be alone."""
        until = min(self.needed, other.needed)
        mine, others = (
            [each for each in plan.reprimes if each.made < until] for plan in (self, other)
        )
        return self.primed == other.primed and mine == others


def plan(wanted: Wanted, model: AudioModel) -> Plan:
    """What a take that passed its check takes."""
    grid, cut = wanted.grid, wanted.cut

    def lasting(samples: int) -> int:
        return frames_for(samples, grid.rate, model.sample_rate, model.hop)

    def certain(samples: int) -> int:
        settle = 0 if grid.rate == model.sample_rate else ceil(SETTLE * grid.rate)
        return lasting(samples + settle) + model.lookahead

    # What may have to be stretched has to be longer by as much.
    samples = wanted.samples if wanted.live else ceil(wanted.samples * (1 + MENDABLE))
    primed = 0 if cut is None else lasting(cut.end - cut.first)
    needed, room = certain(samples), model.trained_frames
    anew = reprimes(grid, wanted.bar, needed, primed, model.frame_rate, room) if room else []
    return Plan(primed, certain(grid.length(wanted.bar)), needed, tuple(anew))


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
    """Where the whole bars before ``tick`` begin that lie after ``earliest``; or beats, or it."""
    bar = grid.meters.locate(earliest).bar
    if grid.meters.start(bar) < earliest:
        bar += 1
    start = grid.meters.start(bar)
    if start < tick:
        return start
    beats = (tick - earliest) // TICKS_PER_BEAT
    return tick - beats * TICKS_PER_BEAT if beats else earliest
