import numpy as np
import pytest

from engine.audio.grid import Grid
from engine.audio.seam import CLICK, click
from engine.audio.tempo import MENDABLE, Beat, Verdict, fit, measure, stretch, stretched
from engine.music import Meter, MeterMap
from tests.support.sounds import hits, noise, recorded_loops, sine

KINDS = ["click", "noise", "kick", "tone"]


def played(
    bpm: float, bars: int, late: float = 0.0, ratio: float = 1.0, rate: int = 32_000, **kind: str
):
    """Beats in 4/4, ``late`` seconds off and ``ratio`` times as long as they should be."""
    beat = 60 / bpm
    places = [late + n * beat * ratio for n in range(bars * 4)]
    return hits(places, bars * 4 * beat, rate, **kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [32_000, 44_100])
@pytest.mark.parametrize("late", [0.0, 0.02, -0.03, 0.2])
def test_where_the_beats_lie_is_found_to_two_milliseconds(
    kind: str, rate: int, late: float
) -> None:
    beat = measure(played(120, 4, late, rate=rate, kind=kind), Grid(rate, 120))
    assert beat.offset_ms == pytest.approx(late * 1000, abs=2.0)
    assert beat.ratio == 1.0
    assert beat.confidence > 0.6
    assert beat.verdict is Verdict.KEEP


@pytest.mark.parametrize("bpm", [72, 93.7, 128, 174])
@pytest.mark.parametrize("ratio", [0.985, 1.01, 1.05])
def test_the_error_of_a_tempo_is_found(bpm: float, ratio: float) -> None:
    beat = measure(played(bpm, 8, 0.01, ratio), Grid(32_000, bpm))
    assert beat.ratio == pytest.approx(ratio, abs=2e-4)
    assert beat.offset_ms == pytest.approx(10, abs=2.5)
    expected = Verdict.STRETCH if abs(ratio - 1) <= MENDABLE else Verdict.REJECT
    assert beat.verdict is expected


def test_one_bar_is_enough() -> None:
    beat = measure(played(120, 1, 0.015), Grid(32_000, 120))
    assert beat.offset_ms == pytest.approx(15, abs=2)
    assert beat.ratio == 1.0
    assert beat.confidence > 0.5


@pytest.mark.parametrize(
    ("meter", "step"),
    [(Meter(3, 4), 1.0), (Meter(6, 8), 1.5), (Meter(7, 8), 0.5), (Meter(2, 2), 2)],
)
def test_other_meters_have_other_beats(meter: Meter, step: float) -> None:
    quarters = float(meter.beats) * 4
    places = [0.01 + n * step * 0.5 for n in range(int(quarters / step))]
    grid = Grid(32_000, 120, MeterMap([(0, meter)]))
    beat = measure(hits(places, quarters * 0.5, 32_000), grid)
    assert beat.offset_ms == pytest.approx(10, abs=2)
    assert beat.confidence > 0.5


def test_a_piece_may_begin_in_the_middle_of_a_song() -> None:
    grid = Grid(32_000, 120, MeterMap([(3, Meter(3, 4)), (4, Meter(4, 4))]))
    places = [0.5 * n for n in range(11)]  # bars 2 (4/4), 3 (3/4) and 4
    assert measure(hits(places, 5.5, 32_000), grid, 2).confidence > 0.6


@pytest.mark.parametrize("seconds", [1.0, 4.0, 16.0])
def test_what_has_no_beat_is_not_believed(seconds: float) -> None:
    grid = Grid(32_000, 120)
    for sound in (noise(seconds, 32_000), sine(220, seconds, 32_000), noise(seconds, 32_000) * 0):
        beat = measure(sound, grid)
        assert beat.confidence < 0.25
        assert beat.verdict is Verdict.KEEP


def test_next_to_nothing_is_measured_without_a_fall() -> None:
    for samples in (0, 1, 100):
        assert measure(np.zeros((samples, 2), np.float32), Grid(32_000, 120)).confidence == 0.0


def test_an_unsure_or_small_error_is_left_alone() -> None:
    assert Beat(0.0, 1.02, 80.0, 0.4).verdict is Verdict.KEEP
    assert Beat(0.0, 1.001, 8.0, 0.9).verdict is Verdict.KEEP
    assert Beat(0.0, 1.02, 80.0, 0.9).verdict is Verdict.STRETCH
    assert Beat(0.0, 0.96, -80.0, 0.9).verdict is Verdict.REJECT


@pytest.mark.parametrize("ratio", [0.98, 1.012, 1.03])
def test_stretching_puts_a_tempo_right(ratio: float) -> None:
    pytest.importorskip("python_stretch")
    grid = Grid(32_000, 120)
    mended = stretch(played(120, 4, 0.01, ratio, kind="kick"), 32_000, ratio)
    assert mended.dtype == np.float32
    assert mended.flags.c_contiguous
    assert len(mended) == pytest.approx(4 * 64_000 / ratio, abs=1)
    beat = measure(mended, grid)
    assert beat.ratio == pytest.approx(1.0, abs=5e-4)
    assert beat.offset_ms == pytest.approx(10, abs=3)


def test_a_piece_is_fitted_to_its_bars() -> None:
    pytest.importorskip("python_stretch")
    grid = Grid(44_100, 93.7)
    samples = grid.length(5, 4)

    def fitted(bars: int, ratio: float):
        return fit(played(93.7, bars, 0.0, ratio, rate=44_100), grid, 5, 4)

    slow, short, fast, wrong, right = (
        fitted(5, 1.02),
        fitted(4, 1.02),
        fitted(4, 0.98),
        fitted(5, 1.05),
        fitted(5, 1.0),
    )
    assert {len(each.audio) for each in (slow, short, fast, wrong, right)} == {samples}
    assert [each.stretched for each in (slow, short, fast, wrong, right)] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert wrong.beat.verdict is Verdict.REJECT
    assert abs(measure(slow.audio, grid, 5).drift_ms) < 5
    assert abs(measure(fast.audio, grid, 5).drift_ms) < 5


@pytest.mark.parametrize("ratio", [0.98, 1.02])
def test_a_long_piece_is_stretched_in_parts_that_meet(ratio: float) -> None:
    pytest.importorskip("python_stretch")
    tone = sine(220, 47, 32_000, -12)
    parts = list(stretched(tone, 32_000, ratio))
    made = np.concatenate(parts)
    assert len(parts) == 3
    assert abs(len(made) - len(tone) / ratio) <= 1
    assert abs(len(made) - len(stretch(tone, 32_000, ratio))) <= 1
    for at in np.cumsum([len(part) for part in parts])[:-1]:
        assert click(made[:at], made[at:], 32_000, 640) <= CLICK
        around = made[at - 3200 : at + 3200, 0]
        level = np.sqrt((around.reshape(-1, 640) ** 2).mean(axis=1))
        assert level.max() / level.min() < 1.3
    beats = np.concatenate(list(stretched(played(120, 20, 0.0, ratio, kind="kick"), 32_000, ratio)))
    found = measure(beats, Grid(32_000, 120))
    assert abs(found.drift_ms) < 5 and abs(found.offset_ms) < 5


@pytest.mark.parametrize(
    ("loop", "beats"),
    [("amen_full", 16), ("breakbeat", 4), ("compus", 16), ("garzul", 16), ("tabla", 32)],
)
def test_recorded_loops_keep_their_own_time(loop: str, beats: int) -> None:
    sound, rate = recorded_loops()[loop]
    beat = measure(sound, Grid(rate, beats * 60 * rate / len(sound)))
    assert abs(beat.offset_ms) < 10
    assert abs(beat.drift_ms) < 10
    assert beat.confidence > 0.5
