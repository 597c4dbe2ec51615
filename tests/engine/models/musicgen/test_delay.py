from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.models.musicgen.delay import UNKNOWN, Delay

PAD = 9


def test_codebooks_come_one_step_later_each() -> None:
    codes = torch.tensor([[[1, 2], [3, 4], [5, 6]]])
    sequence = Delay(3, 1, PAD).sequence(codes, places=7, frames=4)
    assert sequence.tolist() == [
        [
            [PAD, 1, 2, UNKNOWN, UNKNOWN, PAD, PAD],
            [PAD, PAD, 3, 4, UNKNOWN, UNKNOWN, PAD],
            [PAD, PAD, PAD, 5, 6, UNKNOWN, UNKNOWN],
        ]
    ]


def test_both_sides_of_stereo_come_together() -> None:
    assert Delay(8, 2, PAD).delays == (0, 0, 1, 1, 2, 2, 3, 3)


def test_without_an_end_nothing_is_padded_behind() -> None:
    sequence = Delay(4, 1, PAD).sequence(torch.zeros(1, 4, 0, dtype=torch.long), places=9)
    assert (sequence[0, 0, 1:] == UNKNOWN).all()


@given(
    channels=st.sampled_from([1, 2]),
    quantizers=st.integers(1, 5),
    frames=st.integers(0, 12),
    spare=st.integers(0, 5),
)
def test_a_whole_sequence_gives_its_codes_back(
    channels: int, quantizers: int, frames: int, spare: int
) -> None:
    delay = Delay(channels * quantizers, channels, PAD)
    books = channels * quantizers
    codes = torch.arange(2 * books * frames).view(2, books, frames)
    sequence = delay.sequence(codes, delay.places(frames) + spare, frames)
    assert torch.equal(delay.codes(sequence, frames), codes)
    for frame in range(frames):
        assert torch.equal(delay.frame(sequence, delay.places(frame)), codes[:, :, frame])


@pytest.mark.parametrize(
    ("shape", "places", "frames"), [((1, 3, 2), 9, None), ((1, 4, 6), 9, None), ((1, 4, 2), 9, 1)]
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], places: int, frames: int | None
) -> None:
    with pytest.raises(ValueError):
        Delay(4, 1, PAD).sequence(torch.zeros(shape, dtype=torch.long), places, frames)
