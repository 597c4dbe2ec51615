"""The streaming decoder against the whole decode."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from functools import cache  # noqa: E402

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from engine.models.musicgen.codec import Codec  # noqa: E402
from engine.models.musicgen.stream_codec import StreamDecoder  # noqa: E402
from tests.support.tiny_encodec import random_codes, tiny_encodec  # noqa: E402

TOLERANCE = 1e-5
torch.set_num_threads(1)


@cache
def codec(channels: int = 1, **changes: object) -> Codec:
    return Codec(tiny_encodec(**changes), channels)


def streamed(decoder: StreamDecoder, codes, hops) -> list:
    chunks, at = [], 0
    for hop in hops:
        chunks.append(decoder.push(codes[..., at : at + hop]))
        at += hop
    return [*chunks, decoder.flush()]


@pytest.mark.parametrize("hop", [1, 5, 25])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_chunks_are_the_whole_decode(hop: int, channels: int, batch: int) -> None:
    this = codec(channels)
    codes = random_codes(batch, this.codebooks, 50)
    whole = this.decode(codes)
    chunks = streamed(StreamDecoder(this, batch), codes, [hop] * (50 // hop))
    assert torch.equal(torch.tensor(whole.shape), torch.tensor([batch, channels, 50 * 640]))
    assert whole.abs().max() > 1e-2
    assert torch.allclose(torch.cat(chunks, -1), whole, rtol=0, atol=TOLERANCE)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=8))
def test_any_hops_give_the_whole_decode(hops: list[int]) -> None:
    this = codec(2)
    frames = sum(hops)
    decoder = StreamDecoder(this, 2)
    codes = random_codes(2, this.codebooks, frames)
    chunks = streamed(decoder, codes, hops)
    sizes, given_so_far = [], 0
    for hop in hops:
        before = max(0, given_so_far - decoder.lookahead)
        given_so_far += hop
        sizes.append((max(0, given_so_far - decoder.lookahead) - before) * this.hop)
    assert [chunk.shape[-1] for chunk in chunks[:-1]] == sizes
    sound = torch.cat(chunks, -1)
    assert sound.shape == (2, 2, frames * this.hop)
    if frames:
        assert torch.allclose(sound, this.decode(codes), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "changes",
    [
        {"use_causal_conv": True},
        {"use_causal_conv": True, "trim_right_ratio": 0.5},
        {"pad_mode": "constant"},
        {"upsampling_ratios": [8, 5, 4, 2], "sampling_rate": 24_000, "target_bandwidths": [1.8]},
        {"upsampling_ratios": [3, 7], "sampling_rate": 2100, "target_bandwidths": [2.4]},
        {"num_residual_layers": 3, "kernel_size": 11, "last_kernel_size": 5},
        {"use_conv_shortcut": True, "num_lstm_layers": 1},
    ],
    ids=str,
)
def test_the_reach_is_read_off_the_model(changes: dict[str, object]) -> None:
    this = Codec(tiny_encodec(**changes))
    codes = random_codes(1, this.codebooks, 40)
    decoder = StreamDecoder(this)
    sound = torch.cat(streamed(decoder, codes, [1, 7, 3, 12, 17]), -1)
    assert torch.allclose(sound, this.decode(codes), rtol=0, atol=TOLERANCE)


def test_the_look_ahead_is_four_frames_at_32_khz_and_none_with_causal_layers() -> None:
    assert StreamDecoder(codec()).lookahead == 4
    assert StreamDecoder(Codec(tiny_encodec(use_causal_conv=True))).lookahead == 0


def test_one_frame_less_could_not_be_exact() -> None:
    """The sound of a frame changes with the code 4 frames on, and not with the one after that."""
    this = Codec(tiny_encodec().double())
    ahead = StreamDecoder(this).lookahead
    codes = random_codes(1, this.codebooks, 20)
    frame = 10
    span = slice(frame * this.hop, (frame + 1) * this.hop)

    def sound(changed: int):
        other = codes.clone()
        other[..., changed] = (other[..., changed] + 1) % this.codebook_size
        with torch.inference_mode():
            return this.model.decoder(this.embed(other))[..., span]

    with torch.inference_mode():
        before = this.model.decoder(this.embed(codes))[..., span]
    assert (sound(frame + ahead) - before).abs().max() > TOLERANCE
    assert torch.equal(sound(frame + ahead + 1), before)


def test_a_frame_comes_out_as_soon_as_it_is_certain() -> None:
    this = codec()
    decoder = StreamDecoder(this)
    codes = random_codes(1, this.codebooks, 6)
    sizes = [decoder.push(codes[..., i : i + 1]).shape[-1] for i in range(6)]
    assert sizes == [0, 0, 0, 0, 640, 640]
    assert (decoder.frames_in, decoder.frames_out) == (6, 2)


@pytest.mark.parametrize("prompt", [1, 2, 3, 4, 5, 30])
@pytest.mark.parametrize("hop", [1, 4])
def test_a_primed_stream_gives_back_only_what_follows_the_prompt(prompt: int, hop: int) -> None:
    this = codec(2)
    codes = random_codes(2, this.codebooks, prompt + 12)
    decoder = StreamDecoder(this, 2)
    decoder.prime(codes[..., :prompt])
    sound = torch.cat(streamed(decoder, codes[..., prompt:], [hop] * (12 // hop)), -1)
    whole = this.decode(codes)[..., prompt * this.hop :]
    assert sound.shape == whole.shape
    assert torch.allclose(sound, whole, rtol=0, atol=TOLERANCE)


def test_a_stream_is_primed_only_at_its_beginning() -> None:
    decoder = StreamDecoder(codec())
    decoder.push(random_codes(1, 4, 1))
    with pytest.raises(ValueError, match="primed before"):
        decoder.prime(random_codes(1, 4, 1))


def test_what_is_flushed_or_reset_leaves_nothing_behind() -> None:
    this = codec()
    decoder = StreamDecoder(this)
    first, second = random_codes(1, 4, 9, seed=1), random_codes(1, 4, 9, seed=2)
    streamed(decoder, first, [9])
    again = torch.cat(streamed(decoder, second, [4, 5]), -1)
    decoder.push(first)
    decoder.reset()
    and_again = torch.cat(streamed(decoder, second, [4, 5]), -1)
    assert torch.allclose(again, this.decode(second), rtol=0, atol=TOLERANCE)
    assert torch.equal(and_again, again)


def test_a_fork_goes_its_own_way() -> None:
    this = codec(2)
    same, one, other = (random_codes(1, this.codebooks, n, seed=n) for n in (9, 6, 7))
    first = StreamDecoder(this)
    head = first.push(same)
    second = first.fork()
    for decoder, rest in ((first, one), (second, other)):
        tail = torch.cat(streamed(decoder, rest, [2, rest.shape[-1] - 2]), -1)
        whole = this.decode(torch.cat([same, rest], -1))
        assert torch.allclose(torch.cat([head, tail], -1), whole, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("rows", [[2], [1, 0], [0, 0, 2, 2]])
def test_kept_pieces_go_on_as_if_they_had_been_alone(rows: list[int]) -> None:
    this = codec(2)
    codes = random_codes(3, this.codebooks, 10)
    decoder = StreamDecoder(this, 3)
    head = decoder.push(codes[..., :7])
    decoder.keep(rows)
    tail = torch.cat([decoder.push(codes[rows][..., 7:]), decoder.flush()], -1)
    sound = torch.cat([head[rows], tail], -1)
    assert torch.allclose(sound, this.decode(codes[rows]), rtol=0, atol=TOLERANCE)
