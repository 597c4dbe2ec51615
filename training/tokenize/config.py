"""What is asked of the tokenizer, and what a data set says of each piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from training.recipes import Recipe

Algorithm = Literal["REMI", "MMM"]
Merging = Literal["BPE", "Unigram"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a token data set."""

    collection: str
    path: str
    sha256: str
    """Of its tokens before any merging, so that one piece under two names is one piece."""

    split: str
    """``train`` or ``heldout``."""

    start: int
    length: int
    notes: int


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Which tokens there are. The live engine plays what the defaults make, and nothing else."""

    algorithm: Algorithm = "REMI"
    tempos: bool = False
    chords: bool = False

    size: int | None = None
    """So many tokens, merged out of the basic ones by ``merging``; None leaves them as they are."""

    merging: Merging = "BPE"


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What of a file is used, and which files are not used at all."""

    classes: frozenset[int] | None = None
    """The instrument classes that are kept; None keeps all."""

    required: frozenset[int] = frozenset()
    """Classes that a file must hold, each of them, whether or not they are kept."""

    merge: bool = False
    """Play related classes by one instrument: synths, strings, guitar with bass, percussion."""

    length: float = 0.0
    """Beats, in quarter notes, that a file must last at least."""


@dataclass(frozen=True, slots=True)
class TokenizeConfig:
    """What :func:`training.tokenize.tokenize` reads and writes."""

    recipe: Recipe | None
    """None takes all of ``midis`` as one collection."""

    midis: Path
    """With a recipe, holds one folder of MIDI files for each of its collections. Without one: any
    folder of MIDI files, one file, a ``.txt`` list of files, or a data set in another layout."""

    output: Path
    seed: int = 0
    """Chooses which pieces are held out."""

    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    cleaning: Cleaning = field(default_factory=Cleaning)
    layout: str = "sideman"
    jobs: int | None = None
    """Processes that tokenize; 1 does the work in this one. None takes as many as pay."""

    ray: str | None = None
    """Address of a Ray cluster that tokenizes instead; ``local`` starts one here."""

    run_folder: Path | None = None
    """Where unfinished work is kept. None is ``output`` with ``.run`` at its end."""

    @property
    def work(self) -> Path:
        """The run folder."""
        return self.run_folder or self.output.with_name(f"{self.output.name}.run")
