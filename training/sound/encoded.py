"""Prompts as T5 encodes them, once for a whole run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from engine.models.musicgen import concepts
from engine.models.musicgen.checkpoint import Checkpoint
from engine.models.musicgen.text import TextEncoder


class Prompts:
    """The encodings of some prompts, on the processor, before the decoder's projection."""

    def __init__(self, checkpoint: Checkpoint, texts: Sequence[str]) -> None:
        """Encode each of ``texts`` by itself, as the engine does.

        Raises ``bad-arguments`` for one that is too long, ``unknown-model`` for a concept in it
        that is not installed.
        """
        encoder = TextEncoder(
            checkpoint.network.text_encoder,
            None,
            checkpoint.tokenizer,
            partial(concepts.embeddings, model=checkpoint.name),
        )
        self._width: int = checkpoint.network.config.text_encoder.d_model
        self._states: dict[str, Tensor] = {}
        for text in dict.fromkeys(texts):
            states = encoder.encode(text)
            if states is not None:
                # A copy: what inference has made cannot be learned from.
                self._states[text] = states.float().cpu().clone()

    @property
    def silent(self) -> bool:
        """Whether no prompt says anything."""
        return not self._states

    def says(self, text: str) -> bool:
        """Whether a prompt says anything: one of blanks does not."""
        return text in self._states

    def batch(self, texts: Sequence[str | None]) -> tuple[Tensor, Tensor]:
        """What the decoder looks at for each row, and where there is anything to look at.

        States are ``[B, S, D]``, the places bool ``[B, S]``. None, and a text of blanks, is a row
        of zeros, which is how MusicGen learned to hear nothing.
        """
        found = [None if text is None else self._states.get(text) for text in texts]
        longest = max([1, *(len(one) for one in found if one is not None)])
        states = torch.zeros(len(found), longest, self._width)
        there = torch.zeros(len(found), longest, dtype=torch.bool)
        for row, one in enumerate(found):
            if one is not None:
                states[row, : len(one)] = one
                there[row, : len(one)] = True
        return states, there
