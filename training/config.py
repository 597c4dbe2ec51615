"""All that decides a run, and its way to JSON and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import Code, SidemanError
from training.data import Augment
from training.schedule import DECAYS

RATES = {"scratch": 1.5e-3, "base": 3e-4, "lora": 2e-3, "state": 1e-2}
"""The highest learning rate, by what is trained, where none is given."""

PRECISIONS = ("auto", "bf16", "fp32")


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a new model but for its vocabulary, which comes from the data."""

    layers: int = 4
    embed: int = 256
    head: int = 64
    ffn: int = 1024
    decay_rank: int = 32
    iclr_rank: int = 32
    value_rank: int = 32
    gate_rank: int = 64


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A run. Raises ``bad-arguments`` for what contradicts itself."""

    data: Path
    run: Path
    base: Path | None = None
    """Folder of the model to begin with; None begins with noise."""

    rank: int = 0
    """Of low-rank corrections that are trained instead of the base's weights; 0 for none."""

    alpha: float = 32.0
    state: bool = False
    """Whether the state that sequences start with is trained."""

    shape: Shape = field(default_factory=Shape)
    lanes: int = 8
    """Sequences side by side in each process."""

    accumulate: int = 1
    """A step hears so many times ``lanes`` sequences, one batch after another."""

    ctx: int = 1024
    """Tokens through which gradients flow; the state reaches further back."""

    minutes: float | None = None
    epochs: float | None = None
    steps: int | None = None
    rate: float | None = None
    """None is `RATES`'s."""

    rate_end: float = 0.05
    """The last learning rate as a part of ``rate``."""

    rate_decay: str = "cosine"
    warmup: int = 100
    betas: tuple[float, float] = (0.9, 0.99)
    decay: float = 0.1
    """Weight decay of the matrices, where they themselves are trained."""

    clip: float = 1.0
    ema: float = 0.995
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    device: str = "auto"
    """``cuda``, ``cpu``, or ``auto``: cuda where there is one."""

    precision: str = "auto"
    """Of the layers: ``bf16``, ``fp32``, or ``auto``, which is bf16 where the device is fast at it.
    The recurrence is always fp32."""

    recompute: bool = False
    """Gradient checkpointing: less memory, about a third more time."""

    compile: bool | None = None
    """None compiles runs of half an hour and more: it takes minutes."""

    evaluations: int = 10
    """How often a run looks at its held-out loss before it ends."""

    look_every: int = 20
    """Steps that lie between two looks at least."""

    patience: int = 4
    """It ends early when that loss did not fall so many times; 0 for never."""

    checkpoint_minutes: float = 5.0
    heldout_tokens: int = 4096
    """Tokens of each held-out piece that the checks during training read."""

    heldout_pieces: int = 8
    """Held-out pieces of each collection that they read."""

    sample_bars: int = 4
    """Length of the samples that are written at each evaluation; 0 for none."""

    def __post_init__(self) -> None:
        if (self.rank or self.state) and self.base is None:
            raise _wrong("low-rank corrections and a learned state need a base model")
        if self.rate_decay not in DECAYS:
            raise _wrong(f"the rate decays by {' or '.join(DECAYS)}, not {self.rate_decay[:20]!r}")
        if self.precision not in PRECISIONS:
            raise _wrong(f"precision is one of {', '.join(PRECISIONS)}")
        if self.shape.embed % self.shape.head:
            raise _wrong(f"the width must be a multiple of {self.shape.head}")

    @property
    def mode(self) -> str:
        """What is trained: a key of `RATES`."""
        if self.rank:
            return "lora"
        if self.state:
            return "state"
        return "scratch" if self.base is None else "base"

    @property
    def adapts(self) -> bool:
        """Whether an adapter comes of it, and not a model."""
        return self.mode in ("lora", "state")

    @property
    def peak_rate(self) -> float:
        """The highest learning rate."""
        return RATES[self.mode] if self.rate is None else self.rate

    @property
    def compiles(self) -> bool:
        """Whether the network is compiled before the clock starts."""
        return (self.minutes or 0) >= 30 if self.compile is None else self.compile

    def to_json(self) -> dict[str, Any]:
        """What ``run.json`` keeps of it."""
        table: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self, enc_hook=str))
        return table

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> TrainConfig:
        """From what :meth:`to_json` made. Raises ``bad-file`` for anything else."""
        try:
            return msgspec.convert(table, cls, dec_hook=lambda kind, value: kind(value))
        except (msgspec.ValidationError, TypeError) as error:
            raise SidemanError(Code.BAD_FILE, f"run.json: not a run's config: {error}") from error


def _wrong(text: str) -> SidemanError:
    return SidemanError(Code.BAD_ARGUMENTS, text)
