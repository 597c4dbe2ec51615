import pytest

from engine.music import DRUMS, Note
from training.measures import measure


def bar(*pitches, program=0, bar=0):
    return [Note(bar, 240 * i, program, pitch, 240, 80) for i, pitch in enumerate(pitches)]


C_MAJOR = [bar(60, 62, 64, 65), bar(67, 69, 71, 72)]


def test_a_copy_of_the_context_fits_it_perfectly():
    result = measure(C_MAJOR, C_MAJOR)
    assert (result.in_key, result.programs, result.density, result.verbatim) == (1, 1, 1, 1)
    assert result.pitch_classes == pytest.approx(1)
    assert result.still == 0


def test_the_other_half_of_the_circle_is_out_of_key():
    assert measure(C_MAJOR, [bar(61, 63, 66, 68)]).in_key == 0
    assert measure(C_MAJOR, [bar(60, 61)]).in_key == 0.5


def test_drums_have_no_key_and_no_runs():
    result = measure(C_MAJOR, [bar(36, 36, 36, program=DRUMS)])
    assert result.in_key is None
    assert result.longest_run == 0
    assert result.programs == 0


def test_a_stuck_take_is_seen():
    result = measure(C_MAJOR, [bar(60, 60), bar(60, 60), bar(60, 60)])
    assert result.still == 1
    assert result.longest_run == 6
    assert result.density == 0.5


def test_an_empty_take_is_measured_too():
    result = measure(C_MAJOR, [[], []])
    assert result.density == 0
    assert result.in_key is None
