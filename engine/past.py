"""A file as a track's past: which notes lie in which bar, ready to be put there.

Pure functions, called on the loader's thread: what takes time over a long file is done before the
conductor hears of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from engine.audio.grid import Grid
from engine.music import MeterMap, Note
from engine.session import check_bar
from engine.tape import SNAP, Tape
from engine.worker.wire import row


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a file goes: the track as it is, and the bar line ``end`` at which the file ends."""

    track: int
    name: str
    program: int | None
    meters: MeterMap
    end: int
    bpm: float = field(default=120.0, compare=False)
    """What counts sound's bars. A tempo that is measured is never twice the same, so a file is not
    laid out again for it."""


class LoadedFile(Protocol):
    """What was in a file."""

    @property
    def bars(self) -> int:
        """Its length."""
        ...

    @property
    def meters(self) -> MeterMap:
        """The meters that its bars have."""
        ...

    @property
    def notes(self) -> tuple[Note, ...]:
        """Its notes, with bars counted from its start."""
        ...

    @property
    def program(self) -> int | None:
        """Its instrument, where it has only one."""
        ...


@dataclass(frozen=True, slots=True)
class Past:
    """A file laid out: notes in sounding order by the song's bars, and the journal's lines."""

    spot: Spot
    length: int
    """Bars of the file."""
    program: int | None
    """What the track is from now on."""
    bars: dict[int, list[Note]]
    events: list[dict[str, Any]]
    tape: Tape | None = None
    """Sound, where the file is one of sound; then there are no notes."""


def lay_out(file: LoadedFile, spot: Spot) -> Past:
    """The file's last bar becomes the one before ``spot.end``; its notes keep their time.

    Raises ``bad-arguments`` where a bar would hold more than a track may have.
    """
    program = file.program if spot.program is None else spot.program
    shift = spot.meters.start(spot.end) - file.meters.start(file.bars)
    bars: dict[int, list[Note]] = {}
    for note in file.notes:
        place = spot.meters.locate(file.meters.absolute(note.onset) + shift)
        sound = note.program if program is None else program
        moved = replace(note, bar=place.bar, tick=place.tick, program=sound)
        bars.setdefault(place.bar, []).append(moved)
    for bar, notes in bars.items():
        check_bar(spot.name, bar, len(notes))
        notes.sort()
    events = [
        {"event": "played", "track": spot.track, "bar": bar, "notes": [row(n) for n in notes]}
        for bar, notes in sorted(bars.items())
    ]
    return Past(spot, file.bars, program, bars, events)


def lay_out_sound(path: str, rate: int, channels: int, frames: int, spot: Spot) -> Past:
    """A recording's last sample becomes the last one before the line of ``spot.end``.

    Bars are counted back from there by the song's tempo; where the song has none, before its
    beginning, they are as long as its first.
    """
    grid = Grid(rate, spot.bpm, spot.meters)
    end, lines, bar = grid.line(spot.end), [frames], spot.end
    while True:
        bar -= 1
        line = frames - (end - grid.line(bar))
        if line < -SNAP * rate or line >= lines[-1]:
            break
        lines.append(max(0, line))
    tape = Tape(path, rate, channels, spot.end - len(lines) + 1, tuple(reversed(lines)))
    return Past(spot, len(lines) - 1, spot.program, {}, [], tape)
