"""EnCodec as MusicGen uses it, against transformers' own calls."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from functools import cache  # noqa: E402

from transformers import EncodecModel  # noqa: E402

from engine.errors import Code, SidemanError  # noqa: E402
from engine.models.musicgen.codec import Codec  # noqa: E402
from tests.support.tiny_encodec import random_codes, tiny_encodec  # noqa: E402

torch.set_num_threads(1)


@cache
def encodec() -> EncodecModel:
    return tiny_encodec()


def noise(*shape: int, seed: int = 0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.3


def transformers_codes(audio):
    with torch.inference_mode():
        return encodec().encode(audio).audio_codes[0]


def transformers_audio(codes):
    with torch.inference_mode():
        return encodec().decode(codes[None], [None]).audio_values


@pytest.mark.parametrize("samples", [1, 639, 640, 641, 12_800, 13_000])
def test_mono_codes_are_transformers(samples: int) -> None:
    codec = Codec(encodec())
    audio = noise(3, 1, samples)
    codes = codec.encode(audio)
    assert codes.dtype == torch.int64
    assert codes.shape == (3, 4, codec.frames(samples))
    assert torch.equal(codes, transformers_codes(audio))
    assert codes.unique().numel() > min(4 * codec.frames(samples), 30) // 2


def test_stereo_interleaves_the_codebooks_of_both_sides() -> None:
    codec = Codec(encodec(), 2)
    audio = noise(2, 2, 6400)
    codes = codec.encode(audio)
    assert codes.shape == (2, 8, 10)
    assert torch.equal(codes[:, ::2], transformers_codes(audio[:, :1]))
    assert torch.equal(codes[:, 1::2], transformers_codes(audio[:, 1:]))


def test_mono_sound_is_both_sides_of_a_stereo_codec() -> None:
    codec = Codec(encodec(), 2)
    audio = noise(2, 1, 3200)
    assert torch.equal(codec.encode(audio), codec.encode(audio.expand(-1, 2, -1)))


def test_decoding_is_transformers() -> None:
    codes = random_codes(3, 8, 20)
    mono = Codec(encodec()).decode(codes[:, :4])
    stereo = Codec(encodec(), 2).decode(codes)
    assert mono.dtype == torch.float32
    assert torch.allclose(mono, transformers_audio(codes[:, :4]), rtol=0, atol=1e-6)
    left, right = transformers_audio(codes[:, ::2]), transformers_audio(codes[:, 1::2])
    assert torch.allclose(stereo, torch.cat([left, right], 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_right_context_makes_a_prompts_end_what_it_is_in_the_middle(channels: int) -> None:
    codec = Codec(encodec(), channels)
    audio = noise(2, channels, 30 * 640)
    prompt, after = audio[..., : 20 * 640], audio[..., 20 * 640 :]
    middle = codec.encode(audio)[..., :20]
    assert torch.equal(codec.encode(prompt, after), middle)
    assert torch.equal(codec.encode(prompt, after[..., : codec.right_context]), middle)
    alone = codec.encode(prompt)
    assert torch.equal(alone[..., :16], middle[..., :16])
    assert not torch.equal(alone[..., 16:], middle[..., 16:])


def test_a_codes_reach_to_the_right_is_known_to_the_sample() -> None:
    """The last sample of the right context changes what is coded, and the next does not."""
    model = tiny_encodec().double()
    codec = Codec(model)
    assert codec.right_context == 2386
    audio = noise(1, 1, 30 * 640).double()
    end = 10 * 640

    def embedded(changed: int):
        other = audio.clone()
        other[..., changed] += 1.0
        with torch.inference_mode():
            return model.encoder(other)[..., :10]

    with torch.inference_mode():
        before = model.encoder(audio)[..., :10]
    assert not torch.equal(embedded(end + codec.right_context - 1), before)
    assert torch.equal(embedded(end + codec.right_context), before)


def test_causal_codes_need_nothing_from_the_right() -> None:
    assert Codec(tiny_encodec(use_causal_conv=True)).right_context == 0


def test_the_frame_rate_is_exact() -> None:
    codec = Codec(encodec())
    assert (codec.rate, codec.hop, codec.codebooks, codec.frame_rate) == (32_000, 640, 4, 50)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"audio_channels": 2}, "more than one channel"),
        ({"normalize": True}, "by its level"),
        ({"chunk_length_s": 1.0, "overlap": 0.01}, "chunks of its own"),
        ({"norm_type": "time_group_norm"}, "norms over the whole piece"),
    ],
)
def test_an_encodec_of_another_kind_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(SidemanError, match=says) as refused:
        Codec(tiny_encodec(**changes))
    assert refused.value.code is Code.BAD_FILE


def test_what_does_not_fit_is_said() -> None:
    codec = Codec(encodec())
    with pytest.raises(ValueError, match="2 channels do not fit"):
        codec.encode(noise(1, 2, 640))
    with pytest.raises(ValueError, match="8 codebooks, and the codec has 4"):
        codec.decode(random_codes(1, 8, 3))
