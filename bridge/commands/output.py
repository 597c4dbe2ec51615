"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any, TextIO

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def print_json(value: Any) -> None:
    """``value`` as JSON on one line."""
    print(json.dumps(value, ensure_ascii=False, default=str))


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under their heads, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def size(count: int) -> str:
    """A number of bytes for people: ``5.4 MiB``."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


class Progress:
    """How far a command is, on stderr, once it has taken two seconds.

    On a terminal one line counts up; in a pipe a plain line stands for each tenth.
    """

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        """``what`` is being done; ``stream`` is written to instead of stderr."""
        self._what = what
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._begin = time.monotonic() + 2.0
        self._shown = -1

    def __call__(self, part: float) -> None:
        """``part`` of the work, 0 to 1, is done."""
        if time.monotonic() < self._begin:
            return
        step = int(part * (100 if self._terminal else 10))
        if step > self._shown:
            self._shown = step
            before, after = ("\r", "") if self._terminal else ("", "\n")
            percent = step if self._terminal else 10 * step
            print(f"{before}{self._what}: {percent}%", end=after, file=self._stream, flush=True)

    def close(self) -> None:
        """End the line."""
        if self._terminal and self._shown >= 0:
            print(file=self._stream)
