"""All that decides a run of textual inversion, and its way to JSON and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import Code, SidemanError
from training.schedule import DECAYS

MOST_TOKENS = 20
"""Vectors of a concept; more were not found to help (Szawerda's thesis, 5, 10 and 20)."""


@dataclass(frozen=True, slots=True)
class ConceptConfig:
    """A run. Raises ``bad-arguments`` for what contradicts itself."""

    data: Path
    run: Path
    base: Path
    """Folder of the model that the words are for."""

    concepts: tuple[str, ...] = ()
    """Those of the data that are learned; none for all. A data set without any is one concept."""

    tokens: int = MOST_TOKENS
    """Vectors of each, N."""

    init: str = ""
    """Begin with the vectors of this word, or with those of this concept folder; with nothing, the
    mean of all words."""

    noise: float = 0.1
    """Deviation of what is added to the beginning, so that the N differ."""

    seconds: float = 5.0
    """How long a piece of a clip is heard in a step."""

    examples: int = 100
    """Clips of each concept, at most."""

    batch: int = 10
    minutes: float | None = None
    epochs: float | None = None
    steps: int | None = None
    rate: float = 0.1
    rate_end: float = 0.05
    """The last learning rate as a part of ``rate``."""

    rate_decay: str = "cosine"
    warmup: int = 0
    shuffle: bool = True
    """Whether a concept's vectors come in any order, so that none hangs on its place."""

    orthogonality: float = 0.1
    """How much it counts that a concept's vectors are alike."""

    margin: float = 1.5
    """How far concepts should lie apart, of 2; 0 lets them be."""

    ema: float = 0.0
    """How much a step leaves of the vectors' running average, which becomes the concept; 0 takes
    the vectors as they are."""

    clip: float = 0.0
    """The greatest norm of a gradient; 0 for any."""

    patience: int = 20
    """It ends after so many epochs without a better held-out loss; 0 for never."""

    heldout: int = 20
    """Held-out clips of each concept that are looked at, at most."""

    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    """How the decoder is held: ``float32``, ``bfloat16``, ``float16`` or ``auto``."""

    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        if not 1 <= self.tokens <= MOST_TOKENS:
            raise _wrong(f"a concept has 1 to {MOST_TOKENS} tokens")
        if self.rate_decay not in DECAYS:
            raise _wrong(f"the rate decays by {' or '.join(DECAYS)}, not {self.rate_decay[:20]!r}")
        if not 0 <= self.margin <= 2:
            raise _wrong("concepts are 0 to 2 apart, so a margin is, too")
        if not 0 <= self.ema < 1:
            raise _wrong("a running average keeps 0 to less than 1 of what it was")
        if not 0 < self.seconds <= 30:
            raise _wrong("a step hears more than 0 and at most 30 seconds of a clip")

    def to_json(self) -> dict[str, Any]:
        """What ``run.json`` keeps of it."""
        table: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self, enc_hook=str))
        return {"kind": KIND, **table}

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> ConceptConfig:
        """From what :meth:`to_json` made. Raises ``bad-file`` for anything else."""
        if table.get("kind") != KIND:
            raise SidemanError(Code.BAD_FILE, "run.json: not a run that learns a concept")
        own = {name: value for name, value in table.items() if name != "kind"}
        try:
            return msgspec.convert(own, cls, dec_hook=lambda kind, value: kind(value))
        except (msgspec.ValidationError, TypeError) as error:
            raise SidemanError(Code.BAD_FILE, f"run.json: not a run's config: {error}") from error


KIND = "concept"
"""What ``run.json`` calls such a run."""


def _wrong(text: str) -> SidemanError:
    return SidemanError(Code.BAD_ARGUMENTS, text)
