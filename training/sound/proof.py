"""That a run learns, looked at as it runs: one that cannot is ended at once, and says why.

Two of the systems that this one replaces trained for hours with no gradient at all, and their loss
stood at chance. Here a correction ``B @ A`` starts with one of both at zero: B, or of embeddings A.
That one has a gradient from the first step on, and the other from the second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from engine.errors import Code, SidemanError
from engine.models.musicgen.adapters import PREFIX
from training.sound.lora import of_prompt

STEPS = 2
"""After so many steps every matrix must have had a gradient."""

ZEROS = 3
"""So many steps in a row without any gradient end a run."""

NAMED = 4
"""Matrices that are named where more have no gradient."""


class Proof:
    """What has been seen of a run's gradients."""

    def __init__(self, weights: Mapping[str, nn.Parameter]) -> None:
        """``weights`` are all that is trained, by name."""
        self._weights = dict(weights)
        self._unseen = set(self._weights)
        self._steps = {False: 0, True: 0}
        """Steps that reached matrices of the music, and of the prompt."""

        self._zeros = 0

    @property
    def seen(self) -> int:
        """Matrices that have had a gradient."""
        return len(self._weights) - len(self._unseen)

    @property
    def count(self) -> int:
        """Matrices that are trained: two for each that is corrected."""
        return len(self._weights)

    def look(self, norm: float, with_prompts: bool) -> None:
        """Look at the gradients of one step, whose length is ``norm``, before they are spent.

        ``with_prompts`` says whether any clip of the step had a prompt: without one, nothing comes
        to the matrices that listen to it. Raises ``bad-arguments`` where learning is out of order.
        """
        self._zeros = 0 if norm > 0 else self._zeros + 1
        if self._zeros >= ZEROS:
            raise _aborted(f"the gradient was zero {ZEROS} times in a row: nothing is learned")
        if not self._unseen:
            return
        self._unseen = {name for name in self._unseen if not _reached(self._weights[name].grad)}
        self._steps[False] += 1
        self._steps[True] += with_prompts
        late = sorted(name for name in self._unseen if self._steps[of_prompt(name)] >= STEPS)
        if late:
            named = ", ".join(name.removeprefix(PREFIX) for name in late[:NAMED])
            more = f" and {len(late) - NAMED} more" if len(late) > NAMED else ""
            raise _aborted(
                f"after {STEPS} steps no gradient has reached {named}{more} of {self.count} "
                "matrices: what stands there would never be learned; choose another --target"
            )

    def state(self) -> dict[str, Any]:
        """What a run that goes on has to know."""
        return {
            "unseen": sorted(self._unseen),
            "steps": [self._steps[False], self._steps[True]],
            "zeros": self._zeros,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        self._unseen, self._zeros = set(state["unseen"]), state["zeros"]
        self._steps = {False: state["steps"][0], True: state["steps"][1]}


def chance(card: int) -> float:
    """The loss of who guesses among ``card`` codes, in nats a code."""
    return math.log(card)


def doubt(loss: float, card: int) -> str | None:
    """What is odd about the loss of a base that nothing was trained of yet; None if nothing is.

    A real model on real music begins far below chance: at about 3.5 for 2,048 codes.
    """
    if loss < chance(card):
        return None
    return (
        f"the base expects this music no better than chance (loss {loss:.2f}, chance "
        f"{chance(card):.2f}): its weights are random, or the clips are no music that it knows"
    )


def _reached(gradient: Tensor | None) -> bool:
    return gradient is not None and bool(gradient.any())


def _aborted(text: str) -> SidemanError:
    return SidemanError(Code.BAD_ARGUMENTS, f"the run is aborted: {text}")
