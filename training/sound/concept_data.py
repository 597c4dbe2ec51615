"""What a concept is learned from: pieces of clips, and sentences about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.errors import Code, SidemanError
from engine.models.musicgen.concepts import WORD
from training.sound import templates
from training.sound.concept_config import ConceptConfig
from training.sound.dataset import Clip, Clips
from training.sound.words import Tokens, Words


@dataclass(frozen=True, slots=True)
class Batch:
    """Some pieces, each with what is said of it."""

    codes: list[Tensor]
    """Int64 ``[K, T]`` each."""

    texts: list[Tokens]
    concepts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Material:
    """The clips of each concept, by the word that it will be."""

    train: Mapping[str, list[Clip]]
    held_out: Mapping[str, list[Clip]]

    @property
    def clips(self) -> list[tuple[str, Clip]]:
        """All that is learned from, with the concept of each."""
        return [(word, clip) for word, clips in self.train.items() for clip in clips]


def word_of(name: str) -> str:
    """A concept's name as it can stand in a prompt: ``deep house`` → ``deep-house``."""
    word = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-")[:64]
    if WORD.fullmatch(f"<{word}>") is None:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"a concept can't be called {name[:40]!r}: give --concept a name of letters and digits",
        )
    return word


def choose(clips: Clips, config: ConceptConfig) -> Material:
    """The clips that a run hears; the seed chooses where there are more than it wants.

    Raises ``bad-arguments`` for a concept that the data has not, ``bad-file`` where there is
    nothing to learn from.
    """
    known = clips.concepts
    wanted = list(config.concepts) or known
    if not known:  # all of it is one concept
        if len(wanted) != 1:
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"{clips.folder} names no concepts: say what it is with --concept NAME",
            )
        return _material(clips, {word_of(wanted[0]): None}, config)
    names: dict[str, str | None] = {}
    for name in wanted:
        if name not in known:
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"{clips.folder} has no concept {name[:40]!r}; it has {', '.join(known)[:200]}",
            )
        if (word := word_of(name)) in names:
            raise SidemanError(
                Code.BAD_ARGUMENTS, f"two concepts would both be called <{word}>: rename one"
            )
        names[word] = name
    return _material(clips, names, config)


def _material(clips: Clips, names: Mapping[str, str | None], config: ConceptConfig) -> Material:
    train, held_out = {}, {}
    for word, name in names.items():
        heard, kept = _parts(clips, name)
        if not heard:
            raise SidemanError(
                Code.BAD_FILE, f"{clips.folder} holds no clips of {word!r} to learn from"
            )
        train[word] = _some(heard, config.examples, config.seed)
        held_out[word] = _some(kept, config.heldout, config.seed)
    return Material(train, held_out)


def _parts(clips: Clips, concept: str | None) -> tuple[list[Clip], list[Clip]]:
    def of(part: list[Clip]) -> list[Clip]:
        return [clip for clip in part if concept is None or clip.concept == concept]

    return of(clips.train), of(clips.held_out)


def _some(clips: list[Clip], most: int, seed: int) -> list[Clip]:
    if len(clips) <= most:
        return clips
    chosen = np.random.default_rng(seed).choice(len(clips), most, replace=False)
    return [clips[index] for index in sorted(chosen)]


class Lessons:
    """Batches, each of which depends on the seed and its number alone: a run can begin anywhere."""

    def __init__(
        self, material: Material, words: Words, config: ConceptConfig, frame_rate: int
    ) -> None:
        self._clips = material.clips
        self._held_out = material.held_out
        self._config = config
        self._words = words
        self._frames = max(1, round(config.seconds * frame_rate))
        self._codes: dict[Path, Tensor] = {}

    @property
    def steps_of_epoch(self) -> int:
        """Batches in which each clip is heard once."""
        return -(-len(self._clips) // self._config.batch)

    def batch(self, step: int) -> Batch:
        """What step number ``step`` hears."""
        epoch, place = divmod(step, self.steps_of_epoch)
        order = np.random.default_rng([self._config.seed, 1, epoch]).permutation(len(self._clips))
        size = self._config.batch
        chosen = [self._clips[index] for index in order[place * size : (place + 1) * size]]
        random = np.random.default_rng([self._config.seed, 2, step])
        codes, texts = [], []
        for word, clip in chosen:
            template = templates.TRAIN[random.integers(len(templates.TRAIN))]
            tokens = self._words.tokens(template.format(f"<{word}>"))
            texts.append(self._words.shuffled(tokens, random) if self._config.shuffle else tokens)
            codes.append(self._piece(clip, random))
        return Batch(codes, texts, frozenset(word for word, _ in chosen))

    def held_out(self, plain: bool = False) -> Iterator[Batch]:
        """The same each time, in sentences that are never learned from.

        ``plain`` says a concept by its name in letters, as it could be said without learning.
        """
        random = np.random.default_rng([self._config.seed, 3])
        codes, texts = [], []
        for word, clips in self._held_out.items():
            said = re.sub(r"[-_.]+", " ", word) if plain else f"<{word}>"
            for index, clip in enumerate(clips):
                template = templates.HELD_OUT[index % len(templates.HELD_OUT)]
                texts.append(self._words.tokens(template.format(said)))
                codes.append(self._piece(clip, random))
        size = self._config.batch
        for start in range(0, len(codes), size):
            part = slice(start, start + size)
            yield Batch(codes[part], texts[part], frozenset())

    def _piece(self, clip: Clip, random: np.random.Generator) -> Tensor:
        """A piece from anywhere in a clip, as long as a step hears."""
        path = clip.folder / clip.audio
        if path not in self._codes:
            self._codes[path] = torch.from_numpy(clip.codes().astype(np.int16))
        codes = self._codes[path]
        spare = codes.shape[1] - self._frames
        start = int(random.integers(spare + 1)) if spare > 0 else 0
        return codes[:, start : start + self._frames].long()
