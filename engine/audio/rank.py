"""Which of several candidates goes on best: by the grid, by level and by continuity.

A pure function of what was measured. What counts how much stands in one table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isnan
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Measures:
    """How far a candidate is from its prompt's going on; all of it 0 for a perfect one."""

    offset_ms: float
    """Distance of its beats from where the prompt's lie, as surely as they were found."""
    tempo_percent: float
    """Error of its tempo, as surely as it was found."""
    lost_beat: float
    """How much less clear its beat is than the prompt's, from 0 to 1."""
    level_lu: float
    """Distance of its loudness from the prompt's, as it came."""
    entry_lu: float
    """How much quieter its first beat is than a beat of the prompt."""
    click: float
    """How much the step across the seam stands out, above what is usual in the sound around it."""
    unlikeness_db: float
    """Distance of its balance of high and low from the prompt's."""


TOLERABLE = MappingProxyType(
    {
        "offset_ms": 20.0,
        "tempo_percent": 1.0,
        "lost_beat": 0.25,
        "level_lu": 12.0,  # mended by a gain, so it says only that the take is of another kind
        "entry_lu": 6.0,
        "click": 2.0,  # mended by a crossfade
        "unlikeness_db": 6.0,
    }
)
"""The size of each error that costs 1: half of what would be too much to like."""

WORST = 5.0
"""The most that one error costs: beyond, a take is not worse, only wrong."""


def cost(measures: Measures) -> float:
    """What is wrong with a candidate, in tolerable errors; what could not be measured costs all."""
    total = 0.0
    for field in fields(measures):
        error = abs(getattr(measures, field.name)) / TOLERABLE[field.name]
        total += WORST if isnan(error) else min(error, WORST)
    return total


def rank(candidates: Sequence[Measures]) -> list[int]:
    """The candidates' indices, the best first; the earlier one where two are equally good."""
    return sorted(range(len(candidates)), key=lambda i: cost(candidates[i]))
