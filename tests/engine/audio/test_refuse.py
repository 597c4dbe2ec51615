import numpy as np
import pytest

from engine.audio.grid import Grid
from engine.audio.refuse import check_format, check_prompt, clipped_share
from engine.errors import Code, SidemanError
from tests.support.sounds import hits, noise, sine

GRID = Grid(48_000, 120)


def refused(sound: np.ndarray, grid: Grid = GRID) -> SidemanError:
    with pytest.raises(SidemanError) as error:
        check_prompt(sound.astype(np.float32), grid)
    assert "\n" not in error.value.text
    return error.value


def test_music_passes() -> None:
    check_prompt(hits([0, 0.5, 1, 1.5], 2.0), GRID)
    check_prompt(sine(440, 0.5), GRID)  # one beat to the sample, and peaks at 0 dBFS
    check_prompt(noise(1, level=0.001), GRID)
    check_prompt(sine(440, 1, channels=1, level=3.0), GRID)  # float sound may pass full scale


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    sound = noise(1)
    sound[4711, 1] = value
    error = refused(sound)
    assert error.code is Code.BAD_FILE
    assert "no numbers" in error.text


def test_less_than_a_beat_is_refused() -> None:
    error = refused(noise(0.49))
    assert error.code is Code.NO_CONTEXT
    assert "less than one beat at 120 bpm" in error.text
    assert refused(noise(0)).code is Code.NO_CONTEXT
    check_prompt(noise(0.49), Grid(48_000, 140))


@pytest.mark.parametrize(
    "sound",
    [np.zeros((48_000, 2)), np.full((48_000, 2), 1e-5), sine(997, 1, level=-80)],
    ids=["zeros", "nearly", "too soft"],
)
def test_silence_is_refused(sound: np.ndarray) -> None:
    error = refused(sound)
    assert error.code is Code.NO_CONTEXT
    assert "silent" in error.text


@pytest.mark.parametrize("gain", [1.5, 4.0, 100.0])
def test_what_is_clipped_is_refused(gain: float) -> None:
    error = refused(np.clip(sine(100, 1) * gain, -1, 1))
    assert error.code is Code.BAD_FILE
    assert "clipped" in error.text
    assert refused(np.clip(sine(100, 1) * gain, -1, 32_767 / 32_768)).code is Code.BAD_FILE


def test_clipped_samples_are_counted_once() -> None:
    sound = np.zeros((100, 2), np.float32)
    sound[10:12] = 1.0  # two in a row are a peak
    assert clipped_share(sound) == 0.0
    sound[20:25, 0] = -1.0
    assert clipped_share(sound) == 5 / 200
    assert clipped_share(sound[:2]) == 0.0


@pytest.mark.parametrize(("rate", "channels"), [(7999, 2), (500_000, 2), (48_000, 3), (48_000, 0)])
def test_formats_that_are_not_taken_are_named(rate: int, channels: int) -> None:
    with pytest.raises(SidemanError, match="not taken") as error:
        check_format(rate, channels)
    assert error.value.code is Code.BAD_FILE
