"""A gate's file: written as it is read, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import Code, SidemanError
from engine.recall.gate import Gate
from tests.support.tiny_model import GATE


def test_round_trip(tmp_path: Path) -> None:
    gate = Gate.load(GATE)
    gate.save(tmp_path / "recall.json")
    again = Gate.load(tmp_path / "recall.json")
    np.testing.assert_array_equal(gate.base, again.base)
    np.testing.assert_array_equal(gate.experts, again.experts)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": 2}, "known are"),
        ({"contexts": ["run-4", "mood"]}, "'mood'"),
        ({"base": [[0.0]]}, "not those of a gate"),
        ({"base": [[0.0], [0.0, 1.0]]}, "not those of a gate"),
        ({"experts": []}, "not those of a gate"),
        ({"extra": 1}, "not a gate"),
        ({"base": "no"}, "not a gate"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, change: dict[str, Any], word: str) -> None:
    path = tmp_path / "recall.json"
    path.write_text(json.dumps(json.loads(GATE.read_text()) | change))
    with pytest.raises(SidemanError, match=word) as error:
        Gate.load(path)
    assert error.value.code == Code.BAD_FILE


def test_numbers_must_be_finite(tmp_path: Path) -> None:
    path = tmp_path / "recall.json"
    table = json.loads(GATE.read_text())
    table["base"][0][0] = 1e400
    path.write_text(json.dumps(table))
    with pytest.raises(SidemanError):
        Gate.load(path)


def test_what_is_missing_or_broken(tmp_path: Path) -> None:
    for content in (None, b"", b"\xff", b"[" * 100_000):
        path = tmp_path / "recall.json"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SidemanError, match="not a gate"):
            Gate.load(path)
