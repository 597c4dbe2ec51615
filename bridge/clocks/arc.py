"""A bend in the tempo: the parabola through the latest clock ticks, where they surely lie on one.

While a tempo is on its way, the line through the ticks is always a little behind it, and is bent
again and again. A parabola is not, but its ends tremble more. So it is only gone by where the ticks
cannot lie on a line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import inf, sqrt
from typing import NamedTuple, Protocol

LENGTHS = (48, 72, 96, 144)
"""Latest ticks that parabolas are drawn through: slow bends are seen over many, fast ones over few.
"""
SURE, WARY = 4.5, 2.5
"""Standard deviations by which a parabola must differ from a line: for a bend to be believed in,
and for it to go on."""
AGREE = 2.0
"""Standard deviations by which a longer parabola's bend may differ from the shorter ones'; it goes
back to before the bend began otherwise, or ended."""
FITS = 2.0
"""Variances of the jitter that its ticks may be off on the average."""


class Counted(Protocol):
    """A tick, whose index may still change: it is counted anew where others were lost."""

    index: int


class _Parabola(NamedTuple):
    """Seconds over ticks, counted from the newest one: ``at + period x + bend x²``."""

    at: float
    period: float
    bend: float
    doubt: float
    """Of the bend, for a jitter of one second: a standard deviation."""
    misfit: float
    """Squares of what its ticks are off, in all."""


class Arc:
    """Looks for a bend. ``bent`` says whether there is one; the rest holds only then."""

    def __init__(self) -> None:
        self._ticks: deque[tuple[Counted, float]] = deque(maxlen=max(LENGTHS))
        self._found: _Parabola | None = None

    @property
    def bent(self) -> bool:
        """Whether the tempo is on its way."""
        return self._found is not None

    @property
    def period(self) -> float:
        """Seconds from tick to tick, at the newest one."""
        assert self._found is not None
        return self._found.period

    def phase(self, now: float) -> float:
        """Ticks since the newest one."""
        assert self._found is not None
        return (now - self._found.at) / self._found.period

    def expects(self, steps: int) -> float:
        """When the tick comes that is ``steps`` after the newest one; never where nothing bends."""
        if self._found is None:
            return -inf
        return self._found.at + steps * (self._found.period + steps * self._found.bend)

    def begin(self, keep: int = 0) -> None:
        """The tempo stepped, or the song begins: only so many of the ticks still count."""
        while len(self._ticks) > keep:
            self._ticks.popleft()
        self._found = None

    def add(self, tick: Counted, seconds: float, jitter: float) -> None:
        """Take a tick, and look anew. ``jitter`` is a standard deviation in seconds."""
        self._ticks.append((tick, seconds))
        sure = SURE if self._found is None else WARY
        self._found = None
        shorter: list[_Parabola] = []
        for n, found in self._parabolas():
            doubt = found.doubt * jitter
            if any(
                abs(found.bend - other.bend) > AGREE * other.doubt * jitter for other in shorter
            ):
                return
            shorter.append(found)
            if abs(found.bend) > sure * doubt and found.misfit <= FITS * (n - 3) * jitter**2:
                self._found = found

    def _parabolas(self) -> Iterator[tuple[int, _Parabola]]:
        """Those of least squares through the latest ticks, and how many these are."""
        if not self._ticks:
            return
        newest, base = self._ticks[-1][0].index, self._ticks[-1][1]
        x1 = x2 = x3 = x4 = y1 = xy = xxy = yy = 0.0
        for n, (tick, seconds) in enumerate(reversed(self._ticks), 1):
            x, y = float(tick.index - newest), seconds - base
            xx = x * x
            x1, x2, x3, x4 = x1 + x, x2 + xx, x3 + x * xx, x4 + xx * xx
            y1, xy, xxy, yy = y1 + y, xy + x * y, xxy + xx * y, yy + y * y
            if n not in LENGTHS:
                continue
            # What is left of x² and y once a line has taken its part of them.
            slope, square = x2 - x1 * x1 / n, x3 - x1 * x2 / n
            along = xy - x1 * y1 / n
            left = x4 - x2 * x2 / n - square * square / slope
            rest = xxy - x2 * y1 / n - square * along / slope
            bend = rest / left
            period = (along - square * bend) / slope
            at = base + (y1 - period * x1 - bend * x2) / n
            misfit = yy - y1 * y1 / n - along * along / slope - rest * rest / left
            yield n, _Parabola(at, period, bend, 1.0 / sqrt(left), misfit)
