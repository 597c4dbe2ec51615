import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import Audio
from engine.audio.level import CEILING, loudness, match, true_peak
from tests.support.sounds import noise, sine

RATES = [8000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000]


def in_a_row(rate: int, *parts: tuple[float, float]) -> Audio:
    """Stereo sines of 1 kHz, each of (dBFS, seconds), as in EBU Tech 3341."""
    return np.concatenate([sine(1000, seconds, rate, level=level) for level, seconds in parts])


@pytest.mark.parametrize("rate", RATES)
def test_a_sine_at_997_hz_is_the_standards_reference(rate: int) -> None:
    """BS.1770: 0 dBFS in one channel reads -3.01 LKFS; hence -23 dBFS in both reads -23.0."""
    assert loudness(sine(997, 2, rate, level=-23.0), rate) == pytest.approx(-23.0, abs=0.05)
    assert loudness(sine(997, 2, rate, channels=1), rate) == pytest.approx(-3.01, abs=0.05)


@pytest.mark.parametrize(
    ("parts", "lufs"),
    [
        ([(-23, 20)], -23.0),
        ([(-33, 20)], -33.0),
        ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
    ],
)
def test_what_ebu_tech_3341_asks_of_a_meter(parts: list[tuple[float, float]], lufs: float) -> None:
    """Its minimum requirements, cases 1 to 5: within 0.1 LU."""
    assert loudness(in_a_row(8000, *parts), 8000) == pytest.approx(lufs, abs=0.1)


def test_the_weighting_is_the_standards_filters() -> None:
    """Run sample by sample, as its figure 3 draws them, over noise at 48 kHz."""
    sound = noise(0.5)[:, :1]
    wave = sound[:, 0].astype(np.float64)
    for (b0, b1, b2), (a1, a2) in (
        ((1.53512485958697, -2.69169618940638, 1.19839281085285),
         (-1.69065929318241, 0.73248077421585)),
        ((1.0, -2.0, 1.0), (-1.99004745483398, 0.99007225036621)),
    ):  # fmt: skip
        out, x1, x2, y1, y2 = [], 0.0, 0.0, 0.0, 0.0
        for x in wave:
            y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
            x1, x2, y1, y2 = x, x1, y, y1
            out.append(y)
        wave = np.array(out)
    blocks = [np.mean(wave[first : first + 19_200] ** 2) for first in range(0, 4801, 4800)]
    expected = -0.691 + 10 * np.log10(np.mean(blocks))
    assert loudness(sound, 48_000) == pytest.approx(expected, abs=1e-9)


def test_a_constant_is_not_heard() -> None:
    assert loudness(np.full((48_000, 2), 0.5, np.float32), 48_000) < -20
    assert loudness(np.zeros((48_000, 2), np.float32), 48_000) == float("-inf")
    assert loudness(np.zeros((0, 2), np.float32), 48_000) == float("-inf")
    assert loudness(sine(997, 1, level=-75), 48_000) == float("-inf")


def test_less_than_a_block_is_measured_whole() -> None:
    assert loudness(sine(997, 0.3, level=-20), 48_000) == pytest.approx(-20, abs=0.1)


@pytest.mark.parametrize("rate", [32_000, 44_100, 48_000, 96_000])
def test_a_peak_between_the_samples_is_found(rate: int) -> None:
    """EBU Tech 3341, cases 15 to 19: within +0.2 and -0.4 dB of -6.0 dBTP."""
    time = np.arange(rate) / rate
    ramp = np.minimum(1, np.minimum(time, time[::-1]) / 0.1)
    for part, phase in ((4, 0), (4, 45), (6, 60), (8, 67.5)):
        wave = 0.5 * ramp * np.sin(2 * np.pi * rate / part * time + np.radians(phase))
        sound = np.repeat(wave[:, None], 2, axis=1).astype(np.float32)
        assert -6.02 - 0.4 <= true_peak(sound, rate) <= -6.02 + 0.2
    assert np.abs(sound).max() < 0.47


def test_no_sound_has_no_peak() -> None:
    assert true_peak(np.zeros((100, 2), np.float32), 48_000) == float("-inf")
    assert true_peak(np.zeros((0, 2), np.float32), 48_000) == float("-inf")


def test_a_peak_at_the_very_edge_counts() -> None:
    sound = np.zeros((100, 1), np.float32)
    sound[-1] = 1.0
    assert true_peak(sound, 48_000) >= 0.0


@settings(max_examples=10, deadline=None)
@given(st.floats(-40, 6), st.floats(-40, -6), st.integers(0, 99))
def test_a_take_is_as_loud_as_its_prompt_and_never_above_the_ceiling(
    own: float, target: float, seed: int
) -> None:
    prompt, take = sine(997, 0.5, level=target), noise(0.5, level=10 ** (own / 20), seed=seed)
    matched = match(take, prompt, 48_000)
    assert matched.audio.dtype == np.float32
    assert true_peak(matched.audio, 48_000) <= CEILING
    assert loudness(matched.audio, 48_000) == pytest.approx(target - matched.gap, abs=0.05)
    assert matched.gap >= -1e-9
    if matched.gap > 0.01:
        assert true_peak(matched.audio, 48_000) == pytest.approx(CEILING, abs=0.01)
    assert np.allclose(matched.audio, take * matched.gain, atol=1e-6)


def test_a_silent_take_or_prompt_decides_nothing() -> None:
    silent, loud = np.zeros((48_000, 2), np.float32), sine(997, 1, level=3.0)
    assert match(silent, loud, 48_000).gain == 1.0
    lowered = match(loud, silent, 48_000)
    assert true_peak(lowered.audio, 48_000) == pytest.approx(CEILING, abs=0.01)
