"""The loss that a run watches: on clips that it does not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.sound.dataset import Clip
from training.sound.delayed import asked
from training.sound.learner import Learner


@dataclass(frozen=True, slots=True)
class Heldout:
    """One look at the held-out clips, in nats a code."""

    loss: float
    """The mean of those of the codebooks."""

    codebooks: tuple[float, ...]

    def values(self) -> dict[str, float]:
        """For a log."""
        parts = {f"heldout/codebook {k}": loss for k, loss in enumerate(self.codebooks, 1)}
        return {"heldout/loss": self.loss, **parts}


@torch.no_grad()
def look(
    learner: Learner, clips: Sequence[tuple[Clip, Tensor]], most: int, batch: int
) -> Heldout | None:
    """Score the first ``most`` frames of each clip with its prompt; None where there are none."""
    if not clips:
        return None
    learner.lora.network.eval()
    sums = torch.zeros(learner.model.codebooks, dtype=torch.float64)
    for begin in range(0, len(clips), batch):
        some = clips[begin : begin + batch]
        codes = [codes[:, :most].long() for _, codes in some]
        sums += learner.losses(codes, [clip.prompt for clip, _ in some]).double().cpu()
    frames = [min(most, codes.shape[1]) for _, codes in clips]
    each = sums / asked(frames, learner.model.delay)
    return Heldout(each.mean().item(), tuple(each.tolist()))
