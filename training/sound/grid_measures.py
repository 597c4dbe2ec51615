"""How a continuation keeps to what it goes on from: its time, its seam and its key."""

from __future__ import annotations

from dataclasses import dataclass, fields

from engine.audio import Audio
from engine.audio.compare import Reference
from engine.audio.grid import Grid
from engine.audio.tempo import measure
from training.sound.pitch_classes import chroma, key_of, likeness


@dataclass(frozen=True, slots=True)
class GridMeasures:
    """One continuation. Errors are 0 for a perfect one."""

    tempo_percent: float
    """Error of its tempo by the grid's, of its own best fit; both ways."""

    phase_ms: float
    """Distance of its beats from where those before the seam would be, as surely as both are
    found."""

    beat: float
    """How clear its beat is, 0 to 1: where it is low, tempo and phase say little."""

    click: float
    """How much the step across the seam stands out, above what is usual around it."""

    level_lu: float
    """How much louder or softer it is than what was before the seam."""

    entry_lu: float
    """How much quieter its first beat is than what was before."""

    unlikeness_db: float
    """How differently its high and low are balanced."""

    chroma: float
    """How alike its pitch classes are to those before, 0 to 1."""

    same_key: float
    """1 where its key is the one before, 0 elsewhere."""

    def values(self) -> dict[str, float]:
        """By their names."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}


def measure_take(before: Audio, take: Audio, grid: Grid, bar: int) -> GridMeasures:
    """Measure ``take``, which begins at the line of ``bar``, after ``before``, which ends there."""
    first = Reference(before, grid, bar).measure(take[: grid.length(bar)])
    beat = measure(take, grid, bar)
    was, is_now = chroma(before, grid.rate), chroma(take, grid.rate)
    return GridMeasures(
        tempo_percent=abs(beat.ratio - 1) * 100,
        phase_ms=first.offset_ms,
        beat=beat.confidence,
        click=first.click,
        level_lu=first.level_lu,
        entry_lu=first.entry_lu,
        unlikeness_db=first.unlikeness_db,
        chroma=likeness(was, is_now),
        same_key=float(key_of(was) == key_of(is_now)),
    )
