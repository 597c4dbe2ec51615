"""Niceness: the worker stands behind the engine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine import priority

pytestmark = pytest.mark.skipif(not hasattr(os, "nice"), reason="needs a Unix niceness")


def niceness_after(call: str) -> int:
    """Of a process of its own: it can't be taken back."""
    code = f"import os; from engine import priority; {call}; print(os.nice(0))"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def test_who_makes_notes_gives_way() -> None:
    assert niceness_after("priority.give_way()") == min(19, os.nice(0) + priority.STEPS)


def test_others_are_let_in_at_once() -> None:
    priority.let_others_in()
