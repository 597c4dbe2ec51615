from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from engine.models.audio import Sampling
from engine.models.musicgen.sampling import chances, draw, likely


@pytest.mark.parametrize("temperature", [0.5, 1.3])
@pytest.mark.parametrize("top_k", [0, 5, 40])
@pytest.mark.parametrize("top_p", [0.3, 0.9, 1.0])
def test_chances_are_those_of_transformers(temperature: float, top_k: int, top_p: float) -> None:
    logits = 3 * torch.randn(4, 64, generator=torch.Generator().manual_seed(1))
    share = torch.tensor(top_p) if top_p < 1 else None
    indices, shares = likely(logits, torch.tensor(temperature), top_k, share)
    ours = torch.zeros(4, 64).scatter(1, indices, shares)
    theirs = TemperatureLogitsWarper(temperature)(None, logits)
    if top_k:
        theirs = TopKLogitsWarper(top_k)(None, theirs)
    if top_p < 1:
        theirs = TopPLogitsWarper(top_p)(None, theirs)
    theirs = theirs.softmax(-1)
    assert torch.allclose(ours / ours.sum(-1, keepdim=True), theirs, atol=1e-6)
    assert torch.equal(ours > 0, theirs > 0)


def test_codes_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([0.1, 2.0, -1.0, 0.7])
    chance = torch.arange(10_000) / 10_000
    drawn = draw(logits.expand(10_000, 4), chance, torch.tensor(0.8), 3, None)
    shares = torch.bincount(drawn, minlength=4) / 10_000
    kept = torch.where(logits > -1, logits / 0.8, -torch.inf).softmax(-1)
    assert torch.allclose(shares, kept, atol=2e-4)


@given(st.integers(0, 2**32), st.sampled_from([0, 1, 7]), st.sampled_from([1e-6, 0.4, None]))
def test_nothing_out_of_the_question_is_drawn(seed: int, top_k: int, top_p: float | None) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(6, 9, generator=random)
    setting = (torch.tensor(1.0), top_k, None if top_p is None else torch.tensor(top_p))
    indices, shares = likely(logits, *setting)
    for chance in (0.0, 0.5, 1 - 2**-23):
        drawn = draw(logits, torch.full((6,), chance), *setting)
        assert ((indices == drawn[:, None]) & (shares > 0)).any(-1).all()


def test_chance_belongs_to_a_seed_and_a_turn() -> None:
    table = chances([5, 6], 1, 50, 4)
    assert table.shape == (50, 2, 4)
    assert table.min() >= 0 and table.max() < 1
    assert torch.equal(table[:, 1:], chances([6], 1, 50, 4))
    assert not torch.equal(table[:, 0], table[:, 1])
    assert not torch.equal(table, chances([5, 6], 2, 50, 4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 0},
        {"top_p": 1.1},
        {"guidance": -1},
        {"guidance": float("nan")},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Sampling(**wrong)
