"""What keeps the vectors of concepts apart, beside what they are learned for."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom


def orthogonality(learned: Tensor, rows: Iterable[slice]) -> Tensor:
    """How alike the vectors of one concept are: the mean squared cosine of two of them, 0 to 1.

    The mean over the concepts, those of one vector excepted; vectors that say the same are wasted.
    """
    parts = []
    for each in rows:
        vectors = F.normalize(learned[each], dim=-1)
        count = len(vectors)
        if count > 1:
            alike = (vectors @ vectors.T).square()
            parts.append((alike.sum() - alike.diagonal().sum()) / (count * (count - 1)))
    return torch.stack(parts).mean() if parts else learned.new_zeros(())


def margin(learned: Tensor, rows: Iterable[slice], least: float) -> Tensor:
    """How much too near two concepts are: squared, the mean over all pairs.

    A concept's place is the direction of its mean vector; places are 0 to 2 apart, and should be
    ``least``.
    """
    places = [F.normalize(learned[each].mean(0), dim=-1) for each in rows]
    if len(places) < 2:
        return learned.new_zeros(())
    apart = [
        # The root of a hair more than nothing: at nothing it has no gradient.
        ((one - other).square().sum() + 1e-12).sqrt()
        for one, other in combinations(places, 2)
    ]
    return F.relu(least - torch.stack(apart)).square().mean()
