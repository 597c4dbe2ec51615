"""Labels are those that the model was trained with, and transformers' own loss agrees."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.models.musicgen import tiny
from engine.models.musicgen.delay import Delay
from training.sound.delayed import IGNORED, asked, delayed

PAD = 512


def random_codes(codebooks, frames, seed=0):
    return torch.randint(PAD, (codebooks, frames), generator=torch.Generator().manual_seed(seed))


def test_places_of_a_short_clip():
    codes = torch.tensor([[1, 2, 3], [4, 5, 6]])
    both = delayed([codes], Delay(2, 1, 9))
    assert both.inputs.tolist() == [[[9, 1, 2], [9, 9, 4]]]
    assert both.labels.tolist() == [[[1, 2, 3], [IGNORED, 4, 5]]]


def test_both_sides_of_a_stereo_pair_are_asked_for_at_one_place():
    both = delayed([random_codes(8, 10)], Delay(8, 2, PAD))
    first = [(row != IGNORED).nonzero()[0].item() for row in both.labels[0]]
    assert first == [0, 0, 1, 1, 2, 2, 3, 3]


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.sampled_from([Delay(4, 1, PAD), Delay(8, 2, PAD)]),
)
def test_each_clip_is_as_it_is_alone_and_no_pad_is_asked_for(lengths, pattern):
    clips = [random_codes(pattern.codebooks, frames, frames) for frames in lengths]
    both = delayed(clips, pattern)
    assert both.inputs.shape == both.labels.shape == (len(clips), pattern.codebooks, max(lengths))
    assert not (both.labels == PAD).any()
    for row, (codes, frames) in enumerate(zip(clips, lengths, strict=True)):
        alone = delayed([codes], pattern)
        assert torch.equal(both.inputs[row, :, :frames], alone.inputs[0])
        assert torch.equal(both.labels[row, :, :frames], alone.labels[0])
        assert (both.labels[row, :, frames:] == IGNORED).all()
        heard = both.inputs[row, :, 1:frames]  # what is heard at a place was asked for before it
        told = both.labels[row, :, : frames - 1]
        assert torch.equal(heard, torch.where(told == IGNORED, PAD, told))
    assert asked(lengths, pattern).tolist() == (both.labels != IGNORED).sum((0, 2)).tolist()


@pytest.mark.parametrize("channels", [1, 2])
def test_transformers_own_labels_give_the_same_loss(channels):
    network = tiny.make(channels=channels)
    network.config.decoder.decoder_start_token_id = PAD  # unset in v5, and needed for labels
    books = 4 * channels
    both = delayed([random_codes(books, 20, 1), random_codes(books, 20, 2)],
                   Delay(books, channels, PAD))  # fmt: skip
    states, mask = torch.randn(2, 5, 24), torch.ones(2, 5, dtype=torch.long)
    theirs = network(
        encoder_outputs=(states,), attention_mask=mask, labels=both.labels.transpose(1, 2)
    )
    logits = network(
        encoder_outputs=(states,), attention_mask=mask, decoder_input_ids=both.inputs.flatten(0, 1)
    ).logits.unflatten(0, (2, books))
    ours = torch.stack([
        torch.nn.functional.cross_entropy(
            logits[:, book].flatten(0, 1), both.labels[:, book].flatten(), ignore_index=IGNORED
        )
        for book in range(books)
    ])  # fmt: skip
    torch.testing.assert_close(ours.mean(), theirs.loss)
