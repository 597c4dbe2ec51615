"""Takes of a model that plays what it is given: so every sample of them is known."""

import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import Audio
from engine.audio.continuation import Continuation, can_share
from engine.audio.grid import Grid
from engine.audio.level import CEILING, loudness, true_peak
from engine.audio.seam import CLICK, click
from engine.audio.tempo import measure
from engine.audio.wanted import Wanted
from engine.music import Meter, MeterMap
from tests.support.sounds import hits, noise, recorded_loops, sine
from tests.support.tape import Tape

GRID = Grid(48_000, 120)
BAR = GRID.length(0)


def played(continuation: Continuation, takes: int = 1) -> list[list[Audio]]:
    """The chunks of each take."""
    chunks: list[list[Audio]] = [[] for _ in range(takes)]
    while not continuation.done:
        for index, sound in continuation.work():
            assert len(sound)
            chunks[index].append(sound)
    return chunks


def whole(model: Tape, wanted: Wanted) -> Audio:
    return np.concatenate(played(Continuation(model, [wanted]))[0])


def report_of(model: Tape, wanted: Wanted) -> dict:
    continuation = Continuation(model, [wanted])
    played(continuation)
    return json.loads(json.dumps(continuation.report(0), allow_nan=False))


HISS = noise(40, 32_000, 0.05)


def past(bars: int = 2, grid: Grid = GRID, level: float = 0.1) -> Audio:
    return noise(grid.length(0, bars) / grid.rate + 1, grid.rate, level)[: grid.length(0, bars)]


meters = st.lists(
    st.tuples(st.integers(1, 8), st.builds(Meter, st.integers(2, 9), st.sampled_from([4, 8]))),
    max_size=3,
    unique_by=lambda change: change[0],
)


@settings(max_examples=25, deadline=None)
@given(
    bpm=st.fractions(100, 240, max_denominator=1000),
    rate=st.sampled_from([8_000, 22_050, 44_100, 44_101, 48_000, 96_000]),
    changes=meters,
    bars=st.integers(1, 2),
    sides=st.sampled_from([1, 2]),
    model=st.sampled_from([(32_000, 1), (48_000, 2)]),
    candidates=st.sampled_from([1, 2]),
)
def test_a_take_has_the_samples_of_its_bars(
    bpm: Fraction,
    rate: int,
    changes: list[tuple[int, Meter]],
    bars: int,
    sides: int,
    model: tuple[int, int],
    candidates: int,
) -> None:
    grid = Grid(rate, bpm, MeterMap(changes))
    before = past(1, grid)[:, :sides]
    tape = Tape(lambda seed: HISS[:, : model[1]], *model)
    take = whole(tape, Wanted(before, grid, 1, bars, candidates=candidates))
    assert take.shape == (grid.length(1, bars), sides)
    assert take.dtype == np.float32
    # Nothing is missing: it is the tape to its end.
    assert np.abs(take[-rate // 100 :]).max() > 0


def test_what_the_model_plays_is_what_comes_to_the_sample() -> None:
    """Without a change of rate, of level, or a seam to mend."""
    loop = past(4)
    tape = Tape(lambda seed: loop[2 * BAR :])
    take = whole(tape, Wanted(loop[: 2 * BAR], GRID, 2, 1))
    gain = take[100] / loop[2 * BAR + 100]
    assert np.allclose(take, loop[2 * BAR : 3 * BAR] * gain, atol=1e-3)


@pytest.mark.parametrize("rate", [22_050, 44_100, 96_000])
def test_a_change_of_rate_moves_nothing(rate: int) -> None:
    grid = Grid(rate, 97)
    tape = Tape(lambda seed: sine(200, 20, 32_000, -20), 32_000)
    take = whole(tape, Wanted(sine(200, 8, rate, -20)[: grid.line(3)], grid, 3, 4))
    ideal = sine(200, 20, rate, -20)[: len(take)]
    middle = slice(rate, -rate // 10)
    scaled = take[middle] / np.abs(take[middle]).max() * 0.1
    assert np.allclose(scaled, ideal[middle], atol=2e-4)


def test_the_model_hears_the_last_whole_bars_to_the_line() -> None:
    grid = Grid(44_100, 128)
    loop = past(20, grid)
    tape = Tape(lambda seed: noise(9, 32_000), 32_000)
    continuation = Continuation(tape, [Wanted(loop, grid, 20, 1, following=loop)])
    while not tape.encoded:
        continuation.work()
    heard, right = tape.encoded[0]
    bars = 6  # of 1.875 s, in 12 s
    frames = -(-grid.length(14, bars) * 32_000 // (44_100 * 1280))
    assert heard.shape == (frames * 1280, 2)
    import soxr

    again = soxr.resample(np.concatenate([loop, loop[:44_100]]), 44_100, 32_000, quality="VHQ")
    line = Fraction(len(loop) * 32_000, 44_100)
    # Both have the line where it is: so they are one sound, at most half a sample apart.
    assert abs(line - round(line)) < Fraction(1, 2)
    there = again[round(line) - len(heard) : round(line)]
    near = np.abs(there - heard).max()
    moved = np.abs(again[round(line) - len(heard) - 1 : round(line) - 1] - heard).max()
    assert near < moved
    assert right is not None and len(right) >= 0.4 * 32_000
    assert continuation.report(0)["context"] == {
        "beats": 24.0,
        "seconds": 11.25,
        "frames": frames,
        "loudness_lufs": pytest.approx(loudness(loop[-grid.length(14, 6) :], 44_100), abs=0.01),
    }


def test_the_end_of_the_prompt_is_where_a_frame_ends() -> None:
    """A click on the last sample of the past is on the last sample that the model hears."""
    for rate in (44_100, 48_000, 44_101):
        grid = Grid(rate, Fraction(1234, 10))
        before = past(1, grid, 0.001)
        before[-1] = 0.9
        tape = Tape(lambda seed: noise(9, 32_000), 32_000)
        continuation = Continuation(tape, [Wanted(before, grid, 1, 1, following=before[:-1])])
        while not tape.encoded:
            continuation.work()
        heard, right = tape.encoded[0]
        peak = np.abs(np.concatenate([heard, right])[:, 0]).argmax()
        assert abs(peak - (len(heard) - 32_000 / rate)) <= 0.5


@pytest.mark.parametrize("level", [0.003, 0.03, 0.3])
def test_a_live_take_becomes_as_loud_as_the_prompt(level: float) -> None:
    tape = Tape(lambda seed: noise(20, level=level))
    take = whole(tape, Wanted(past(4, level=0.02), GRID, 4, 4))
    wanted = loudness(past(4, level=0.02), 48_000)
    assert loudness(take, 48_000) == pytest.approx(wanted, abs=1.5)
    assert loudness(take[-BAR:], 48_000) == pytest.approx(wanted, abs=1.5)


@pytest.mark.parametrize("level", [0.001, 0.003, 0.3])
def test_a_take_that_was_waited_for_is_as_loud_as_the_prompt(level: float) -> None:
    tape = Tape(lambda seed: noise(20, level=level))
    wanted = Wanted(past(4, level=0.02), GRID, 4, 3, live=False)
    take = whole(tape, wanted)
    assert loudness(take, 48_000) == pytest.approx(loudness(wanted.past, 48_000), abs=0.1)
    assert report_of(tape, wanted)["loudness_lufs"] == pytest.approx(
        loudness(take, 48_000), abs=0.1
    )


@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(["click", "noise", "kick", "tone"]),
    level=st.floats(0.01, 8),
    live=st.booleans(),
    late=st.floats(0, 0.4),
)
def test_no_peak_of_a_take_passes_the_ceiling(
    kind: str, level: float, live: bool, late: float
) -> None:
    struck = hits([late + 0.5 * n for n in range(9)], 5, kind=kind) * np.float32(level)
    loud = np.clip(noise(4, level=0.4), -1, 1)
    take = whole(Tape(lambda seed: struck), Wanted(loud, GRID, 2, 2, live=live))
    assert true_peak(take, 48_000) <= CEILING


@pytest.mark.parametrize("live", [True, False])
def test_the_seam_has_no_click(live: bool) -> None:
    tone = sine(80, 8, level=-12)
    tape = Tape(lambda seed: tone[4711 + 150 :])
    wanted = Wanted(tone[: 2 * BAR], GRID, 2, 2, following=tone[2 * BAR :], live=live)
    assert click(wanted.past, tape.sound(0), 48_000) > CLICK
    continuation = Continuation(tape, [wanted])
    take = np.concatenate(played(continuation)[0])
    seam = continuation.report(0)["seam"]
    assert seam["fade_ms"] > 0
    assert seam["click"] <= CLICK
    fade = round(seam["fade_ms"] * 48)
    assert click(wanted.past, take, 48_000, fade) <= CLICK + 0.1


def test_the_first_chunk_leaves_before_the_second_is_made() -> None:
    tape = Tape(lambda seed: noise(60))
    continuation = Continuation(tape, [Wanted(past(), GRID, 2, 8)])
    sizes = []
    made = []
    while not continuation.done:
        if sounds := continuation.work():
            sizes.append(len(sounds[0][1]))
            made.append(tape.streams[0].made)
    assert 0.240 * 48_000 <= sizes[0] <= 0.28 * 48_000
    # 240 ms are 6 frames, the leveller holds back a part of one, and the codec looks 2 ahead.
    assert made[0] == 9
    assert max(np.diff(made)) <= 13
    assert sum(sizes) == 8 * BAR


def test_a_piece_of_work_is_one_step_at_most() -> None:
    tape = Tape(lambda seed: noise(60))
    continuation = Continuation(tape, [Wanted(past(), GRID, 2, 2, candidates=3)])
    made = 0
    while not continuation.done:
        continuation.work()
        now = tape.streams[0].made if tape.streams else 0
        assert now - made <= 1
        made = now


def test_of_the_candidates_the_one_on_the_grid_goes_on() -> None:
    beats = hits([0.5 * n for n in range(16)], 8, kind="kick")
    late = hits([0.07 + 0.5 * n for n in range(16)], 8, kind="kick")
    slow = hits([0.5 * n * 1.05 for n in range(16)], 8, kind="kick")
    sounds: dict[int, Audio] = {}

    def sound(seed: int) -> Audio:
        return sounds.setdefault(seed, [late, slow, beats, noise(8)][len(sounds)])

    tape = Tape(sound)
    continuation = Continuation(tape, [Wanted(beats, GRID, 4, 2, seed=9, candidates=4)])
    chunks = played(continuation)[0]
    report = continuation.report(0)
    assert report["chosen"] == 2
    assert len(report["seeds"]) == len(set(report["seeds"])) == 4 and report["seeds"][0] == 9
    assert [each["cost"] for each in report["candidates"]].index(
        min(each["cost"] for each in report["candidates"])
    ) == 2
    take = np.concatenate(chunks)
    assert len(take) == 2 * BAR
    assert len(chunks[0]) == 48_000, "of what has waited, no chunk is longer than a second"
    assert np.corrcoef(take[:, 0], beats[: 2 * BAR, 0])[0, 1] > 0.99
    assert tape.streams[0].kept == [[2]]
    assert abs(report["beat"]["offset_ms"]) < 3


def test_a_small_error_of_tempo_is_stretched_away_where_there_is_time() -> None:
    pytest.importorskip("python_stretch")
    beats = hits([0.5 * n for n in range(16)], 8, kind="kick")
    slow = hits([0.5 * n * 1.02 for n in range(40)], 20, kind="kick")
    wanted = Wanted(beats, GRID, 4, 4, live=False)
    continuation = Continuation(Tape(lambda seed: slow), [wanted])
    take = np.concatenate(played(continuation)[0])
    report = continuation.report(0)
    assert len(take) == 4 * BAR
    assert report["stretched"] == pytest.approx(1.02, abs=1e-3)
    assert report["beat"]["verdict"] == "stretch"
    assert abs(measure(take, GRID, 4).drift_ms) < 5
    live = report_of(Tape(lambda seed: slow), Wanted(beats, GRID, 4, 4))
    assert live["stretched"] is None
    assert live["beat"]["ratio"] == pytest.approx(1.02, abs=1e-3), "what cannot be mended is said"


def test_a_text_alone_is_enough() -> None:
    nothing = np.zeros((0, 1), np.float32)
    for live in (True, False):
        tape = Tape(lambda seed: noise(9, level=0.1))
        continuation = Continuation(tape, [Wanted(nothing, GRID, 0, 2, text="rain", live=live)])
        take = np.concatenate(played(continuation)[0])
        assert take.shape == (2 * BAR, 2), "in the model's channels"
        assert np.allclose(take, noise(9, level=0.1)[: 2 * BAR])
        assert not tape.encoded
        report = json.loads(json.dumps(continuation.report(0), allow_nan=False))
        assert report["context"] is None and report["gain_db"] == 0


def test_candidates_of_a_text_alone_are_held_against_the_grid() -> None:
    beats = hits([0.5 * n for n in range(16)], 8, kind="kick")
    sounds: dict[int, Audio] = {}

    def sound(seed: int) -> Audio:
        return sounds.setdefault(seed, [noise(8), beats][len(sounds)])

    nothing = np.zeros((0, 2), np.float32)
    wanted = Wanted(nothing, GRID, 0, 2, text="beats", candidates=2)
    assert report_of(Tape(sound), wanted)["chosen"] == 1


@pytest.mark.parametrize(("past_sides", "model_sides"), [(1, 2), (2, 1)])
def test_sides_are_mixed_down_or_doubled(past_sides: int, model_sides: int) -> None:
    source = noise(9, level=0.05)[:, :model_sides]
    tape = Tape(lambda seed: source, channels=model_sides)
    before = past()[:, :past_sides]
    take = whole(tape, Wanted(before, GRID, 2, 1))
    assert take.shape[1] == past_sides
    heard, _ = tape.encoded[0]
    assert heard.shape[1] == 1
    assert np.allclose(heard[-BAR:, 0], before[-BAR:].mean(axis=1), atol=1e-6)
    mixed = source[:BAR].mean(axis=1)
    assert np.corrcoef(take[:, 0], mixed)[0, 1] > 0.99
    assert np.array_equal(take[:, 0], take[:, -1])


def takes() -> list[Wanted]:
    return [
        Wanted(past(2), GRID, 2, 3, seed=1),
        Wanted(past(2, level=0.02), GRID, 2, 1, seed=2, candidates=3),
        Wanted(past(2, level=0.01), GRID, 2, 2, seed=3, live=False),
    ]


def by_seed(seed: int) -> Audio:
    return noise(9, level=0.05, seed=seed % 1000)


def test_takes_that_share_are_what_they_would_be_alone() -> None:
    together = Continuation(Tape(by_seed), takes())
    shared = played(together, 3)
    for index, each in enumerate(takes()):
        alone = Continuation(Tape(by_seed), [each])
        chunks = played(alone)[0]
        assert len(chunks) == len(shared[index])
        assert all(np.array_equal(*pair) for pair in zip(chunks, shared[index], strict=True))
        assert alone.report(0) == together.report(index)


def test_one_that_is_dropped_leaves_the_others_as_they_are() -> None:
    expected = np.concatenate(played(Continuation(Tape(by_seed), [takes()[0]]))[0])
    for moment in range(0, 130, 24):
        tape = Tape(by_seed)
        continuation = Continuation(tape, takes())
        sounds = []
        for _ in range(moment):
            sounds += [sound for index, sound in continuation.work() if index == 0]
        continuation.drop(1)
        continuation.drop(2)
        while not continuation.done:
            for index, sound in continuation.work():
                assert index == 0, "nothing comes of what was dropped"
                sounds.append(sound)
        assert np.array_equal(np.concatenate(sounds), expected)
        assert tape.streams[0].batch == 1


@pytest.mark.parametrize("moment", [0, 1, 3, 20, 60])
def test_when_all_are_dropped_nothing_is_left_to_do(moment: int) -> None:
    tape = Tape(by_seed)
    continuation = Continuation(tape, takes())
    for _ in range(moment):
        continuation.work()
    made = tape.streams[0].made if tape.streams else 0
    for index in range(3):
        assert not continuation.done
        continuation.drop(index)
    assert continuation.done and continuation.nbytes == 0
    assert continuation.work() == []
    assert not tape.streams or tape.streams[0].made == made


def test_only_prompts_of_one_length_share() -> None:
    tape = Tape(by_seed)
    one = takes()[0]
    longer = Wanted(past(3), GRID, 3, 1)
    colder = Wanted(past(2), GRID, 2, 1, sampling=type(one.sampling)(temperature=0.5))
    assert can_share(one, takes()[1], tape)
    assert not can_share(one, longer, tape)
    assert not can_share(one, colder, tape)
    with pytest.raises(ValueError, match="one length"):
        Continuation(tape, [one, longer])
    with pytest.raises(ValueError):
        Continuation(tape, [])


def test_takes_that_begin_anew_at_other_moments_do_not_share() -> None:
    tape = Tape(by_seed, trained_frames=200)
    short, long = (Wanted(past(2), GRID, 2, bars) for bars in (1, 8))
    other = Wanted(past(2), Grid(48_000, 120, MeterMap([(3, Meter(3, 4))])), 2, 8)
    assert can_share(short, long, tape)
    assert not can_share(long, other, tape)
    assert can_share(long, other, Tape(by_seed))


def test_beyond_what_it_was_trained_on_it_begins_anew_at_bar_lines() -> None:
    tape = Tape(lambda seed: noise(90, level=0.05), trained_frames=250)  # 10 s
    continuation = Continuation(tape, [Wanted(past(2), GRID, 2, 20, candidates=2)])
    take = np.concatenate(played(continuation)[0])
    assert len(take) == 20 * BAR
    stream = tape.streams[0]
    assert stream.reprimed == [
        (150, 100),
        (300, 100),
        (450, 100),
        (600, 100),
        (750, 100),
        (900, 100),
    ]
    bars = [at["bar"] for at in continuation.report(0)["reprimes"]]
    assert bars == [5, 8, 11, 14, 17, 20]
    alone = whole(Tape(lambda seed: noise(90, level=0.05)), Wanted(past(2), GRID, 2, 20))
    spectrum = np.corrcoef(take[BAR:, 0], alone[BAR:, 0])[0, 1]
    assert spectrum > 0.999, "and nothing of it is heard"


def test_the_model_is_told_the_text() -> None:
    tape = Tape(by_seed)
    continuation = Continuation(tape, [Wanted(past(), GRID, 2, 1, text="dry drums", candidates=2)])
    while not tape.streams or not tape.streams[0].made:
        continuation.work()
    assert [cue.text for cue in tape.streams[0].cues] == ["dry drums"] * 2


def test_an_error_ends_it() -> None:
    class Broken(Tape):
        def encode(self, audio: Audio, right: Audio | None = None) -> Audio:
            raise MemoryError

    continuation = Continuation(Broken(by_seed), takes())
    with pytest.raises(MemoryError):
        continuation.work()
    assert continuation.done and continuation.work() == []


@pytest.mark.parametrize("loop", ["amen_full", "tabla"])
def test_a_recorded_loop_that_goes_on_as_itself_is_left_as_it_is(loop: str) -> None:
    sound, rate = recorded_loops()[loop]
    beats = {"amen_full": 16, "tabla": 32}.get(loop, 16)
    grid = Grid(rate, Fraction(beats * 60 * rate, len(sound)))
    quieter = sound * np.float32(0.5)
    tape = Tape(lambda seed: np.concatenate([quieter, quieter]), rate, sound.shape[1])
    wanted = Wanted(quieter, grid, beats // 4, 2, following=quieter, live=False)
    continuation = Continuation(tape, [wanted])
    take = np.concatenate(played(continuation)[0])
    report = continuation.report(0)
    assert len(take) == grid.length(beats // 4, 2)
    assert report["seam"]["fade_ms"] == 0 and report["stretched"] is None
    assert np.corrcoef(take[:, 0], quieter[: len(take), 0])[0, 1] > 0.9999


def test_nothing_of_it_needs_torch() -> None:
    code = (
        "import sys, engine.audio.continuation, engine.models.audio, engine.models.musicgen.family;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
