"""Prompts: from text to what the decoder looks at, by T5.

Each text is encoded by itself, so what a sequence hears does not hang on its neighbours in a batch.
A learned concept, ``<name>`` in a text, stands for vectors that T5 takes as if they were words.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from torch import Tensor

from engine.errors import Code, SidemanError
from engine.models.musicgen import concepts
from engine.models.musicgen.concepts import WORD, Embeddings
from engine.toml import nearest

MOST_TOKENS = 512
"""What T5 is trained for, its end-of-text included."""

KEPT = 64
"""Texts whose encodings are kept."""

FindConcept = Callable[[str], Embeddings | None]
"""From a concept's word to its vectors ``[N, D]``; None where there is none."""


def _find_none(_: str) -> Embeddings | None:
    return None


class TextEncoder:
    """T5 and its tokenizer; not for several threads at once."""

    def __init__(
        self,
        encoder: Any,
        projection: Any,
        tokenizer: Tokenizer,
        find_concept: FindConcept = _find_none,
    ) -> None:
        """``find_concept`` is asked for the words ``<name>`` of a text that were not added."""
        self._encoder, self._projection, self._tokenizer = encoder, projection, tokenizer
        self._find_concept = find_concept
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._added: dict[str, Embeddings] = {}
        self._found: dict[str, Embeddings] = {}
        self._places: dict[int | None, range] = {}
        self._tokens_and_concepts = tokenizer
        self._learned: Tensor | None = None

    @property
    def width(self) -> int:
        """D of a concept's vectors ``[N, D]``."""
        return int(self._words.shape[1])

    @property
    def concepts(self) -> tuple[str, ...]:
        """The concepts that were added, in alphabetical order."""
        return tuple(sorted(self._added))

    def add_concepts(self, added: Mapping[str, Embeddings]) -> None:
        """Have ``<name>`` stand for vectors ``[N, D]`` from now on, for each name.

        Raises ``not-allowed`` for vectors of another width, and then nothing has changed.
        """
        for word, vectors in added.items():
            self._check(word, vectors)
        self._added |= added
        self._lay()

    def remove_concepts(self, *names: str) -> None:
        """Have these stand for nothing any more, or with no name given, none of them."""
        for name in names or self.concepts:
            self._added.pop(name, None)
        self._lay()

    def tokens(self, text: str) -> list[int]:
        """The text as T5's tokens, a concept's vectors as numbers past those of all words.

        Raises ``bad-arguments`` where it is longer than T5 reads, ``unknown-model`` for a concept
        that is nowhere, ``not-allowed`` for one that was learned with another model.
        """
        self._bring(WORD.findall(text))
        ids: list[int] = []
        for number in self._tokens_and_concepts.encode(text).ids:
            ids.extend(self._places.get(number, (number,)))
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
        ids = self.tokens(text)  # before what is kept: a concept may have been learned anew
        if text not in self._kept:
            self._kept[text] = self._states(ids)
        self._kept.move_to_end(text)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        states = self._kept[text]
        # The projection may have changed since: an adapter can be on it.
        return states if self._projection is None else self._projection(states)

    def _states(self, ids: list[int]) -> Tensor:
        words = self._words
        numbers = torch.tensor([ids], device=words.device)
        of_concepts = numbers >= len(words)
        told = {"input_ids": numbers}
        if self._learned is not None and bool(of_concepts.any()):
            vectors = words[numbers.masked_fill(of_concepts, 0)]
            vectors[of_concepts] = self._learned[numbers[of_concepts] - len(words)]
            told = {"inputs_embeds": vectors}
        states: Tensor = self._encoder(**told).last_hidden_state[0]
        return states

    @property
    def _words(self) -> Tensor:
        """The embeddings of T5's own vocabulary ``[V, D]``."""
        table: Tensor = self._encoder.get_input_embeddings().weight
        return table

    def _bring(self, words: list[str]) -> None:
        """Have every concept of a text here, as it is now."""
        changed = False
        for word in words:
            if word in self._added:
                continue
            vectors = self._find_concept(word)
            if vectors is None:
                raise self._unknown(word)
            if self._found.get(word) is not vectors:
                self._check(word, vectors)
                self._found[word] = vectors
                changed = True
        if changed:
            self._lay()

    def _check(self, word: str, vectors: Embeddings) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != self.width or not len(vectors):
            raise SidemanError(
                Code.NOT_ALLOWED,
                f"concept <{word}> is {list(vectors.shape)}, and the words of this model's text "
                f"encoder are {self.width} wide: it was learned with another model",
            )

    def _unknown(self, word: str) -> SidemanError:
        known = sorted({*self._added, *concepts.words()})
        hint = (
            f"the nearest is <{nearest(word, known)}>"
            if known
            else "none is installed, and `sideman train concept` makes them"
        )
        return SidemanError(Code.UNKNOWN_MODEL, f"no learned concept is called <{word}>; {hint}")

    @torch.inference_mode()
    def _lay(self) -> None:
        """Put all concepts behind the words, and forget what was encoded."""
        self._kept.clear()
        known = self._found | self._added
        self._tokens_and_concepts, self._places, self._learned = self._tokenizer, {}, None
        if not known:
            return
        tokenizer = Tokenizer.from_str(self._tokenizer.to_str())
        tokenizer.add_tokens([AddedToken(f"<{word}>", normalized=False) for word in known])
        end = len(self._words)
        for word, vectors in known.items():
            self._places[tokenizer.token_to_id(f"<{word}>")] = range(end, end + len(vectors))
            end += len(vectors)
        self._tokens_and_concepts = tokenizer
        self._learned = torch.cat([torch.as_tensor(v).to(self._words) for v in known.values()])
