"""Time tags: when a bundle's messages take effect, and the queue in which they wait until then.

Nothing here reads a clock but through the function that it was given.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Final, Generic, TypeVar

from bridge.osc.codec import IMMEDIATELY
from engine.errors import Code, SidemanError

NTP_DELTA: Final = 2_208_988_800
"""Seconds from 1900, where NTP begins, to 1970."""

OLDEST: Final = 1.0
"""Seconds in the past that a tag is still believed; beyond that the two clocks disagree."""

CLOCK_STEP: Final = 0.001
"""Seconds by which the wall clock must have moved against the monotonic one to be followed."""

MOST_WAITING: Final = 20_000


def wall_offset() -> float:
    """Wall clock minus monotonic clock, in seconds, at this moment."""
    return time.time() - time.monotonic()


def time_tag(wall_seconds: float) -> int:
    """The NTP 32.32 time tag of a moment on the wall clock (seconds since 1970)."""
    return round((wall_seconds + NTP_DELTA) * 2**32)


class TimeTags:
    """Turns NTP time tags into seconds of the monotonic clock."""

    def __init__(self, offset: Callable[[], float] = wall_offset) -> None:
        """``offset`` gives wall minus monotonic seconds; asked for each packet, as clocks step."""
        self._offset = offset
        self._held = offset()
        self._asked: float | None = None

    def moment(self, tag: int | None, arrived: float, horizon: float) -> float:
        """When a message takes effect, in monotonic seconds.

        Without a tag, or with the one that means at once, that is when it ``arrived``. A tag in the
        recent past is kept, since it tells where the song was then. Raises :class:`SidemanError`
        with ``bad-arguments`` for a tag that lies more than ``horizon`` seconds ahead.
        """
        if tag is None or tag == IMMEDIATELY:
            return arrived
        moment = tag / 2**32 - NTP_DELTA - self._offset_at(arrived)
        if moment < arrived - OLDEST:
            return arrived
        if moment > arrived + horizon:
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"the time tag lies {moment - arrived:.1f} s ahead, at most 8 bars "
                f"({horizon:.1f} s) are possible; are both clocks right?",
            )
        return moment

    def _offset_at(self, arrived: float) -> float:
        """The offset for a packet that arrived then.

        One for all of its messages, and held while no clock steps: equal tags are equal moments,
        or else what belongs together would come apart and out of order by its last microseconds.
        """
        if arrived != self._asked:
            self._asked = arrived
            offset = self._offset()
            if abs(offset - self._held) > CLOCK_STEP:
                self._held = offset
        return self._held


T = TypeVar("T")


class Waiting(Generic[T]):
    """What takes effect later, in order of time, and in order of arrival at the same time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, moment: float, item: T) -> None:
        """Keeps ``item`` until ``moment``. Raises :class:`SidemanError` with ``busy`` when full."""
        if len(self._heap) >= MOST_WAITING:
            raise SidemanError(Code.BUSY, f"{MOST_WAITING} time-tagged messages wait already")
        heapq.heappush(self._heap, (moment, next(self._order), item))

    def due(self, now: float) -> tuple[float, T] | None:
        """Takes out the first item whose moment has come, with its moment; None if none has."""
        if not self._heap or self._heap[0][0] > now:
            return None
        moment, _, item = heapq.heappop(self._heap)
        return moment, item

    @property
    def next_moment(self) -> float | None:
        """When the next item is due."""
        return self._heap[0][0] if self._heap else None
