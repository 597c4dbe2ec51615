"""All that decides a run of ``sideman train audio``, and its way to JSON and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import Code, SidemanError
from training.schedule import DECAYS

KIND = "audio"
"""What ``run.json`` calls such a run."""

PRECISIONS = ("auto", "bf16", "fp16", "fp32")

TARGETS: dict[str, tuple[str, ...]] = {
    "attention": ("q_proj", "k_proj", "v_proj", "out_proj"),
    "muxit": ("fc1", "fc2", "out_proj"),
    "dreambooth": (
        "q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2",
        "enc_to_dec_proj", "lm_heads", "embed_tokens",
    ),
}  # fmt: skip
"""Presets: which of the network's matrices are corrected. Those of MuXiT's trainer and of
musicgen-dreamboothing, under transformers' names."""


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """A run. Raises ``bad-arguments`` for what contradicts itself."""

    data: Path
    """Folder of an audio data set."""

    run: Path
    base: Path
    """Folder of the model whose music is changed."""

    target: tuple[str, ...] = TARGETS["attention"]
    """Ends of the names of the matrices that are corrected."""

    rank: int = 16
    alpha: float = 32.0
    """Corrections count ``alpha / rank`` times."""

    dropout: float = 0.05
    """Of what goes into a correction; the base itself drops nothing."""

    batch: int = 4
    """Clips side by side in each process."""

    accumulate: int = 1
    """A step hears so many times ``batch`` clips, one batch after another."""

    seconds: float = 30.0
    """The most that is heard of a clip; of a longer one, each time another part."""

    minutes: float | None = None
    epochs: float | None = None
    steps: int | None = None
    rate: float = 2e-4
    rate_end: float = 0.05
    """The last learning rate as a part of ``rate``."""

    rate_decay: str = "cosine"
    warmup: int = 50
    betas: tuple[float, float] = (0.9, 0.95)
    decay: float = 1e-5
    """Weight decay."""

    clip: float = 1.0
    """The longest that a step's gradient may be."""

    condition_dropout: float = 0.1
    """How often a clip is heard without its prompt, for guidance to have a ground to stand on."""

    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    """``bf16``, ``fp16``, ``fp32``, or ``auto``, which is bf16 where the device is made for it."""

    recompute: bool = False
    """Gradient checkpointing: less memory, about a third more time."""

    stages: int = 1
    """Devices that the layers are spread over."""

    evaluations: int = 10
    """How often a run looks at its held-out loss before it ends."""

    look_every: int = 5
    """Steps that lie between two looks at least."""

    patience: int = 4
    """It ends early when that loss did not fall so many times; 0 for never."""

    heldout_clips: int = 64
    """Held-out clips that a look hears at most."""

    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        for name, least in (("rank", 1), ("batch", 1), ("accumulate", 1), ("stages", 1)):
            if getattr(self, name) < least:
                raise _wrong(f"{name} is {least} or more, not {getattr(self, name)}")
        for name in ("dropout", "condition_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise _wrong(f"{name.replace('_', ' ')} is from 0 up to 1, not 1 itself")
        for name in ("alpha", "seconds", "rate", "clip"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise _wrong(f"{name} is above 0, not {value}")
        if not self.target:
            raise _wrong(f"name what is trained: {', '.join(TARGETS)}, or names of matrices")
        if self.rate_decay not in DECAYS:
            raise _wrong(f"the rate decays by {' or '.join(DECAYS)}, not {self.rate_decay[:20]!r}")
        if self.precision not in PRECISIONS:
            raise _wrong(f"precision is one of {', '.join(PRECISIONS)}")

    def to_json(self) -> dict[str, Any]:
        """What ``run.json`` keeps of it."""
        table: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self, enc_hook=str))
        return {"kind": KIND, **table}

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> AudioConfig:
        """From what :meth:`to_json` made. Raises ``bad-file`` for anything else."""
        if table.get("kind") != KIND:
            raise SidemanError(
                Code.BAD_FILE, "run.json is not that of `sideman train audio`: go on with the "
                "command that began the run",
            )  # fmt: skip
        rest = {name: value for name, value in table.items() if name != "kind"}
        try:
            return msgspec.convert(rest, cls, dec_hook=lambda kind, value: kind(value))
        except (msgspec.ValidationError, TypeError) as error:
            raise SidemanError(Code.BAD_FILE, f"run.json: not a run's config: {error}") from error


def targets(text: str) -> tuple[str, ...]:
    """What ``--target`` means: a preset, or names with commas between them."""
    if text in TARGETS:
        return TARGETS[text]
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _wrong(text: str) -> SidemanError:
    return SidemanError(Code.BAD_ARGUMENTS, text)
