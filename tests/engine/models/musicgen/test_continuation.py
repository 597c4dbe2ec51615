"""Takes of a MusicGen with random weights: on the grid, whatever is made beside them."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import Audio
from engine.audio.continuation import Continuation, can_share
from engine.audio.grid import Grid
from engine.audio.level import CEILING, loudness, true_peak
from engine.audio.wanted import Wanted
from engine.errors import Code, SidemanError
from engine.models.audio import AudioModel, Sampling, family
from engine.models.musicgen.model import MusicGen
from engine.models.musicgen.player import Player
from engine.music import Meter, MeterMap
from tests.support.sounds import hits, noise, recorded_loops
from tests.support.tiny_lora import make_tiny_lora

GRID = Grid(32_000, 160)
LOOP = hits([0.375 * n for n in range(16)], 6, 32_000, "kick")


def played(continuation: Continuation, takes: int = 1) -> list[list[Audio]]:
    chunks: list[list[Audio]] = [[] for _ in range(takes)]
    while not continuation.done:
        for index, sound in continuation.work():
            chunks[index].append(sound)
    return chunks


def whole(model: AudioModel, wanted: Wanted) -> Audio:
    return np.concatenate(played(Continuation(model, [wanted]))[0])


@settings(max_examples=12, deadline=None)
@given(
    bpm=st.fractions(70, 220, max_denominator=1000),
    rate=st.sampled_from([22_050, 32_000, 44_100, 48_000, 96_000]),
    meter=st.builds(Meter, st.integers(2, 7), st.sampled_from([4, 8])),
    bars=st.integers(1, 2),
    sides=st.sampled_from([1, 2]),
    channels=st.sampled_from([1, 2]),
    candidates=st.sampled_from([1, 2]),
    live=st.booleans(),
)
def test_a_take_has_the_samples_of_its_bars(
    mono: MusicGen,
    stereo: MusicGen,
    bpm: Fraction,
    rate: int,
    meter: Meter,
    bars: int,
    sides: int,
    channels: int,
    candidates: int,
    live: bool,
) -> None:
    grid = Grid(rate, bpm, MeterMap([(0, meter)]))
    past = noise(grid.line(1) / rate + 1, rate)[: grid.line(1), :sides]
    model = Player(mono if channels == 1 else stereo)
    take = whole(model, Wanted(past, grid, 1, bars, candidates=candidates, live=live))
    assert take.shape == (grid.length(1, bars), sides)
    assert np.isfinite(take).all()
    assert true_peak(take, rate) <= CEILING
    assert np.abs(take[-rate // 200 :]).max() > 0


@pytest.mark.parametrize("text", ["", "dry funk drums"])
def test_takes_that_share_are_what_they_would_be_alone(mono: MusicGen, text: str) -> None:
    """Bit by bit, but where rounding, which hangs on a batch's size, tips a draw over: no draws."""
    model = Player(mono)
    likely = Sampling(temperature=0)
    wanted = [
        Wanted(LOOP, GRID, 4, 2, text=text, sampling=likely),
        Wanted(LOOP[::-1], GRID, 4, 1, text="piano", candidates=3, sampling=likely),
        Wanted(LOOP * np.float32(0.2), GRID, 4, 1, live=False, sampling=likely),
    ]
    assert all(can_share(wanted[0], each, model) for each in wanted)
    together = Continuation(model, wanted)
    shared = played(together, 3)
    for index, each in enumerate(wanted):
        alone = Continuation(model, [each])
        chunks = played(alone)[0]
        assert len(chunks) == len(shared[index])
        assert all(np.array_equal(*pair) for pair in zip(chunks, shared[index], strict=True))
        assert alone.report(0) == together.report(index)


def test_the_seed_the_text_and_what_follows_count(mono: MusicGen) -> None:
    model = Player(mono)
    base = Wanted(LOOP, GRID, 4, 1, seed=1)
    others = {
        "seed": Wanted(LOOP, GRID, 4, 1, seed=2),
        "text": Wanted(LOOP, GRID, 4, 1, seed=1, text="piano"),
        "following": Wanted(LOOP, GRID, 4, 1, seed=1, following=noise(1, 32_000)),
        "sampling": Wanted(LOOP, GRID, 4, 1, seed=1, sampling=Sampling(temperature=0.5)),
    }
    made = whole(model, base)
    assert np.array_equal(whole(model, base), made)
    for name, other in others.items():
        assert not np.array_equal(whole(model, other), made), name


def test_a_take_that_is_dropped_leaves_the_others_as_they_are(mono: MusicGen) -> None:
    model = Player(mono)
    wanted = [Wanted(LOOP, GRID, 4, 1, seed=seed, candidates=2) for seed in (1, 2)]
    expected = whole(model, wanted[1])
    for moment in (0, 2, 5, 40, 90):
        continuation = Continuation(model, wanted)
        sounds = []
        for _ in range(moment):
            sounds += [sound for index, sound in continuation.work() if index == 1]
        continuation.drop(0)
        while not continuation.done:
            for index, sound in continuation.work():
                assert index == 1
                sounds.append(sound)
        assert np.array_equal(np.concatenate(sounds), expected)


def test_it_goes_on_beyond_what_the_model_was_trained_on(mono: MusicGen) -> None:
    """40 s, after 12 s of a prompt: it begins anew at the bar line after 18 s, and again."""
    grid = Grid(32_000, 120)
    model = Player(mono)
    continuation = Continuation(model, [Wanted(noise(14, 32_000), grid, 7, 20, text="piano")])
    take = np.concatenate(played(continuation)[0])
    report = continuation.report(0)
    assert len(take) == grid.length(7, 20)
    assert report["context"]["beats"] == 24
    assert report["reprimes"] == [{"bar": 16, "frames": 600}, {"bar": 25, "frames": 600}]
    assert report["frames"] == 40 * 50 + 4
    # Where it begins anew nothing is heard of it: its level stays what it was.
    seconds = take[: 40 * 32_000].reshape(40, -1)
    levels = 20 * np.log10(np.sqrt((seconds**2).mean(axis=1)))
    assert np.abs(np.diff(levels[2:])).max() < 3


def test_adapters_may_come_while_it_is_made(models: dict[int, Path], tmp_path: Path) -> None:
    folder = make_tiny_lora(tmp_path / "dusty", models[1].name)
    model = family("musicgen").load(models[1], find_adapter=lambda name: folder)
    wanted = Wanted(LOOP, GRID, 4, 2, text="piano", seed=1)
    base = whole(model, wanted)
    continuation = Continuation(model, [wanted])
    chunks: list[Audio] = []
    while not chunks:
        chunks += [sound for _, sound in continuation.work()]
    model.adapt({"dusty": 1.0})
    chunks += played(continuation)[0]
    changed = np.concatenate(chunks)
    assert len(changed) == len(base)
    early = len(chunks[0])
    assert np.array_equal(changed[:early], base[:early])
    assert not np.array_equal(changed, base)
    model.adapt({})
    assert np.array_equal(whole(model, wanted), base)


def test_a_text_alone(stereo: MusicGen) -> None:
    nothing = np.zeros((0, 1), np.float32)
    wanted = Wanted(nothing, Grid(44_100, 180), 0, 1, text="rain", candidates=2)
    take = whole(Player(stereo), wanted)
    assert take.shape == (58_800, 2)


def test_what_is_refused_is_refused_before_anything_is_done(mono: MusicGen) -> None:
    model = Player(mono)
    for wanted, code in (
        (Wanted(LOOP, GRID, 4, 1, text="x " * 600), Code.BAD_ARGUMENTS),
        (Wanted(LOOP * 0, GRID, 4, 1), Code.NO_CONTEXT),
    ):
        slots = model.model.slots.nbytes
        with pytest.raises(SidemanError) as refused:
            Continuation(model, [Wanted(LOOP, GRID, 4, 1), wanted])
        assert refused.value.code is code
        assert model.model.slots.nbytes == slots


@pytest.mark.parametrize(
    ("loop", "beats"), [("amen_full", 16), ("breakbeat", 4), ("compus", 16), ("garzul", 16)]
)
def test_recorded_loops_are_continued(mono: MusicGen, loop: str, beats: int) -> None:
    """Two bars on, at the loop's level, as far as the ceiling lets noise be as loud as drums."""
    sound, rate = recorded_loops()[loop]
    grid = Grid(rate, Fraction(beats * 60 * rate, len(sound)))
    bar = beats // 4
    wanted = Wanted(sound, grid, bar, 2, text="drums", following=sound, live=False, candidates=2)
    continuation = Continuation(Player(mono), [wanted])
    take = np.concatenate(played(continuation)[0])
    report = json.loads(json.dumps(continuation.report(0), allow_nan=False))
    assert take.shape == (grid.length(bar, 2), sound.shape[1])
    assert report["chosen"] in (0, 1) and len(report["candidates"]) == 2
    peak = true_peak(take, rate)
    assert peak <= CEILING
    apart = loudness(take, rate) - loudness(wanted.prompt, rate)
    assert apart == pytest.approx(0, abs=0.2) or (apart < 0 and peak > CEILING - 0.2)
