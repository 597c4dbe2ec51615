"""Prompts with words that are being learned: from text to what the decoder looks at, with gradient.

The engine's own tokenizer says where a concept's vectors stand in a text, so that a concept is
learned as it will be played. Shapes: R vectors of all concepts, N of one, D numbers, B texts of S
tokens. Importing this module imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import Code, SidemanError
from engine.models.musicgen.model import MusicGen

Tokens = list[int]
"""T5's tokens; those past its vocabulary are rows of what is learned."""


class Words:
    """The text side of a model, and the concepts that are learned for it."""

    def __init__(self, model: MusicGen, concepts: Mapping[str, int]) -> None:
        """``concepts`` are words, without brackets, and the N of each; their rows follow suit."""
        self._model = model
        network = model.network
        self._encoder = network.text_encoder
        self._projection: Any = getattr(network, "enc_to_dec_proj", None)
        self.table: Tensor = self._encoder.get_input_embeddings().weight
        """T5's own words ``[V, D]``, which stay as they are."""

        self.rows: dict[str, slice] = {}
        """Where each concept's vectors are among the R."""

        end = 0
        for word, number in concepts.items():
            self.rows[word] = slice(end, end + number)
            end += number
        nothing = {
            word: np.zeros((number, model.text.width), np.float32)
            for word, number in concepts.items()
        }
        model.text.remove_concepts()
        model.text.add_concepts(nothing)

    def tokens(self, text: str) -> Tokens:
        """The tokens of a text in which concepts stand as ``<word>``."""
        return self._model.text.tokens(text)

    def shuffled(self, tokens: Tokens, random: np.random.Generator) -> Tokens:
        """The same text, each concept's vectors in another order."""
        end = len(self.table)
        order = np.arange(max((rows.stop for rows in self.rows.values()), default=0))
        for rows in self.rows.values():
            order[rows] = random.permutation(order[rows])
        return [token if token < end else end + int(order[token - end]) for token in tokens]

    def vectors_of(self, text: str) -> Tensor:
        """T5's own vectors ``[n, D]`` of a text. Raises ``bad-arguments`` where it has none."""
        tokens = self.tokens(text)[:-1]  # without the end of text
        if not tokens or max(tokens) >= len(self.table):
            raise SidemanError(
                Code.BAD_ARGUMENTS, f"{text[:40]!r} is no word to begin with: choose a plain one"
            )
        return self.table[tokens].detach().float()

    def states(self, texts: Sequence[Tokens], learned: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder looks at ``[B, S, D]`` and where ``[B, S]``; ``learned`` is ``[R, D]``.

        Gradients flow into ``learned``, through T5.
        """
        device, end = self.table.device, len(self.table)
        longest = max(map(len, texts))
        numbers = torch.tensor(
            [[*text, *[0] * (longest - len(text))] for text in texts], device=device
        )
        mask = torch.tensor(
            [[1] * len(text) + [0] * (longest - len(text)) for text in texts], device=device
        )
        own = self.table[numbers.clamp(max=end - 1)]
        new = learned[(numbers - end).clamp(min=0)].to(own)
        vectors = torch.where((numbers >= end).unsqueeze(-1), new, own)
        states = self._encoder(inputs_embeds=vectors, attention_mask=mask).last_hidden_state
        if self._projection is not None:
            states = self._projection(states)
        return states * mask.unsqueeze(-1), mask
