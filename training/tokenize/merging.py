"""Merged tokens (BPE, Unigram): learned by miditok, applied and undone without it.

A piece is cut where a bar or a track begins; no merged token reaches over a cut, so that music in
merged tokens still consists of bars.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError
from training.tokenize.config import Merging
from training.tokenize.encode import Tokens

if TYPE_CHECKING:
    from miditok import MusicTokenizer

LARGEST = 1 << 16
"""Tokens that the data set's 16 bits can tell apart."""

LONGEST = 16
"""Tokens in one of Unigram: four notes. The library's own 128 takes a hundred times as long."""


class Merges:
    """The merges of a tokenizer's file."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """``settings`` are the contents of a ``tokenizer.json`` that has a ``_model``."""
        from tokenizers import Tokenizer

        base: dict[str, int] = settings["_vocab_base"]
        self._model = Tokenizer.from_str(settings["_model"])
        letters = {base[name]: byte for byte, name in settings["_vocab_base_byte_to_token"].items()}
        self._letters = np.array([letters.get(id_, "") for id_ in range(max(base.values()) + 1)])
        self._cuts = _cuts(base)
        self._parts: list[Tokens] = [
            np.array([base[part] for part in name.split("+") if part], dtype=np.uint16)
            for name in settings["tokens"]
        ]

    def merge(self, tokens: Tokens) -> Tokens:
        """Unmerged tokens to merged ones."""
        words = list(_words(tokens, self._cuts, self._letters))
        return np.asarray(self._model.encode(words, is_pretokenized=True).ids, dtype=np.uint16)

    def split(self, tokens: Tokens) -> Tokens:
        """Merged tokens to unmerged ones."""
        if not len(tokens):
            return tokens
        return np.concatenate([self._parts[token] for token in tokens])


def merges_of(settings: dict[str, Any]) -> Merges | None:
    """The merges of a tokenizer by the contents of its file; None where it has none."""
    return Merges(settings) if "_model" in settings else None


def learn(tokenizer: MusicTokenizer, pieces: Sequence[Tokens], size: int, merging: Merging) -> None:
    """Train ``tokenizer`` on pieces in unmerged tokens, to a vocabulary of ``size``.

    Equal pieces give equal merges with BPE. The library's Unigram is not exact: it may order
    tokens of nearly equal worth one way or the other.
    """
    base: dict[str, int] = tokenizer.vocab
    if not len(base) < size <= LARGEST:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"{size} tokens: more than the {len(base)} basic ones are needed, {LARGEST} at most",
        )
    # The library's threads count in one order only where there is one of them.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    letters = {base[name]: byte for byte, name in tokenizer._vocab_base_byte_to_token.items()}
    table = np.array([letters[id_] for id_ in range(len(base))])
    longest = {"max_piece_length": LONGEST} if merging == "Unigram" else {}
    tokenizer.train(size, merging, _Corpus(pieces, _cuts(base), table), **longest)


class _Corpus:
    """Pieces as the trainer of merges reads them: lists of words, one character a token."""

    def __init__(
        self, pieces: Sequence[Tokens], cuts: NDArray[np.int64], letters: NDArray[np.str_]
    ) -> None:
        self._pieces, self._cuts, self._letters = pieces, cuts, letters

    def __len__(self) -> int:
        return len(self._pieces)

    def __iter__(self) -> Iterator[list[str]]:
        for piece in self._pieces:
            yield list(_words(piece, self._cuts, self._letters))


def _cuts(base: dict[str, int]) -> NDArray[np.int64]:
    """Tokens that begin a bar or a track."""
    return np.array([id_ for name, id_ in base.items() if name in ("Bar_None", "Track_Start")])


def _words(tokens: Tokens, cuts: NDArray[np.int64], letters: NDArray[np.str_]) -> Iterator[str]:
    """The characters of each bar as a word."""
    text = "".join(letters[tokens])
    begins = np.flatnonzero(np.isin(tokens, cuts)).tolist()
    for begin, end in pairwise((0, *begins, len(text))):
        if begin < end:
            yield text[begin:end]
