"""What commands print."""

from __future__ import annotations

import io
from itertools import count

import pytest

from bridge.commands import output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is a second later."""
    clock = count()
    monkeypatch.setattr(output.time, "monotonic", lambda: float(next(clock)))


@pytest.mark.usefixtures("seconds")
def test_progress_in_a_pipe_is_plain_lines_after_two_seconds() -> None:
    stream = io.StringIO()
    progress = output.Progress("rendering", stream)
    for part in (0.0, 0.1, 0.2, 0.25, 0.29, 0.5, 1.0):
        progress(part)
    progress.close()
    assert stream.getvalue() == "rendering: 10%\nrendering: 20%\nrendering: 50%\nrendering: 100%\n"


@pytest.mark.usefixtures("seconds")
def test_progress_on_a_terminal_stays_on_its_line() -> None:
    stream = Terminal()
    progress = output.Progress("rendering", stream)
    for part in (0.0, 0.5, 0.501, 1.0):
        progress(part)
    progress.close()
    assert stream.getvalue() == "\rrendering: 50%\rrendering: 100%\n"


def test_what_is_quick_shows_no_progress() -> None:
    stream = Terminal()
    progress = output.Progress("rendering", stream)
    progress(1.0)
    progress.close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (16 << 20, "16.0 MiB"),
        (3 << 40, "3072.0 GiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert output.size(count) == text


def test_tables_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("a", "long"), [("wide cell", "x"), ("y", "")])
    assert capsys.readouterr().out == "a          long\nwide cell  x\ny\n"
