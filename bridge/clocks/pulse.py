"""Which clock tick is the how many-th, and when it really was: the loop behind MIDI clock.

A tick that comes says two things badly: its time, which jitters, and its count, since ticks get
lost. The loop keeps a line through the ticks (``line``) and goes by these rules.

* Every tick counts. A host that sends once an audio block sends two at a time where its block is as
  long as a tick, and who took one of them for an echo would fall behind.
* A tick that is late by a tick's length shows that one was lost. If the next is early by as much,
  none was.
* A tick far off the line moves it only as far as jitter would explain.
* Where the ticks of late lie to one side of the line, it is bent: it goes on through these alone.
  That is how it follows small steps of the tempo.
* Where the ticks of late lie on a bend, as they do in a ramp, place and tempo are those of the bend
  (``arc``). They are counted by the line all the same.
* Where ticks seem to be lost, or to be early, one after the other, a rival is heard: that the
  tempo was stepped up or down, and every tick counts. The likelier story is believed, and ticks
  since the step are counted anew by it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice, pairwise
from math import sqrt

from bridge.clocks.arc import Arc
from bridge.clocks.line import Line

PPQ = 24
"""MIDI clock ticks in a quarter note."""
FASTEST, SLOWEST = 60.0 / (PPQ * 600), 60.0 / (PPQ * 10)
"""Seconds from tick to tick at 600 and at 10 BPM; nothing else is a tempo."""
GAP = 4 * PPQ
"""Ticks; after a longer gap the line begins anew, at the tick that it would have expected."""

LEAST_JITTER = 0.2e-3
"""Seconds (standard deviation); a timer is no better."""
FIRST_JITTER = 2e-3
JITTER_MEMORY = 96
"""Ticks over which the jitter is averaged."""
LEAN_MEMORY = 24
"""Ticks over which a line's lean to one side is averaged, which is no jitter."""

TOGETHER = 0.15
"""Of the period; ticks that are closer came at once."""
HOLES = 7
"""Of the latest ticks; in a hundred that lose one, not one song in thousands loses as many."""
BEATS = 6
"""Holes one after the other, always as many ticks apart. No cable loses them so, but blocks that
are a little shorter than a tick beat against it so."""
LEAST_BEAT = 3
"""Ticks; holes that are closer come of a tempo that stepped."""
REMEMBERED = 384
"""Ticks that can be counted anew when that is found out."""
BUNCHED = 8 * PPQ
"""Ticks for which a source that sent two at once is taken to send in blocks."""
BEYOND = 3.0
"""Times the jitter; a tick further off is not believed at its word."""
LEAST_BEYOND = 3e-3
"""Seconds that are always believed."""

SCALES = (6, 12, 24, 48)
"""Latest ticks that may lie to one side of the line together, ..."""
SURE, WARY = 4.5, 4.0
"""... by how many standard deviations of their mean (the second where the line was bent in the
last :data:`CALM` ticks, as it will be again if the tempo is on its way), ..."""
CALM = 96
LEAST_BEND = 0.5e-3
"""... and by how many seconds at least, for the line to be bent: to go on through the later half of
them."""

FEWEST = 4
"""Ticks that a line is drawn through."""
YOUNG = 10
"""How many first ticks are counted anew with every one that comes."""
RIVAL = range(6, 17)
"""How many ticks a new tempo may have had when it is found out."""
LOSS = 9.0
"""What a lost tick costs a story: twice the log-likelihood of one in a hundred."""
STRAY = 14.0
"""What a tick costs it at most that is where it should not be."""
STEP = 32.0
"""What a step of the tempo costs it."""
FITS = 2.5
"""Variances of the jitter that a rival's ticks may be off on the average."""
DIFFERENT = 0.03
"""A tempo nearer than this is no step; the line bends that far before ticks are miscounted."""

SAME_SONG = 24.0**3 / 12
"""What a period known from before a Start is worth after it, in ticks squared: 24 ticks."""
OLD = 8.0**3 / 12
"""What it is worth after a gap."""
LOCKED = 2e-3
"""Doubt about the period, as a part of it, below which the tempo is known well."""


@dataclass(slots=True)
class _Tick:
    seconds: float
    index: int
    cost: float
    """How unlikely it is by the present line; a square in standard deviations."""
    steps: int
    """Ticks since the one before, as far as known: more than 1 if some were lost, 0 for one that
    was taken for lost already."""
    period: float
    """The line's period when it came."""


class Pulse:
    """Counts and times clock ticks. Time is a parameter; it may not go back."""

    def __init__(self) -> None:
        self.index = -1
        """The newest tick, counted from 0 when the first came; lost ones are counted too."""
        self.lost = 0
        """Ticks missing in gaps up to :data:`GAP`; a longer one is a pause."""
        self.outliers = 0
        """Ticks too far off to be believed at their word."""
        self.steps = 0
        """Steps of the tempo that were found out."""
        self.heard: float | None = None
        """When the newest tick came."""
        self.jitter = FIRST_JITTER
        """Seconds, standard deviation."""
        self._line: Line | None = None
        self._known = self._young = False
        self._judged = 0
        self._bunched = 0
        self._together: deque[int] = deque(maxlen=2)
        self._lean = 0.0
        self._recent: deque[_Tick] = deque(maxlen=REMEMBERED)
        self._aside: deque[float] = deque(maxlen=CALM)
        self._arc = Arc()

    @property
    def known(self) -> bool:
        """Whether there is a tempo: two ticks have come."""
        return self._known

    @property
    def period(self) -> float:
        """Seconds from tick to tick."""
        return self._arc.period if self._arc.bent else self._straight

    @property
    def _straight(self) -> float:
        """The same, on the line that ticks are counted by."""
        return self._line.period if self._line else 60.0 / (PPQ * 120)

    @property
    def locked(self) -> bool:
        """Whether the tempo is known well, to about 0.2%."""
        trust = self._line.trust if self._line else 0.0
        return trust > 0 and self.jitter / sqrt(trust) < LOCKED * self.period

    def at(self, now: float) -> float:
        """The index that the source has reached at ``now``, with the part of a tick."""
        if self._arc.bent:
            return self.index + self._arc.phase(now)
        return self.index + (self._line.phase(now) if self._line else 0.0)

    def tick(self, now: float, *, first: bool = False) -> None:
        """A tick came.

        ``first`` if the song begins with it: the source may have set its clock anew, and what
        came before it will not be counted anew.
        """
        gap = 0.0 if self.heard is None else now - self.heard
        self.heard = now
        line = self._line
        if line is None or (not self._known and gap > SLOWEST):
            self._begin(now, self.index + 1, self._straight)
            return
        if not self._known:
            self._known = True
            self._take(line, 1, now)
            return
        phase = line.phase(now)
        if first:
            steps = max(1, round(phase))
            off = abs(phase - steps) * line.period
            if phase > GAP or off > max(BEYOND * self.jitter, 0.15 * line.period):
                trust = OLD if phase > GAP else min(SAME_SONG, line.trust)
                self._begin(now, self.index + 1, line.period, trust)
                return
            self._recent.clear()
            self._aside.clear()
            self._arc.begin()
        elif phase > GAP:
            self._begin(now, self.index + round(phase), line.period, OLD)
            return
        else:
            steps = _steps(phase)
        if gap < TOGETHER * line.period:
            self._together.append(self.index)
        if self._is_paired() or self._is_holey():
            self._bunch()
        self._bunched = max(0, self._bunched - 1)
        self._take(self._line or line, 1 if self._bunched else steps, now)

    def _is_paired(self) -> bool:
        """Whether ticks came two at a time, and that more than once of late."""
        pairs = self._together
        return len(pairs) == 2 and self.index - pairs[0] < BUNCHED / 2

    def _is_holey(self) -> bool:
        """Whether more ticks seem to be lost than are, here and there, or too regularly."""
        if self._bunched or not self._recent or self._recent[-1].steps < 2:
            return False
        ages = [age for age, tick in enumerate(reversed(self._recent)) if tick.steps > 1]
        lost, latest = sum(age < max(SCALES) for age in ages), min(len(self._recent), max(SCALES))
        if lost >= HOLES and 2 * lost <= latest:
            return True
        gaps = [older - newer for newer, older in pairwise(ages[:BEATS])]
        return len(gaps) == BEATS - 1 and min(gaps) >= LEAST_BEAT and max(gaps) <= min(gaps) + 1

    def _bunch(self) -> None:
        """The source keeps its ticks until a block is over, and times tell nothing about counts.
        What was counted otherwise lately is counted anew."""
        first, self._bunched = not self._bunched, BUNCHED
        ticks = list(self._recent)
        longest = max((b.seconds - a.seconds for a, b in pairwise(ticks)), default=0.0)
        self.jitter = max(self.jitter, longest / sqrt(12.0))
        if first and len(ticks) > FEWEST:
            self._recount(ticks, len(ticks), ticks[0].index - 1)

    def _begin(self, now: float, index: int, period: float, trust: float = 0.0) -> None:
        self.index = index
        self._line = Line(now, period, trust)
        self._known = trust > 0
        self._young = not self._known
        self._aside.clear()
        self._recent.clear()
        self._recent.append(_Tick(now, index, 0.0, 1, period))
        self._arc.begin()

    @property
    def _limit(self) -> float:
        return max(BEYOND * self.jitter, LEAST_BEYOND)

    def _cost(self, aside: float, steps: int) -> float:
        return min(STRAY, (aside / self.jitter) ** 2) + LOSS * (steps != 1)

    def _take(self, line: Line, steps: int, now: float) -> None:
        """The tick is ``steps`` after the newest; 0 if it seems to be that one again."""
        if steps == 0 and self._take_back():
            self._recent.append(_Tick(now, self.index, LOSS, 0, line.period))
        else:
            steps = max(1, steps)
            self.lost += steps - 1
            self.index += steps
            limit = self._limit
            expected = (now + (steps - line.phase(now)) * line.period, self._arc.expects(steps))
            aside = line.add(steps, now, limit)
            self.outliers += abs(aside) > limit
            tick = _Tick(now, self.index, self._cost(aside, steps), steps, line.period)
            self._recent.append(tick)
            if self._bunched:
                self._arc.begin()  # blocks beat against ticks, which looks like bends
            believed = (min(max(now, moment - limit), moment + limit) for moment in expected)
            self._arc.add(tick, min(believed, key=lambda moment: abs(moment - now)), self.jitter)
            self._aside.append(max(-self._limit, min(self._limit, aside)))
            self._learn_jitter(aside)
        if self._bunched:
            if bend := self._bend():
                self._refit([tick for tick in self._recent if tick.steps][-max(SCALES[0], bend) :])
        elif not (self._young and self._settle()):
            bend = self._bend()
            heard = (bend or self._doubtful()) and self._hear_rival()
            if bend and not heard:
                late = max(SCALES[0], bend // 2)
                self._refit([tick for tick in self._recent if tick.steps][-late:])
        if not FASTEST <= self._straight <= SLOWEST:
            self._begin(now, self.index, min(SLOWEST, max(FASTEST, self._straight)))

    def _take_back(self) -> bool:
        """One of the ticks that were taken for lost was only late; False where none was."""
        for tick in islice(reversed(self._recent), max(SCALES)):
            if tick.steps > 1:
                tick.steps -= 1
                self.lost -= 1
                return True
        return False

    def _learn_jitter(self, aside: float) -> None:
        """Learn it from what differs from the latest residuals' mean, which a ramp moves."""
        self._judged += 1
        share = 1.0 / min(self._judged + 12, JITTER_MEMORY)
        square = self.jitter**2
        square += (min(abs(aside - self._lean), BEYOND * self.jitter) ** 2 - square) * share
        self._lean += (max(-self._limit, min(self._limit, aside)) - self._lean) / LEAN_MEMORY
        self.jitter = max(LEAST_JITTER, sqrt(square))

    def _bend(self) -> int:
        """How many of the latest ticks lie to one side of the line, as they would by no chance."""
        sure = SURE if len(self._aside) == CALM else WARY
        total = 0.0
        for n, aside in zip(range(1, max(SCALES) + 1), reversed(self._aside), strict=False):
            total += aside
            if n in SCALES and abs(total) > max(sure * self.jitter * sqrt(n), LEAST_BEND * n):
                return n
        return 0

    def _doubtful(self) -> bool:
        """Whether the latest ticks are told as a story of losses."""
        latest = zip(reversed(self._recent), range(12), strict=False)
        return sum(tick.steps != 1 for tick, _ in latest) >= 2

    def _settle(self) -> bool:
        """Count the first ticks anew with every one that comes: no tempo was known to tell by."""
        ticks = list(self._recent)
        n = len(ticks)
        self._young = n < YOUNG
        if n < FEWEST:
            return False
        times = [tick.seconds for tick in ticks]
        costs = {
            gap: _fit(_counted(n, gap), times)[0] / self.jitter**2 + LOSS * (gap < n)
            for gap in range(1, n + 1)
        }
        self._recount(ticks, min(costs, key=costs.__getitem__), ticks[0].index - 1)
        return True

    def _hear_rival(self) -> bool:
        """Believe in a step of the tempo where that is likelier, and count anew from it."""
        ticks = list(self._recent)
        best, told = 0.0, None
        for n in RIVAL:
            if n >= len(ticks):
                break
            last, latest = ticks[-n - 1], ticks[-n:]
            cost = sum(tick.cost for tick in latest)
            if cost < STEP + best:
                continue
            times = [tick.seconds for tick in latest]
            entry = times[0] - last.seconds
            for gap in (n, *range(n - 1)):
                if 0 < gap < 3 and n - gap < RIVAL.start:
                    continue  # It could be the step itself, of a tempo that doubled.
                misfit, period = _fit(_counted(n, gap), times)
                if not FASTEST <= period <= SLOWEST:
                    continue
                doubt = SURE * self.jitter * sqrt(12.0 / n**3)
                if abs(period - last.period) <= max(DIFFERENT * last.period, doubt):
                    continue
                # The tempo stepped somewhere between two ticks, so they lie between both periods.
                few, many = sorted((period, last.period))
                steps = 2 if gap == 0 else 1
                misfit += max(0.0, steps * few - entry, entry - steps * many) ** 2 / 2
                misfit /= self.jitter**2
                gain = cost - STEP - LOSS * (gap < n) - misfit
                if gain > best and misfit <= FITS * n:
                    best, told = gain, (n, gap)
        if told is None:
            return False
        n, gap = told
        self.steps += 1
        self._arc.begin(keep=n)
        self._recount(ticks[-n:], gap, ticks[-n - 1].index)
        return True

    def _recount(self, ticks: list[_Tick], gap: int, index: int) -> None:
        """The latest ticks count one each from ``index`` on, but two the one at ``gap``."""
        for i, tick in enumerate(ticks):
            self.lost -= max(0, tick.steps - 1)
            tick.steps = 2 if i == gap else 1
            self.lost += tick.steps - 1
            tick.index = index = index + tick.steps
        self.index = index
        self._refit(ticks[-max(SCALES) :])

    def _refit(self, ticks: list[_Tick]) -> None:
        """Draw the line through these ticks only, which are the latest.

        The first of them may be from before whatever happened; then it is left out.
        """
        if len(ticks) < FEWEST:
            return
        indices, times = [tick.index for tick in ticks], [tick.seconds for tick in ticks]
        most = STRAY * self.jitter**2
        first = 0
        misfit = _fit(indices, times)[0]
        while len(ticks) - first > FEWEST:
            without = _fit(indices[first + 1 :], times[first + 1 :])[0]
            if misfit - without <= most:
                break
            misfit, first = without, first + 1
        line = Line(times[first], self._straight)
        for tick in ticks[first + 1 :]:
            tick.cost = self._cost(line.add(tick.steps, tick.seconds, self._limit), tick.steps)
        self._line = line
        self._aside.clear()


def _steps(phase: float) -> int:
    """The likeliest count of ticks from the newest to one that comes at ``phase``.

    One is much likelier than any other, so it may be a little further off.
    """
    if 0.4 <= phase < 1.6:
        return 1
    return max(0, round(phase))


def _counted(n: int, gap: int) -> list[int]:
    """Indices of ``n`` ticks that count one each, but two the one at ``gap``."""
    return [i + (i >= gap) for i in range(n)]


def _fit(indices: list[int], times: list[float]) -> tuple[float, float]:
    """The squared misfit of the straight line through ticks, and its slope."""
    n = len(times)
    mean_x, mean_t = sum(indices) / n, sum(times) / n
    xx = xt = tt = 0.0
    for index, seconds in zip(indices, times, strict=True):
        x, t = index - mean_x, seconds - mean_t
        xx += x * x
        xt += x * t
        tt += t * t
    return max(0.0, tt - xt * xt / xx), xt / xx
