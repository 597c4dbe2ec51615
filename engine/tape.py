"""Sound on a track's timeline: files, and at which sample of them each bar begins.

The engine holds no samples: it knows where they lie, and the worker that makes sound reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.worker.wire import Piece

SNAP = 0.010
"""Seconds by which a file may miss whole bars and still be a loop of them."""


@dataclass(frozen=True, slots=True)
class Tape:
    """An audio file on the timeline, whose sound ends at a bar line."""

    path: str
    rate: int
    channels: int
    bar: int
    """The song's bar that begins at the first of the lines."""
    lines: tuple[int, ...]
    """The sample at which each bar begins; the last is where the sound ends."""

    @property
    def end(self) -> int:
        """The first bar after it."""
        return self.bar + len(self.lines) - 1

    @property
    def is_loop(self) -> bool:
        """Whether it is whole bars long, so that its beginning may follow its end."""
        return len(self.lines) > 1 and self.lines[0] <= SNAP * self.rate

    def line(self, bar: int) -> int:
        """The sample at which a bar of it begins."""
        return self.lines[bar - self.bar]

    def piece(self, first: int, end: int) -> Piece:
        """The samples from ``first`` up to ``end``."""
        return Piece(self.path, first, end - first)

    def about(self) -> dict[str, Any]:
        """What is written down of it, but for its path."""
        return {"rate": self.rate, "channels": self.channels, "bar": self.bar, "lines": self.lines}

    @staticmethod
    def of(path: str, about: dict[str, Any]) -> Tape:
        """What :meth:`about` was told of. Raises ``KeyError``, ``ValueError`` or ``TypeError``."""
        return Tape(
            path,
            int(about["rate"]),
            int(about["channels"]),
            int(about["bar"]),
            tuple(int(line) for line in about["lines"]),
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """What sounded on a track up to a bar line."""

    past: tuple[Piece, ...] = ()
    following: tuple[Piece, ...] = ()
    """What would sound next if it went on as before: a loop's own beginning."""
    rate: int = 0
    """Of the latest of it, in Hz."""
    end: int = 0
    """The bar at whose line it ends."""


def heard(tapes: Sequence[Tape], bar: int, seconds: float) -> Heard:
    """The last ``seconds`` or a little more that sounded before ``bar``; nothing where none did.

    Later tapes cover earlier ones. What ended some time ago is gone on from as if it ended now.
    """
    end = max((min(tape.end, bar) for tape in tapes if tape.bar < bar or _has_lead(tape, bar)),
              default=None)  # fmt: skip
    if end is None:
        return Heard()
    newest = _covering(tapes, end - 1) or _leading(tapes, end)
    assert newest is not None
    following: tuple[Piece, ...] = ()
    if newest.is_loop and newest.end == end:
        following = (newest.piece(newest.lines[0], min(newest.lines[-1], newest.rate)),)
    pieces: list[Piece] = []
    left, at = seconds, end
    while left > 0 and (tape := _covering(tapes, at - 1)) is not None:
        first, last = tape.line(at - 1), tape.line(at)
        if pieces and pieces[-1].path == tape.path and pieces[-1].first == last:
            joined = pieces.pop()
            pieces.append(Piece(tape.path, first, joined.frames + last - first))
        else:
            pieces.append(tape.piece(first, last))
        left -= (last - first) / tape.rate
        at -= 1
    if left > 0 and (tape := _leading(tapes, at)) is not None:
        pieces.append(tape.piece(0, tape.lines[0]))
    return Heard(tuple(reversed(pieces)), following, newest.rate, end)


def _has_lead(tape: Tape, bar: int) -> bool:
    """Whether some of a bar of it sounds before its first line, which is ``bar`` or earlier."""
    return tape.bar <= bar and tape.lines[0] > 0


def _covering(tapes: Sequence[Tape], bar: int) -> Tape | None:
    """The topmost that holds the whole bar."""
    return next((t for t in reversed(tapes) if t.bar <= bar < t.end), None)


def _leading(tapes: Sequence[Tape], bar: int) -> Tape | None:
    """The topmost of which a part of a bar sounds right before ``bar``."""
    return next((t for t in reversed(tapes) if t.bar == bar and t.lines[0] > 0), None)
