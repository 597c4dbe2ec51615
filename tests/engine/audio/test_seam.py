import numpy as np
import pytest

from engine.audio import Audio
from engine.audio.seam import CLICK, FADES, click, crossfade, join
from tests.support.sounds import hits, noise, recorded_loops, sine

RATE = 48_000


def halves(sound: Audio) -> tuple[Audio, Audio]:
    return sound[: len(sound) // 2], sound[len(sound) // 2 :]


@pytest.mark.parametrize(
    "sound",
    [
        sine(50, 1),
        sine(997, 1, level=-40),
        noise(1),
        noise(1) + sine(110, 1),
        np.zeros((RATE, 2), np.float32),
        hits([0.0, 0.25, 0.5, 0.75], 1.0),
        hits([0.0, 0.25, 0.5, 0.75], 1.0, kind="kick"),
    ],
    ids=["low", "high and soft", "noise", "both", "silence", "snare on the seam", "kick on it"],
)
def test_sound_without_a_seam_is_left_untouched(sound: Audio) -> None:
    before, after = halves(sound)
    seam = join(before, after, RATE)
    assert seam.fade == 0
    assert seam.audio is after
    assert seam.click <= CLICK


@pytest.mark.parametrize("jump", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("known", [True, False])
def test_a_jump_is_mended_with_the_shortest_fade_that_does(jump: float, known: bool) -> None:
    sound = sine(80, 1, level=-6)
    before, going_on = halves(sound)
    after = going_on + np.float32(jump)
    assert click(before, after, RATE) > CLICK
    seam = join(before, after, RATE, going_on if known else None)
    assert seam.click <= CLICK
    assert seam.fade in {round(seconds * RATE) for seconds in FADES}
    assert len(seam.audio) == len(after)
    assert np.array_equal(seam.audio[seam.fade :], after[seam.fade :])
    assert click(before, seam.audio, RATE, seam.fade) == seam.click
    for seconds in FADES:
        shorter = round(seconds * RATE)
        if shorter < seam.fade and known:
            tried = crossfade(going_on[:shorter], after)
            assert click(before, tried, RATE, shorter) > CLICK


def test_a_greater_jump_needs_a_longer_fade() -> None:
    before, going_on = halves(sine(80, 1, level=-6))
    fades = [join(before, going_on + np.float32(j), RATE, going_on).fade for j in (0.02, 0.2, 0.4)]
    assert fades == sorted(fades)
    assert fades[0] < fades[-1]


def test_a_jump_in_one_channel_is_found() -> None:
    before, after = halves(sine(80, 1, level=-6))
    after = after + np.array([0, 0.2], np.float32)
    assert click(before, after, RATE) > CLICK
    assert click(before[:, :1], after[:, :1], RATE) <= 1.0


def test_nothing_before_or_after_is_no_click() -> None:
    sound = sine(80, 0.1)
    assert click(sound[:0], sound, RATE) == click(sound, sound[:0], RATE) == 0.0
    assert join(sound[:0], sound, RATE).audio is sound


def test_a_very_short_piece_is_joined_all_the_same() -> None:
    before = np.zeros((20, 1), np.float32)
    seam = join(before, np.full((10, 1), 0.5, np.float32), RATE)
    assert seam.audio.shape == (10, 1)


def test_the_same_sound_is_faded_into_itself_unchanged() -> None:
    sound = noise(0.1)
    assert np.allclose(crossfade(sound[:480], sound), sound, atol=1e-6)


def test_different_sounds_keep_their_power() -> None:
    out, into = noise(1.0, seed=1), noise(1.0, seed=2)
    mixed = crossfade(out, into)
    middle = slice(RATE // 3, 2 * RATE // 3)
    assert np.mean(mixed[middle] ** 2) == pytest.approx(np.mean(into**2), rel=0.05)


def test_opposite_sounds_are_not_boosted() -> None:
    sound = sine(100, 0.1)
    assert np.abs(crossfade(sound, -sound)).max() <= 1.0


def test_recorded_loops_hold_no_click_wherever_they_are_cut() -> None:
    random = np.random.default_rng(0)
    for name, (sound, rate) in recorded_loops().items():
        for place in random.integers(1000, len(sound) - 1000, 20):
            assert click(sound[:place], sound[place:], rate) <= CLICK, (name, place)


def test_recorded_sound_that_jumps_is_mended() -> None:
    """What goes on from one place of a loop is cut off, and another place of it put there."""
    random = np.random.default_rng(0)
    sound, rate = recorded_loops()["drone_g_97"]
    for place, other in random.integers(1000, len(sound) - 5000, (10, 2)):
        before, beyond, after = sound[:place], sound[place:], sound[other:]
        seam = join(before, after, rate, beyond)
        assert seam.click <= CLICK
        assert seam.fade <= 0.01 * rate
