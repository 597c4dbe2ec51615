"""Our step against transformers' ``generate``: greedy, in float32, on the processor."""

from __future__ import annotations

import pytest
import torch

from engine.models.audio import Sampling
from engine.models.musicgen.model import MusicGen
from tests.support.musicgen_reference import codes_of, encode, generate

PROMPTS = ("dry funk drums", "piano", "a lo-fi beat with a warm round bass, 90 bpm")
FRAMES = 90
"""In all: across the border of a span."""

PROMPT_FRAMES = 40


def ours(
    model: MusicGen,
    prompts: tuple[str, ...],
    guidance: float,
    codes: torch.Tensor | None = None,
    frames: int = FRAMES,
) -> torch.Tensor:
    stream = model.open(
        len(prompts), frames=frames, sampling=Sampling(temperature=0, guidance=guidance)
    )
    stream.prime(codes, prompts, frames=frames)
    begun = stream.frames
    made = [stream.step() for _ in range(stream.remaining)]
    assert torch.equal(torch.stack(made, dim=2), stream.codes[:, :, begun:])
    return stream.codes


def sound(model: MusicGen, batch: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(3)
    samples = PROMPT_FRAMES * model.sample_rate // model.frame_rate
    return 0.3 * torch.randn(batch, model.channels, samples, generator=random)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
@pytest.mark.parametrize("guidance", [1.0, 3.0], ids=["unguided", "guided"])
@pytest.mark.parametrize("primed", [False, True], ids=["text", "audio"])
def test_greedy_codes_are_transformers(
    mono: MusicGen, stereo: MusicGen, primed: bool, guidance: float, channels: int, batch: int
) -> None:
    model = mono if channels == 1 else stereo
    audio = sound(model, batch) if primed else None
    codes = None if audio is None else encode(model, audio)
    made = ours(model, PROMPTS[:batch], guidance, codes)
    assert made.shape == (batch, 4 * channels, FRAMES)
    assert torch.equal(
        made, generate(model, PROMPTS[:batch], FRAMES, guidance=guidance, audio=audio)
    )


def test_the_tiny_model_hears_what_it_is_told(mono: MusicGen) -> None:
    """Else parity would say little."""
    codes = encode(mono, sound(mono, 1))
    made = [
        ours(mono, (prompt,), guidance, primed)
        for prompt in PROMPTS
        for guidance in (1.0, 3.0)
        for primed in (None, codes)
    ]
    assert len({tuple(one[0, :, PROMPT_FRAMES:].flatten().tolist()) for one in made}) == len(made)
    assert sum(len(one.unique()) > 30 for one in made) > len(made) / 2, "only loops"


def test_an_empty_prompt_is_guided_at_no_cost(mono: MusicGen) -> None:
    """transformers, with a prompt of nothing and guidance, makes what we make without guidance."""
    stream = mono.open(1, frames=FRAMES, sampling=Sampling(temperature=0, guidance=3.0))
    stream.prime(None, [" "], frames=FRAMES)
    assert stream.guided == ()
    while stream.remaining:
        stream.step()
    nothing = torch.zeros(2, 1, mono.network.config.text_encoder.hidden_size)
    guided = codes_of(
        mono,
        encoder_outputs=(nothing,),
        attention_mask=torch.zeros(2, 1, dtype=torch.long),
        decoder_input_ids=torch.full((mono.codebooks, 1), mono.packed.card),
        do_sample=False,
        guidance_scale=3.0,
        max_length=mono.delay.places(FRAMES),
    )
    # generate takes the null row for a second sequence, and folds the one that it made in two
    assert torch.equal(stream.codes, guided.reshape(stream.codes.shape))


def test_only_sequences_with_a_prompt_are_guided(mono: MusicGen) -> None:
    prompts = ("", PROMPTS[0], "")
    stream = mono.open(3, frames=FRAMES, sampling=Sampling(temperature=0))
    stream.prime(None, prompts, frames=FRAMES)
    assert stream.guided == (1,)
    while stream.remaining:
        stream.step()
    for row, prompt in enumerate(prompts):
        assert torch.equal(stream.codes[row : row + 1], ours(mono, (prompt,), 3.0))


def test_without_an_end_all_but_the_last_frames_are_the_same(mono: MusicGen) -> None:
    stream = mono.open(1, frames=FRAMES, sampling=Sampling(temperature=0))
    stream.prime(None, PROMPTS[:1])
    made = torch.stack([stream.step() for _ in range(FRAMES)], dim=2)
    whole = ours(mono, PROMPTS[:1], 3.0)
    kept = FRAMES - mono.delay.longest
    assert torch.equal(made[:, :, :kept], whole[:, :, :kept])
    assert stream.remaining == 0
