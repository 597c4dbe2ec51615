import numpy as np
import pytest

from engine.audio.spectrum import bands, magnitudes, unlikeness
from tests.support.sounds import noise, sine

RATE = 32_000


def test_a_sines_magnitude_is_its_amplitude() -> None:
    rows = np.concatenate(list(magnitudes(sine(1000, 1, RATE, channels=1), 512, 80)))
    assert rows.shape == ((RATE - 512) // 80 + 1, 257)
    assert rows.max(axis=1) == pytest.approx(1.0, abs=0.01)
    assert (rows.argmax(axis=1) == 16).all()


def test_blocks_join_without_a_gap() -> None:
    sound = noise(12, 8000)
    rows = np.concatenate(list(magnitudes(sound, 64, 20)))
    assert len(rows) == (96_000 - 64) // 20 + 1
    alone = next(magnitudes(sound[20 * 2048 : 20 * 2048 + 64], 64, 20))
    assert np.allclose(rows[2048], alone[0], atol=1e-6)


def test_less_than_a_window_has_no_spectrum() -> None:
    assert list(magnitudes(noise(0.001, RATE), 512, 80)) == []


def test_a_band_holds_the_power_of_what_is_in_it() -> None:
    levels = bands(sine(1000, 1, RATE, level=-20, channels=1), RATE)
    assert levels.max() == pytest.approx(-23.01, abs=0.01)
    assert (np.sort(levels)[:-1] < -60).all()
    assert len(bands(noise(0.1, 8000), 8000)) == len(levels)


def test_only_the_balance_counts_as_unlike() -> None:
    sound = noise(1, RATE)
    low = np.cumsum(sound, axis=0, dtype=np.float32) * 0.05
    assert unlikeness(bands(sound, RATE), bands(sound * 0.1, RATE)) == pytest.approx(0, abs=1e-3)
    assert unlikeness(bands(sound, RATE), bands(noise(1, RATE, seed=1), RATE)) < 1.0
    assert unlikeness(bands(sound, RATE), bands(low, RATE)) > 5.0
