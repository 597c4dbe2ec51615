"""How well a MusicGen foresees some clips. Importing this module imports torch.

Shapes: B clips, K codebooks of V codes, S places, P places of text, D numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from training.sound.delayed import IGNORED, Delayed


def cross_entropy(decoder: Any, batch: Delayed, states: Tensor, mask: Tensor) -> Tensor:
    """Nats a code: the mean of all codes of a codebook, and of the codebooks, as in training.

    ``states`` ``[B, P, D]`` are what the decoder looks at, where ``mask`` ``[B, P]`` is 1.
    """
    return by_codebook(decoder, batch, states, mask).mean()


def by_codebook(decoder: Any, batch: Delayed, states: Tensor, mask: Tensor) -> Tensor:
    """The same of each codebook, ``[K]``."""
    found = logits(decoder, batch.inputs, states, mask)
    losses = [
        F.cross_entropy(
            found[:, book].flatten(0, 1), batch.labels[:, book].flatten(), ignore_index=IGNORED
        )
        for book in range(found.shape[1])
    ]
    return torch.stack(losses)


def logits(decoder: Any, inputs: Tensor, states: Tensor, mask: Tensor) -> Tensor:
    """What is said of the next place, float32 ``[B, K, S, V]``, after ``inputs`` ``[B, K, S]``."""
    said: Tensor = decoder(
        input_ids=inputs.flatten(0, 1),
        encoder_hidden_states=states.to(decoder.dtype),
        encoder_attention_mask=mask,
        use_cache=False,
    ).logits
    return said.float().view(*inputs.shape, -1)
