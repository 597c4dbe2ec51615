from __future__ import annotations

import pytest

from tests.support.band import Band


@pytest.fixture
def rolling(band: Band) -> Band:
    """Eight bars were played on track 1, and the song is at beat 2 of bar 7, at 120 BPM."""
    band.play(range(8))
    band.transport(7, 2.0)
    band.wait(0.05, pump=True)
    return band
