"""Niceness: the engine before others where it may, the worker behind the engine in any case."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "nice"), reason="needs a Unix niceness")


def niceness_after(call: str) -> int:
    """Of a process of its own: it can't be taken back."""
    code = f"import os; from engine import priority; {call}; print(os.nice(0))"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def test_who_makes_notes_gives_way() -> None:
    assert niceness_after("priority.give_way()") == min(19, os.nice(0) + 5)


def test_who_carries_them_comes_first_where_it_may() -> None:
    assert niceness_after("priority.come_first()") in (os.nice(0), max(-20, os.nice(0) - 5))


def test_refusal_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine import priority

    def refuse(steps: int) -> int:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "nice", refuse)
    priority.come_first()
