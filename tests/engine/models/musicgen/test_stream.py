"""Streams: chance, snapshots, prompts that change, rows that go, and cancelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engine.errors import Code, SidemanError
from engine.models.audio import Sampling
from engine.models.musicgen.model import MusicGen
from engine.models.musicgen.stream import LEAST_TEXT, Stream

PROMPTS = ("dry funk drums", "piano", "")
WARM = Sampling(temperature=1.0, top_k=50, top_p=0.9)


def make(stream: Stream, frames: int) -> torch.Tensor:
    return torch.stack([stream.step() for _ in range(frames)], dim=2)


def primer(model: MusicGen, frames: int = 20) -> torch.Tensor:
    random = torch.Generator().manual_seed(7)
    return torch.randint(model.packed.card, (1, model.codebooks, frames), generator=random)


def test_rows_are_what_each_would_be_alone(mono: MusicGen) -> None:
    seeds = (11, 12, 13)
    together = mono.open(3, frames=80, sampling=WARM, seeds=seeds)
    together.prime(primer(mono), PROMPTS)
    made = make(together, 50)
    for row, seed in enumerate(seeds):
        alone = mono.open(1, frames=80, sampling=WARM, seeds=[seed])
        alone.prime(primer(mono), [PROMPTS[row]])
        assert torch.equal(make(alone, 50), made[row : row + 1])


def test_a_seed_makes_the_same_again_and_another_does_not(mono: MusicGen) -> None:
    made = []
    for seeds in ([3], [3], [4]):
        stream = mono.open(1, frames=40, sampling=WARM, seeds=seeds)
        stream.prime(None, ["piano"])
        made.append(make(stream, 40))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_priming_again_is_another_chance(mono: MusicGen) -> None:
    stream = mono.open(1, frames=60, sampling=WARM)
    made = []
    for _ in range(2):
        stream.prime(primer(mono), ["piano"])
        made.append(make(stream, 20))
    assert not torch.equal(*made)


@pytest.mark.parametrize("channels", [1, 2])
def test_going_back_repeats_bit_by_bit(mono: MusicGen, stereo: MusicGen, channels: int) -> None:
    model = mono if channels == 1 else stereo
    stream = model.open(2, frames=120, sampling=WARM)
    stream.prime(primer(model), PROMPTS[:2])
    fresh = stream.snapshot()
    first = make(stream, 10)
    kept = stream.snapshot()
    codes = stream.codes
    then = make(stream, 60)
    stream.set_prompt(["a long prompt that needs more than the places that there were before", ""])
    make(stream, 5)
    stream.restore(kept)
    assert stream.prompts == PROMPTS[:2] and stream.frames == 30
    assert torch.equal(stream.codes, codes)
    assert torch.equal(make(stream, 60), then)
    stream.restore(fresh)
    assert torch.equal(make(stream, 10), first)
    assert kept.nbytes > fresh.nbytes > 0


def test_many_begin_from_one_and_differ_from_there_on(mono: MusicGen) -> None:
    one = mono.open(1, frames=60, sampling=WARM, seeds=[5])
    one.prime(primer(mono), ["piano"])
    many = mono.open(3, frames=60, sampling=WARM, seeds=[5, 6, 7])
    many.restore(one.snapshot())
    assert many.guided == (0, 1, 2) and many.prompts == ("piano",) * 3
    made = make(many, 30)
    assert torch.equal(made[:1], make(one, 30))
    assert not torch.equal(made[0], made[1])
    fresh = mono.open(1, frames=60, sampling=WARM, seeds=[7])
    fresh.prime(primer(mono), ["piano"])
    assert torch.equal(make(fresh, 30), made[2:])


def test_the_rows_that_are_kept_go_on_as_they_would_have(mono: MusicGen) -> None:
    stream = mono.open(3, frames=60, sampling=WARM)
    stream.prime(primer(mono), PROMPTS)
    make(stream, 10)
    moment = stream.snapshot()
    made = make(stream, 20)
    stream.restore(moment)
    stream.keep([2, 0])
    assert stream.batch == 2 and stream.guided == (1,) and stream.prompts == ("", PROMPTS[0])
    assert torch.equal(make(stream, 20), made[[2, 0]])
    for wrong in ([], [2], [0, 0], [-1]):
        with pytest.raises(ValueError):
            stream.keep(wrong)


def test_a_new_prompt_is_heard_as_a_fresh_stream_hears_it(mono: MusicGen) -> None:
    """Keys and values of the prompt are a fresh stream's, bit by bit, and so is the next code."""
    greedy = Sampling(temperature=0)
    changed, fresh, unchanged = (mono.open(1, frames=60, sampling=greedy) for _ in range(3))
    for stream in (changed, unchanged):
        stream.prime(None, ["dry funk drums, and many other words that take up places"])
    fresh.prime(None, ["piano"])
    changed.set_prompt(["piano"])
    # Places that the longer prompt took are masked; nothing was made, so all else is equal, too.
    size = len(mono.text.tokens("piano"))
    assert torch.equal(changed._buffers.text[..., :size, :], fresh._buffers.text[..., :size, :])
    assert not changed._buffers.text[..., size:, :].any()
    made = make(changed, 30)
    assert torch.equal(made, make(fresh, 30))
    assert not torch.equal(made, make(unchanged, 30))


def test_a_new_prompt_changes_what_comes_and_not_what_was(mono: MusicGen) -> None:
    greedy = Sampling(temperature=0)
    stream = mono.open(1, frames=60, sampling=greedy)
    stream.prime(None, ["dry funk drums"])
    before = make(stream, 20)
    moment = stream.snapshot()
    goes_on = make(stream, 20)
    stream.restore(moment)
    slot = stream._slot
    stream.set_prompt(["piano"])
    assert stream._slot is slot, "a prompt that fits needs no new buffers"
    assert torch.equal(stream.codes[:, :, :20], before)
    assert not torch.equal(make(stream, 20), goes_on)


def test_a_prompt_after_none_is_guided_as_from_the_beginning(mono: MusicGen) -> None:
    """The row without a prompt has the very past that it would have had."""
    greedy = Sampling(temperature=0)
    stream = mono.open(2, frames=60, sampling=greedy)
    stream.prime(primer(mono), [""])
    assert stream.guided == ()
    make(stream, 10)
    stream.set_prompt(["", "piano"])
    assert stream.guided == (1,)
    at = stream.frames + mono.delay.longest
    past = stream._buffers.past[..., :at, :]
    assert torch.equal(past[:, 2], past[:, 1])
    make(stream, 20)
    stream.set_prompt([""])
    told = make(stream, 5)
    assert stream.guided == (1,)
    assert not torch.equal(told[0], told[1])


def test_a_long_prompt_finds_room(mono: MusicGen) -> None:
    long = "abcdefg " * 12
    assert len(mono.text.tokens(long)) > LEAST_TEXT
    greedy = Sampling(temperature=0)
    stream = mono.open(1, frames=30, sampling=greedy)
    stream.prime(None, ["piano"])
    stream.set_prompt([long])
    fresh = mono.open(1, frames=30, sampling=greedy)
    fresh.prime(None, [long])
    assert torch.equal(make(stream, 20), make(fresh, 20))


def test_a_prompt_that_t5_cannot_read_is_refused_and_nothing_changes(mono: MusicGen) -> None:
    stream = mono.open(1, frames=30, sampling=Sampling(temperature=0))
    stream.prime(None, ["piano"])
    make(stream, 5)
    moment = stream.snapshot()
    for call in (
        lambda: stream.set_prompt(["x " * 600]),
        lambda: stream.prime(None, ["x " * 600]),
    ):
        with pytest.raises(SidemanError) as refused:
            call()
        assert refused.value.code == Code.BAD_ARGUMENTS
        assert "601 tokens" in refused.value.text
    made = make(stream, 10)
    stream.restore(moment)
    assert torch.equal(make(stream, 10), made)


def test_cancelled_between_two_steps(mono: MusicGen) -> None:
    stream = mono.open(1, frames=30)
    stream.prime(None, ["piano"])
    make(stream, 3)
    stream.cancel()
    for _ in range(2):
        with pytest.raises(SidemanError) as cancelled:
            stream.step()
        assert cancelled.value.code == Code.CANCELLED
    assert stream.frames == 3
    stream.prime(None, ["piano"])
    make(stream, 3)


def test_a_stream_ends_where_it_was_told_to(mono: MusicGen) -> None:
    stream = mono.open(1, frames=40)
    stream.prime(primer(mono), [""], frames=25)
    assert (stream.frames, stream.remaining) == (20, 5)
    make(stream, 5)
    assert stream.codes.shape[2] == 25
    with pytest.raises(ValueError, match="end"):
        stream.step()
    assert torch.equal(stream.codes[:, :, :20], primer(mono))


def test_what_cannot_be_is_refused(mono: MusicGen) -> None:
    stream = mono.open(2, frames=30)
    wrong = mono.packed.card
    for codes, prompts, frames in (
        (torch.zeros(1, mono.codebooks, 31, dtype=torch.long), ["a"], None),
        (torch.zeros(3, mono.codebooks, 5, dtype=torch.long), ["a"], None),
        (torch.zeros(1, mono.codebooks + 1, 5, dtype=torch.long), ["a"], None),
        (torch.full((1, mono.codebooks, 5), wrong), ["a"], None),
        (torch.full((1, mono.codebooks, 5), -1), ["a"], None),
        (None, ["a", "b", "c"], None),
        (None, "a", None),
        (None, ["a"], 31),
        (primer(mono), ["a"], 19),
    ):
        with pytest.raises(ValueError):
            stream.prime(codes, prompts, frames=frames)
    with pytest.raises(ValueError):
        stream.prime(None, ["a"], seeds=[1])
    with pytest.raises(ValueError):
        stream.restore(mono.open(2, frames=31).snapshot())
    with pytest.raises(ValueError):
        stream.restore(mono.open(3, frames=30).snapshot())
    with pytest.raises(ValueError):
        mono.open(2, seeds=[1])
    with pytest.raises(ValueError):
        mono.open(0)


def test_the_next_stream_gets_the_buffers_of_the_last(models: dict[int, Path]) -> None:
    model = MusicGen.load(models[1])
    made, slots = [], []
    for _ in range(2):
        stream = model.open(2, frames=70, sampling=WARM)
        stream.prime(primer(model), ["piano", "drums"])
        made.append(make(stream, 50))
        slots.append(stream._slot)
        stream._buffers.past.fill_(torch.nan)
        del stream
    assert slots[0] is slots[1] and torch.equal(*made)
    assert model.slots.nbytes >= slots[0].buffers.nbytes
    other = model.open(2, frames=70, sampling=Sampling(temperature=0))
    other.prime(primer(model), ["piano", "drums"])
    assert other._slot is not slots[0], "graphs are fixed to the way of drawing"
    model.slots.clear()
    assert model.slots.nbytes == 0


def test_two_streams_never_share(mono: MusicGen) -> None:
    streams = [mono.open(1, frames=70, sampling=WARM, seeds=[1]) for _ in range(2)]
    for stream in streams:
        stream.prime(primer(mono), ["piano"])
    assert streams[0]._slot is not streams[1]._slot
    turns = [torch.stack(pair) for pair in ([s.step() for s in streams] for _ in range(30))]
    assert all(torch.equal(*turn) for turn in turns)


def test_memory_grows_with_rows_and_room(mono: MusicGen) -> None:
    one, two = (mono.open(batch, frames=300).nbytes for batch in (1, 2))
    assert 1.9 * one < two < 2 * one
    past = 2 * 2 * 32 * 4  # layers, keys and values, width, bytes
    assert mono.open(1, frames=400).nbytes - one >= 100 * past


def test_guidance_of_one_costs_no_second_row(mono: MusicGen) -> None:
    stream = mono.open(1, frames=30, sampling=Sampling(guidance=1.0))
    stream.prime(None, ["piano"])
    assert stream.guided == ()


def test_half_precision_steps(models: dict[int, Path]) -> None:
    model = MusicGen.load(models[1], precision="bfloat16")
    assert model.packed.dtype == torch.bfloat16
    assert next(model.codec.parameters()).dtype == torch.float32
    stream = model.open(1, frames=30)
    stream.prime(primer(model), ["piano"])
    assert make(stream, 5).shape == (1, model.codebooks, 5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_graphs_make_what_the_steps_make(models: dict[int, Path]) -> None:
    model = MusicGen.load(models[1], device="cuda", precision="float32")
    made = []
    for captured in (True, False):
        stream = model.open(2, frames=300, sampling=WARM)
        stream.prime(primer(model), ["piano", ""])
        if not captured:
            stream._slot.run = stream._slot.step
        first = make(stream, 220)
        stream.set_prompt(["dry drums", ""])
        made.append((first, make(stream, 40)))
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))


class Recorder(TorchDispatchMode):
    """Notes what torch is asked to do, and with which shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, ...]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        shapes = [str(tuple(a.shape)) for a in args if isinstance(a, torch.Tensor)]
        self.calls.append((str(func), *shapes))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("sampling", [WARM, Sampling(temperature=0)], ids=["drawn", "greedy"])
def test_every_step_of_a_span_is_the_same_work(mono: MusicGen, sampling: Sampling) -> None:
    """And none reads a number back: so the graph of one is the graph of all."""
    stream = mono.open(2, frames=70, sampling=sampling)
    stream.prime(primer(mono), ["piano", ""])
    stream._slot.step(64)  # the first of a span makes its views
    works = []
    for _ in range(5):
        with Recorder() as recorder, torch.no_grad():
            stream._slot.step(64)
        works.append(recorder.calls)
    assert all(work == works[0] for work in works) and len(works[0]) > 50
    read_back = ("_local_scalar_dense", "nonzero", "is_nonzero", "_to_copy")
    assert not [call for call in works[0] if any(word in call[0] for word in read_back)]
