"""Drawing one token from its logits, in numpy; `draw_compiled` does the same in machine code.

Probabilities are whole numbers out of a table, so that no sum and no comparison depends on how a
processor rounds, and both draw the same token.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
Logits = NDArray[np.float32]

STEPS_PER_NAT = 256
"""Logits are rounded to this grid: 0.2% of a probability, far below what anyone can hear."""

WEIGHTS = np.rint(np.exp(np.arange(24 * STEPS_PER_NAT) / -STEPS_PER_NAT) * 2**32).astype(np.int64)
WEIGHTS[-1] = 0
"""Weight of a token by how far its logit lies below the best one; none from 24 nats on."""


class Draw(Protocol):
    """A way to draw."""

    def __call__(
        self,
        logits: Logits,
        ids: Ids,
        toll: Logits,
        first: int,
        scale: float,
        top_p: float,
        top_k: int,
        word: int,
        /,
    ) -> int:
        """One of ``ids`` [n], by ``logits`` [V] less the ``toll`` of the ids from ``first`` on.

        Either all ids have a toll, or none. ``scale`` is steps of the table per unit of logits, and
        0 takes the best; ``word`` are 64 random bits, ``top_k`` 0 keeps all.
        Raises ``ValueError`` where the best logit is not a finite number.
        """
        ...


def draw(
    logits: Logits,
    ids: Ids,
    toll: Logits,
    first: int,
    scale: float,
    top_p: float,
    top_k: int,
    word: int,
) -> int:
    """The :class:`Draw` that needs no compiler, and says what is meant."""
    scores = logits[ids]
    if first <= ids[0] < first + len(toll):
        scores -= toll[ids - first]
    best = scores.max()
    if not math.isfinite(best):
        raise ValueError("the model's logits are not finite numbers")
    if not scale:
        return int(ids[scores.argmax()])
    depths = np.minimum((best - scores) * scale, len(WEIGHTS) - 1)
    weights = WEIGHTS[(depths + 0.5).astype(np.intp)]
    if top_p >= 1.0 and not 0 < top_k < len(ids):
        sums = weights.cumsum()
        return int(ids[sums.searchsorted(word * int(sums[-1]) >> 64, side="right")])
    order = (-weights).argsort(kind="stable")
    sums = weights[order].cumsum()
    kept = int(sums.searchsorted(int(top_p * int(sums[-1])))) + 1
    kept = min(kept, top_k or kept, len(sums))
    mark = word * int(sums[kept - 1]) >> 64
    return int(ids[order[sums[:kept].searchsorted(mark, side="right")]])


_fastest: Draw = draw


def fastest() -> Draw:
    """The compiled one where this process has it (see :func:`use_compiled`)."""
    return _fastest


def use_compiled() -> None:
    """Have the compiled one, out of the cache or compiled now; imports numba."""
    global _fastest
    from engine.draw_compiled import compiled

    _fastest = compiled()
