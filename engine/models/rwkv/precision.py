"""Which precision a model is played in, where nobody says."""

from __future__ import annotations

from engine.models.folder import ModelInfo

PRECISIONS = ("int8", "float32")
"""What the compiled step can hold weights in."""

INT8_LOSS = "int8_loss_increase"
"""Key of ``metrics`` in ``model.json``: held-out loss in int8 over that in float32, minus 1."""

MAX_LOSS_INCREASE = 0.005
"""int8 is the default up to this; unmeasured models play in float32."""


def default_precision(info: ModelInfo) -> str:
    """``int8`` where the model was measured to keep its quality in it, else ``float32``."""
    increase = info.metrics.get(INT8_LOSS)
    if isinstance(increase, bool) or not isinstance(increase, float | int):
        return "float32"
    return "int8" if increase <= MAX_LOSS_INCREASE else "float32"
