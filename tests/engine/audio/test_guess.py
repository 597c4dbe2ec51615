"""The tempo of a loop that nobody has told."""

from __future__ import annotations

import numpy as np
import pytest

from engine.audio.guess import guess
from tests.support.sounds import hits, recorded_loops


@pytest.mark.parametrize("bpm", [85, 90, 97, 120, 128, 140])
@pytest.mark.parametrize("bars", [1, 2, 4])
def test_a_loop_of_whole_bars(bpm: int, bars: int) -> None:
    """Nobody can tell 70 from 140 by beats alone: then what is usual decides."""
    beat = 60 / bpm
    loop = hits([i * beat for i in range(4 * bars)], 4 * bars * beat, 22_050)
    assert guess(loop, 22_050) == pytest.approx(bpm, rel=1e-3)


def test_half_a_bar() -> None:
    assert guess(hits([0.0, 0.45], 0.9, 22_050), 22_050) == pytest.approx(133.3, rel=1e-3)


def test_too_short_to_tell() -> None:
    assert guess(np.zeros((1000, 1), np.float32), 44_100) == 120.0


def test_recorded_loops() -> None:
    """Those whose tempo their makers wrote down, in their names or beside them."""
    said = {"loop_drone_g_97": 97.0, "loop_garzul": 120.0, "loop_compus": 148.0}
    loops = recorded_loops()
    for name, bpm in said.items():
        if name in loops:
            assert guess(*loops[name]) == pytest.approx(bpm, rel=1e-3), name
