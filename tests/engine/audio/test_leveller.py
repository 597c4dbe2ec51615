import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import Audio
from engine.audio.level import CEILING, match, true_peak
from engine.audio.leveller import DOWN, RAMP, UP, Leveller
from engine.audio.seam import CLICK, click
from tests.support.sounds import hits, noise, sine

RATE = 32_000


def levelled(sound: Audio, gain: float, chunks: list[int]) -> tuple[Audio, Leveller]:
    leveller = Leveller(RATE, sound.shape[1], gain)
    out, at = [], 0
    for size in chunks:
        out.append(leveller.push(sound[at : at + size]))
        at += size
        assert sum(map(len, out)) == max(0, min(at, len(sound)) - leveller.held)
    out.append(leveller.push(sound[at:]))
    out.append(leveller.flush())
    return np.concatenate(out), leveller


@pytest.mark.parametrize("gain", [0.25, 1.0, 3.0])
def test_below_the_ceiling_it_is_one_gain(gain: float) -> None:
    sound = sine(440, 0.5, RATE, level=-20)
    out, leveller = levelled(sound, gain, [640] * 20)
    assert out.dtype == np.float32
    assert np.array_equal(out, (sound * gain).astype(np.float32))
    assert leveller.gain == gain


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(0, 4000), max_size=8),
    st.floats(0.5, 30),
    st.integers(0, 99),
    st.sampled_from(["noise", "click", "kick", "tone"]),
)
def test_no_peak_ever_passes_the_ceiling(
    chunks: list[int], gain: float, seed: int, kind: str
) -> None:
    struck = hits([0.0, 0.11, 0.3, 0.45], 0.5, RATE, kind)
    sound = struck + noise(0.5, RATE, 0.02, seed)
    out, leveller = levelled(sound, gain, chunks)
    assert out.shape == sound.shape
    assert true_peak(out, RATE) <= CEILING
    ratio = out[np.abs(sound) > 1e-3] / sound[np.abs(sound) > 1e-3]
    assert ratio.max() <= gain * (1 + 1e-5)
    assert ratio.min() >= leveller.gain * (1 - 1e-5)


def test_the_gain_ends_where_a_match_of_the_whole_would_have_it() -> None:
    sound = noise(0.5, RATE, 0.3)
    _, leveller = levelled(sound, 5.0, [640] * 25)
    whole = match(sound, sound * 50, RATE)
    assert leveller.gain == pytest.approx(whole.gain, rel=0.01)


def test_the_gain_goes_down_before_a_peak_and_without_a_click() -> None:
    sound = sine(200, 0.5, RATE, level=-12)
    sound[8000:] *= 4
    out, _ = levelled(sound, 1.0, [640] * 25)
    gains = out[np.abs(sound[:, 0]) > 0.01, 0] / sound[np.abs(sound[:, 0]) > 0.01, 0]
    places = np.flatnonzero(np.abs(sound[:, 0]) > 0.01)
    ramp = round(RAMP * RATE)
    assert np.allclose(gains[places < 8000 - ramp - 640], 1.0)
    assert np.allclose(gains[places >= 8000], gains[-1])
    assert (np.diff(gains) <= 1e-5).all()
    smooth = out / np.where(np.arange(len(sound)) < 8000, 1, 4)[:, None]
    assert click(smooth[:7900], smooth[7900:], RATE) <= CLICK


def test_nothing_in_nothing_out() -> None:
    leveller = Leveller(RATE, 2)
    assert leveller.push(np.zeros((0, 2), np.float32)).shape == (0, 2)
    assert leveller.flush().shape == (0, 2)


@pytest.mark.parametrize(("goal", "speed"), [(2.0, UP), (0.5, DOWN)])
def test_it_goes_to_another_gain_slowly(goal: float, speed: float) -> None:
    sound = sine(440, 4, RATE, level=-30)
    leveller = Leveller(RATE, 2)
    out = [leveller.push(sound[:RATE])]
    leveller.aim(goal)
    out += [leveller.push(sound[RATE : RATE + 7000]), leveller.push(sound[RATE + 7000 :])]
    made = np.concatenate([*out, leveller.flush()])
    assert len(made) == len(sound)
    assert np.array_equal(made[:RATE], sound[:RATE])
    assert np.allclose(made[-100:], sound[-100:] * goal, atol=1e-6)
    loud = np.flatnonzero(np.abs(sound[:, 0]) > 0.01)
    gains = 20 * np.log10(made[loud, 0] / sound[loud, 0])
    assert np.abs(np.diff(gains) / np.diff(loud)).max() <= speed / RATE * 1.05
    reached = np.flatnonzero(np.abs(gains - 20 * np.log10(goal)) < 0.01)[0]
    assert loud[reached] / RATE == pytest.approx(1 + 6.02 / speed, abs=0.05)


def test_a_gain_that_the_ceiling_refused_is_not_tried_again() -> None:
    sound = sine(440, 4, RATE, level=-6)
    leveller = Leveller(RATE, 2)
    out = []
    for at in range(0, len(sound), 8000):
        leveller.aim(4.0)
        out.append(leveller.push(sound[at : at + 8000]))
    made = np.concatenate([*out, leveller.flush()])
    assert true_peak(made, RATE) <= CEILING
    gains = made[200::400, 0] / sound[200::400, 0]
    heard = gains[np.abs(sound[200::400, 0]) > 0.1]
    assert heard.max() == pytest.approx(10 ** (5 / 20), rel=0.02)
    assert (np.diff(heard) > -0.02).all(), "it does not pump"
