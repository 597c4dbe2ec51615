"""Prompts: from text to what the decoder looks at, by T5.

Each text is encoded by itself, so what a sequence hears does not hang on its neighbours in a batch.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from engine.errors import Code, SidemanError

MOST_TOKENS = 512
"""What T5 is trained for, its end-of-text included."""

KEPT = 64
"""Texts whose encodings are kept."""


class TextEncoder:
    """T5 and its tokenizer; not for several threads at once."""

    def __init__(self, encoder: Any, projection: Any, tokenizer: Tokenizer) -> None:
        self._encoder, self._projection, self._tokenizer = encoder, projection, tokenizer
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

    def tokens(self, text: str) -> list[int]:
        """The text as T5's tokens. Raises ``bad-arguments`` where it is longer than T5 reads."""
        ids: list[int] = self._tokenizer.encode(text).ids
        if len(ids) > MOST_TOKENS:
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"the prompt has {len(ids)} tokens, and the text encoder reads {MOST_TOKENS}: "
                "say it in fewer words",
            )
        return ids

    @torch.inference_mode()
    def encode(self, text: str) -> Tensor | None:
        """What the decoder looks at, ``[S, D]``; None for a text of blanks, which says nothing."""
        if not text.strip():
            return None
        if text not in self._kept:
            ids = torch.tensor([self.tokens(text)], device=self._encoder.device)
            self._kept[text] = self._encoder(input_ids=ids).last_hidden_state[0]
        self._kept.move_to_end(text)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        states = self._kept[text]
        # The projection may have changed since: an adapter can be on it.
        return states if self._projection is None else self._projection(states)
