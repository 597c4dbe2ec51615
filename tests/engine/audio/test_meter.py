import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import Audio
from engine.audio.level import loudness
from engine.audio.meter import Meter
from tests.support.sounds import hits, noise, sine


def metered(sound: Audio, rate: int, chunks: list[int]) -> Meter:
    meter, at = Meter(rate, sound.shape[1]), 0
    for size in chunks:
        meter.push(sound[at : at + size])
        at += size
    meter.push(sound[at:])
    return meter


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("hop", [999, 24_000])
def test_it_measures_what_the_whole_measures(rate: int, hop: int) -> None:
    sounds = (sine(60, 3, rate, -20), noise(3, rate), hits([0.5, 1.9], 3, rate, "kick"))
    for sound in sounds:
        meter = metered(sound, rate, [hop] * (len(sound) // hop))
        assert meter.loudness() == pytest.approx(loudness(sound, rate), abs=0.02)
        assert meter.samples == len(sound)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=8))
def test_chunks_of_any_size_measure_the_same(chunks: list[int]) -> None:
    sound = noise(1, 22_050)
    assert metered(sound, 22_050, chunks).loudness() == pytest.approx(
        metered(sound, 22_050, []).loudness(), abs=1e-4
    )


def test_a_beginning_is_measured_as_if_it_were_all() -> None:
    sound = np.concatenate([noise(1, level=0.2), noise(2, level=0.01)])
    meter = metered(sound, 48_000, [])
    assert meter.loudness(1.0) == pytest.approx(loudness(sound[:48_000], 48_000), abs=0.01)
    assert meter.loudness(99) == meter.loudness()
    assert meter.loudness(0.35) == pytest.approx(loudness(sound[:14_400], 48_000), abs=0.01)
    assert meter.loudness(0.05) == float("-inf"), "less than a step is not measured"


def test_silence_and_nothing_have_no_loudness() -> None:
    assert Meter(48_000, 2).loudness() == float("-inf")
    assert metered(np.zeros((48_000, 2), np.float32), 48_000, []).loudness() == float("-inf")
