from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.music import DRUMS, TICKS_PER_BEAT, Note
from training.measures import (
    OVERLAPS,
    chord_tones,
    clearest_triad,
    compare,
    is_degenerate,
    likeness_of_bars,
    measure,
    overlap,
    picture,
)

SIXTEENTH = TICKS_PER_BEAT // 4


def bar(*pitches, program=0, step=SIXTEENTH, duration=SIXTEENTH, velocity=80):
    return [
        Note(0, step * i, program, pitch, duration, velocity) for i, pitch in enumerate(pitches)
    ]


def chord(*pitches, duration=960):
    return [Note(0, 0, 0, pitch, duration, 80) for pitch in pitches]


C_MAJOR = [bar(60, 62, 64, 65), bar(67, 69, 71, 72)]


# Against the context


def test_a_copy_of_the_context_fits_it_perfectly():
    result = measure(C_MAJOR, C_MAJOR)
    assert (result.in_key, result.programs, result.context_density, result.verbatim) == (1, 1, 1, 1)
    assert result.context_pitch_classes == pytest.approx(1)
    assert result.groove == 1
    assert (result.still, result.empty, result.self_similarity) == (0, 0, 0)


def test_the_other_half_of_the_circle_is_out_of_key():
    assert measure(C_MAJOR, [bar(61, 63, 66, 68)]).in_key == 0
    assert measure(C_MAJOR, [bar(60, 61)]).in_key == 0.5


def test_drums_have_no_key_and_no_runs():
    result = measure(C_MAJOR, [bar(36, 36, 36, program=DRUMS)])
    assert result.in_key is None
    assert result.chord_tones is None
    assert result.context_pitch_classes == 0
    assert result.longest_run == 0
    assert result.programs == 0


def test_a_stuck_take_is_seen():
    result = measure(C_MAJOR, [bar(60, 60), bar(60, 60), bar(60, 60)])
    assert result.still == 1
    assert result.self_similarity == 1
    assert result.longest_run == 6
    assert result.context_density == 0.5


def test_an_empty_take_is_measured_too():
    result = measure(C_MAJOR, [[], []])
    assert (result.context_density, result.empty, result.groove) == (0, 1, 0)
    assert result.in_key is None
    assert is_degenerate(C_MAJOR, [[], []])


def test_empty_bars_are_counted():
    assert measure(C_MAJOR, [bar(60), [], bar(62), []]).empty == 0.5


def test_groove_asks_when_something_begins_and_not_what():
    on_beats = [bar(60, 60, 60, 60, step=TICKS_PER_BEAT)]
    assert measure(on_beats, [bar(36, 38, 36, 38, program=DRUMS, step=960)]).groove == 1
    # Two of the four beats are met, by two of two notes: 2 * 2 / (4 + 2).
    assert measure(on_beats, [bar(48, 48, step=2 * TICKS_PER_BEAT)]).groove == pytest.approx(4 / 6)
    off_beats = [[replace(note, tick=note.tick + 480) for note in on_beats[0]]]
    assert measure(on_beats, off_beats).groove == 0


def test_human_timing_is_the_same_groove():
    loose = [[replace(note, tick=max(0, note.tick - 80)) for note in C_MAJOR[0]]]
    assert measure([C_MAJOR[0]], loose).groove == 1


def test_bars_alike_by_half_are_half_alike():
    # Two notes of three in common, of four in all.
    take = [bar(60, 62, 64), bar(60, 62, 65)]
    assert measure(C_MAJOR, take).self_similarity == pytest.approx(2 / 4)


def test_a_repeated_bar_is_one_whatever_its_velocities():
    quiet = [replace(note, velocity=20, duration=100) for note in C_MAJOR[0]]
    assert measure(C_MAJOR, [quiet, bar(60, 62)]).verbatim == 0.5


def test_one_bar_has_nothing_to_be_like():
    assert measure(C_MAJOR, [bar(60)]).self_similarity is None


# Chords


def test_a_broken_triad_is_all_chord_tones():
    assert measure(C_MAJOR, [bar(48, 64, 55, 72)]).chord_tones == 1
    assert clearest_triad(bar(48, 64, 55, 72)) == {0, 4, 7}


def test_each_bar_has_a_chord_of_its_own():
    assert measure(C_MAJOR, [chord(60, 64, 67), chord(62, 65, 69)]).chord_tones == 1


def test_the_chromatic_scale_is_a_quarter_chord_tones():
    assert measure(C_MAJOR, [bar(*range(60, 72))]).chord_tones == pytest.approx(3 / 12)


def test_of_two_triads_the_one_that_sounds_longer_is_meant():
    both = [*chord(60, 64, 67, duration=240), *chord(62, 65, 69, duration=960)]
    assert clearest_triad(both) == {2, 5, 9}


def test_given_chords_are_what_counts():
    take = [bar(60, 64, 67, 70), bar(62)]
    assert chord_tones(take, [frozenset({0, 4, 7}), None]) == 0.75
    assert chord_tones(take, [None, None]) is None


# Against what really follows


def test_the_real_bars_are_just_like_themselves():
    likeness = compare(C_MAJOR, C_MAJOR)
    assert [getattr(likeness, name) for name in OVERLAPS] == pytest.approx([1] * 5)
    assert likeness.density == 1


def test_each_distribution_is_compared_by_itself():
    """C D E F in sixteenths, changed in one way at a time."""
    real = [bar(60, 62, 64, 65)]
    higher = compare(real, [bar(66, 68, 70, 71)])
    assert (higher.pitch_classes, higher.intervals) == (0, 1)
    backwards = compare(real, [bar(65, 64, 62, 60)])
    assert (backwards.pitch_classes, backwards.intervals) == (1, 0)
    slower = compare(real, [bar(60, 62, 64, 65, step=2 * SIXTEENTH)])
    assert (slower.onsets, slower.intervals) == (0.5, 1)
    longer = compare(real, [bar(60, 62, 64, 65, duration=2 * SIXTEENTH)])
    assert (longer.durations, longer.onsets) == (0, 1)
    louder = compare(real, [bar(60, 62, 64, 65, velocity=120)])
    assert (louder.velocities, louder.durations) == (0, 1)


def test_an_interval_goes_from_one_highest_note_to_the_next_of_its_instrument():
    melody = [bar(72, 74, 76)]
    harmonised = [[*melody[0], *bar(60, 62, 65), *bar(40, 60, 31, program=33)]]
    # The steps of piano are 2 and 2; those of the bass, 20 and -29 (held to -24), come to them.
    assert compare(melody, harmonised).intervals == pytest.approx(0.5)


def test_density_is_a_multiple_of_the_real_one():
    assert compare([bar(60, 62)], [bar(*range(60, 66))]).density == 3


def test_what_neither_has_is_not_compared():
    drums = [bar(36, 38, program=DRUMS)]
    likeness = compare(drums, drums)
    assert likeness.pitch_classes is None
    assert likeness.intervals is None
    assert likeness.onsets == 1
    assert compare(C_MAJOR, drums).pitch_classes == 0


def test_an_empty_take_is_like_nothing():
    likeness = compare(C_MAJOR, [[], []])
    assert [getattr(likeness, name) for name in OVERLAPS] == [0] * 5
    assert likeness.density == 0


# Broken takes


@pytest.mark.parametrize(
    ("take", "broken"),
    [
        (C_MAJOR, False),
        ([bar(60), [], []], True),
        ([bar(*range(40, 100))], True),
        ([bar(*[60] * 8)] * 5, True),
        ([bar(*[60, 62] * 8)] * 5, False),
    ],
)
def test_silence_floods_and_one_note_for_ever_are_breakdowns(take, broken):
    context = [bar(60, 62, 64, 65), bar(67, 69, 71, 72, 60, 62)]
    assert is_degenerate(context, take) is broken


def test_who_goes_on_with_an_ostinato_has_not_broken_down():
    ostinato = [bar(*[36] * 16)] * 4
    assert not is_degenerate(ostinato, ostinato)


# The two that the others are made of

histograms = st.dictionaries(st.integers(0, 5), st.integers(1, 9), min_size=1).map(Counter)


@given(histograms, histograms)
def test_an_overlap_is_a_share_and_the_same_both_ways(a, b):
    assert 0 <= overlap(a, b) <= 1
    assert overlap(a, b) == pytest.approx(overlap(b, a))
    assert overlap(a, a) == pytest.approx(1)


def test_an_overlap_is_the_common_area():
    assert overlap(Counter({0: 1, 1: 1}), Counter({1: 1, 2: 3})) == pytest.approx(0.25)


def test_rests_are_alike():
    assert likeness_of_bars(picture([]), picture([])) == 1
    assert likeness_of_bars(picture([]), picture(bar(60))) == 0
