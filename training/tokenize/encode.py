"""One file's bytes to its tokens: a pure function, so that it may run anywhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.tokenize.clean import UnusableError, read
from training.tokenize.config import Cleaning, Vocabulary
from training.tokenize.remi import FastRemi
from training.tokenize.tokenizer import make_tokenizer

Tokens = NDArray[np.uint16]

FEWEST_NOTES = 8


@dataclass(frozen=True, slots=True)
class Encoded:
    """The music of one file. ``tokens`` are without BOS and EOS, and none is merged."""

    tokens: Tokens
    notes: int
    tune: bytes
    """A digest of onsets and intervals: equal for one tune in another key, by other instruments,
    or played louder."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a file is left out."""

    reason: str


Result = Encoded | Unusable


class Encoder:
    """Encodes files one by one."""

    def __init__(self, vocabulary: Vocabulary, cleaning: Cleaning) -> None:
        """Sizes of merged vocabularies are of no matter here."""
        self._cleaning = cleaning
        self._tokenizer = make_tokenizer(vocabulary)
        plain = vocabulary.algorithm == "REMI" and not (vocabulary.tempos or vocabulary.chords)
        self._fast = FastRemi(self._tokenizer) if plain else None
        self._heads = Heads(self._tokenizer.vocab)

    def encode(self, data: bytes) -> Result:
        """The music of a MIDI file's bytes, or why there is none."""
        try:
            tokens = self._ids(data).astype(np.uint16)
            notes = self._heads.notes(tokens)
            if notes < FEWEST_NOTES:
                raise UnusableError(f"only {notes} notes")
        except UnusableError as error:
            return Unusable(str(error))
        return Encoded(tokens, notes, self._heads.tune(tokens))

    def _ids(self, data: bytes) -> NDArray[np.int64]:
        score = read(data, self._cleaning)
        try:
            if self._fast is None:
                return np.asarray(self._tokenizer.encode(score).ids, dtype=np.int64)
            return self._fast.encode(self._tokenizer.preprocess_score(score))
        except Exception as error:  # miditok's kinds are not documented
            raise UnusableError(f"cannot be tokenized: {error!r}") from error


class Heads:
    """What the kinds of a vocabulary's tokens say about a piece."""

    def __init__(self, ids: dict[str, int]) -> None:
        """``ids`` are those of the unmerged tokens by their names."""
        size = max(ids.values()) + 1
        self._is_note = np.zeros(size, dtype=bool)
        self._code = np.full(size, -1, dtype=np.int32)
        self._pitch = np.zeros(size, dtype=np.int32)
        for name, id_ in ids.items():
            kind, _, value = name.partition("_")
            self._is_note[id_] = kind == "Velocity"
            if kind == "Pitch":
                self._pitch[id_] = int(value)
            elif kind in ("Bar", "Position", "PitchDrum"):
                self._code[id_] = id_

    def notes(self, tokens: Tokens) -> int:
        """How many notes there are."""
        return int(self._is_note[tokens].sum())

    def tune(self, tokens: Tokens) -> bytes:
        """See :attr:`Encoded.tune`."""
        pitches = self._pitch[tokens]
        pitched = pitches > 0
        codes = self._code[tokens]
        if pitched.any():
            codes[pitched] = -2 - (pitches[pitched] - pitches[pitched].min())
        return hashlib.sha256(codes[codes != -1].tobytes()).digest()


def digest(tokens: Tokens) -> str:
    """SHA-256 of a piece's tokens, which names its content."""
    return hashlib.sha256(tokens.tobytes()).hexdigest()
