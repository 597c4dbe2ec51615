"""MusicGen through the doors that all families of sound have."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import Code, SidemanError
from engine.models.audio import Cue, Sampling, family
from engine.models.musicgen.model import MusicGen
from engine.models.musicgen.player import Player
from tests.support.sounds import noise
from tests.support.tiny_lora import make_tiny_lora

GREEDY = Sampling(temperature=0)


@pytest.fixture
def player(mono: MusicGen) -> Player:
    return Player(mono)


def made(stream, frames: int) -> torch.Tensor:
    rows = [torch.cat(stream.step()) for _ in range(frames)]
    return torch.cat(rows, dim=-1)


@pytest.mark.parametrize("channels", [1, 2])
def test_what_it_says_of_itself(models: dict[int, Path], channels: int) -> None:
    model = family("musicgen").load(models[channels])
    assert model.channels == channels
    assert (model.sample_rate, model.hop, model.frame_rate) == (32_000, 640, Fraction(50))
    assert (model.lookahead, model.trained_frames) == (4, 1500)
    assert model.hears == {"text"}
    assert "random" in model.name
    weights = (models[channels] / "model.safetensors").stat().st_size
    assert weights < model.nbytes < 1.2 * weights, "what it computes from is there as well"


def test_a_family_that_is_not_there_is_named() -> None:
    with pytest.raises(SidemanError, match="musicgen") as refused:
        family("magenta")
    assert refused.value.code is Code.UNKNOWN_MODEL


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_goes_in_and_comes_out(mono: MusicGen, stereo: MusicGen, channels: int) -> None:
    model = Player(mono if channels == 1 else stereo)
    sound = noise(1, 32_000)[: 40 * 640, :channels]
    codes = model.encode(sound)
    assert codes.shape == (1, 4 * channels, 40)
    after = noise(1, 32_000, seed=1)[:, :channels]
    assert torch.equal(model.encode(sound, after)[..., :30], codes[..., :30])
    assert not torch.equal(model.encode(sound, after), codes)
    decoder = model.decoder()
    chunks = [decoder.push([codes[..., at : at + 5]]) for at in range(0, 40, 5)]
    assert [len(chunk) for chunk in chunks] == [640] + [5 * 640] * 7
    whole = np.concatenate([*chunks, decoder.flush()])
    assert whole.shape == (40 * 640, channels) and whole.dtype == np.float32
    assert np.allclose(whole, model._codec.decode(codes)[0].T.numpy(), atol=1e-5)
    primed = model.decoder()
    primed.prime(codes[..., :20])
    parts = [codes[..., at : at + 1] for at in range(20, 40)]
    rest = np.concatenate([primed.push(parts), primed.flush()])
    assert np.allclose(rest, whole[20 * 640 :], atol=1e-5)


def test_rows_begin_after_their_own_sound(player: Player) -> None:
    one, two = (player.encode(noise(0.4, 32_000, seed=seed)[:, :1]) for seed in (1, 2))
    cues = [Cue("piano"), Cue("drums")]
    stream = player.open(2, frames=100, sampling=GREEDY, seeds=[1, 2])
    stream.prime([one, two], cues)
    together = made(stream, 20)
    for row, codes in enumerate((one, two)):
        alone = player.open(1, frames=100, sampling=GREEDY, seeds=[row + 1])
        alone.prime([codes], [cues[row]])
        assert torch.equal(made(alone, 20)[0], together[row])
    stream.keep([1])
    assert stream.batch == 1 and len(stream.step()) == 1


def test_beginning_anew_is_beginning_after_the_last_frames(player: Player) -> None:
    stream = player.open(1, frames=500, sampling=GREEDY, seeds=[1])
    stream.prime(None, [Cue("piano")])
    codes = made(stream, 60)
    left = stream.remaining
    stream.reprime(25)
    assert stream.remaining == left + 35
    fresh = player.open(1, frames=500, sampling=GREEDY, seeds=[1])
    fresh.prime([codes[..., -25:]], [Cue("piano")])
    assert torch.equal(made(stream, 30), made(fresh, 30))


def test_a_stream_goes_back_and_hears_other_words(player: Player) -> None:
    stream = player.open(1, frames=200, sampling=GREEDY, seeds=[1])
    stream.prime(None, [Cue("piano")])
    made(stream, 10)
    moment = stream.snapshot()
    before = made(stream, 40)
    stream.restore(moment)
    assert moment.nbytes > 0
    stream.set_prompt([Cue("dry funk drums")])
    assert not torch.equal(made(stream, 40), before)
    stream.restore(moment)
    assert torch.equal(made(stream, 40), before)
    stream.cancel()
    with pytest.raises(SidemanError) as cancelled:
        stream.step()
    assert cancelled.value.code is Code.CANCELLED


@pytest.mark.parametrize(
    ("cue", "what"),
    [
        (Cue("x " * 600), "601 tokens"),
        (Cue(notes=frozenset({60})), "not by notes"),
        (Cue(styles=(("soft", 1.0),)), "not by styles"),
        (Cue(drums=True), "not by drums"),
    ],
)
def test_what_it_cannot_be_told_is_refused(player: Player, cue: Cue, what: str) -> None:
    with pytest.raises(SidemanError, match=what) as refused:
        player.check(cue)
    assert refused.value.code is Code.BAD_ARGUMENTS
    player.check(Cue("piano"))
    with pytest.raises(SidemanError):
        player.style("soft")


def test_adapters_come_by_name_and_go_without_a_trace(
    models: dict[int, Path], tmp_path: Path
) -> None:
    name = models[1].name
    folders = {
        "dusty": make_tiny_lora(tmp_path / "dusty", name),
        "bright": make_tiny_lora(tmp_path / "bright", name, seed=1),
        "wide": make_tiny_lora(tmp_path / "wide", name, width=(64, 128)),
        "foreign": make_tiny_lora(tmp_path / "foreign", "facebook/musicgen-large"),
    }
    asked: list[str] = []

    def find(adapter: str) -> Path:
        asked.append(adapter)
        if adapter not in folders:
            raise SidemanError(Code.UNKNOWN_MODEL, f"no adapter is called {adapter}")
        return folders[adapter]

    model = family("musicgen").load(models[1], find_adapter=find)

    def sample() -> torch.Tensor:
        stream = model.open(1, frames=100, sampling=GREEDY, seeds=[1])
        stream.prime(None, [Cue("piano")])
        return made(stream, 40)

    base = sample()
    model.adapt({"dusty": 1.0})
    dusty = sample()
    assert not torch.equal(dusty, base)
    model.adapt({"dusty": 0.5, "bright": 0.5})
    assert model.adapters == {"dusty": 0.5, "bright": 0.5}
    for wrong, code in (
        ({"bright": 1.0, "nothing": 1.0}, Code.UNKNOWN_MODEL),
        ({"wide": 1.0}, Code.NOT_ALLOWED),
        ({"foreign": 1.0}, Code.NOT_ALLOWED),
        ({"dusty": 3.0}, Code.BAD_ARGUMENTS),
    ):
        with pytest.raises(SidemanError) as refused:
            model.adapt(wrong)
        assert refused.value.code is code
        assert model.adapters == {"dusty": 0.5, "bright": 0.5}
    model.adapt({"dusty": 1.0})
    assert torch.equal(sample(), dusty)
    model.adapt({})
    assert torch.equal(sample(), base)
    assert asked.count("dusty") == 1, "it stays in memory"


def test_an_adapter_is_unknown_where_nobody_finds_any(player: Player) -> None:
    with pytest.raises(SidemanError, match="dusty"):
        player.adapt({"dusty": 1.0})
    assert player.adapters == {}


def test_memory_is_let_go(models: dict[int, Path]) -> None:
    model = family("musicgen").load(models[1])
    weights = model.nbytes
    stream = model.open(2, frames=600, sampling=GREEDY, seeds=[1, 2])
    size = stream.nbytes
    del stream
    assert model.nbytes == weights + size
    model.free()
    assert model.nbytes == weights
