"""The doors of a family that plays sound: sound in, frames of codes, sound out.

Beside `engine.models.base`, which is for notes. Whoever uses a model through these doors knows its
frames only by their number: what a code is, how many make a frame, and whether they lie on a GPU,
is the family's matter.

Nothing here imports a family's libraries. Threads: a loaded `AudioModel` may be shared; a stream or
a decoder belongs to one thread at a time, but for `AudioStream.cancel`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

from engine.audio import Audio
from engine.errors import Code, SidemanError

Codes: TypeAlias = Any
"""Some frames of one piece as its family has them: opaque, and never changed."""

Style: TypeAlias = Any
"""A manner of playing as its family has it, such as an embedding of a text or of a sound."""

FindAdapter: TypeAlias = Callable[[str], Path]
"""The folder of the adapter of a name. Raises ``unknown-model`` where there is none."""

FAMILIES = {"musicgen": "engine.models.musicgen.family"}
"""Family name → the module that holds its ``FAMILY``."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How codes are chosen. The defaults are audiocraft's."""

    temperature: float = 1.0
    """0 takes the most likely code, and what follows here does not matter."""

    top_k: int = 250
    """Most likely codes to choose among; 0 for all."""

    top_p: float = 1.0
    """Of these, the most likely that together have this much of the chance."""

    guidance: float = 3.0
    """How far to go from what is likely without the cue towards what is with it; 1 is there."""

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and self.top_k >= 0 and 0 < self.top_p <= 1):
            raise ValueError("temperature and top_k are at least 0, and top_p is in (0, 1]")
        if not 0 <= self.guidance <= 100:
            raise ValueError("guidance is 0 to 100")

    @property
    def greedy(self) -> bool:
        """Whether nothing is left to chance."""
        return self.temperature == 0


@dataclass(frozen=True, slots=True)
class Cue:
    """What a sequence is told; it may be told something else at any frame."""

    text: str = ""
    """What it should sound like, in words."""

    styles: tuple[tuple[Style, float], ...] = ()
    """Manners of `AudioModel.style`, and how much each counts."""

    notes: frozenset[int] = frozenset()
    """MIDI pitches that sound now."""

    drums: bool | None = None
    """Whether drums play; None where the model may choose."""


class AudioStream(Protocol):
    """B sequences that are made side by side, frame by frame."""

    @property
    def batch(self) -> int:
        """Sequences, B."""
        ...

    @property
    def remaining(self) -> int:
        """Frames that can be made before `reprime` has to make room."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory that it takes beside the model, in bytes."""
        ...

    def prime(self, codes: Sequence[Codes] | None, cues: Sequence[Cue]) -> None:
        """Begin anew after ``codes``, B pieces equally long, or after nothing.

        Raises ``bad-arguments`` as `AudioModel.check` does; then the stream is as it was.
        """
        ...

    def reprime(self, frames: int) -> None:
        """Forget all but the last ``frames`` frames, where that makes room for more."""
        ...

    def step(self) -> list[Codes]:
        """Make one frame of each sequence. Raises ``cancelled`` once `cancel` was called."""
        ...

    def set_prompt(self, cues: Sequence[Cue]) -> None:
        """Have the sequences told something else, from the next frame on."""
        ...

    def snapshot(self) -> Any:
        """An independent copy of its state, that knows its ``nbytes``."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot of its own, bit by bit."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these of the sequences only, in this order."""
        ...

    def cancel(self) -> None:
        """Have `step` raise ``cancelled`` until it is primed again; any thread may call it."""
        ...


class AudioDecoder(Protocol):
    """One piece on its way from codes to sound, chunk by chunk.

    Chunks put together are the whole decode, up to the rounding of floats.
    """

    def prime(self, codes: Codes) -> None:
        """Hear what comes before, which is not given back; only at the beginning."""
        ...

    def fork(self) -> AudioDecoder:
        """Another, for a piece that has been the same so far."""
        ...

    def push(self, codes: Sequence[Codes]) -> Audio:
        """The sound [n, channels] that more frames make certain; there may be none."""
        ...

    def flush(self) -> Audio:
        """The sound of the frames held back, as at the end of a piece."""
        ...


class AudioModel(Protocol):
    """A loaded model. Its weights change only by `adapt`."""

    @property
    def name(self) -> str:
        """Its name, as takes and adapters know it."""
        ...

    @property
    def licence(self) -> str:
        """The licence of its weights; empty where nobody says."""
        ...

    @property
    def sample_rate(self) -> int:
        """Samples in a second of its sound."""
        ...

    @property
    def channels(self) -> int:
        """1 or 2."""
        ...

    @property
    def hop(self) -> int:
        """Samples in a frame."""
        ...

    @property
    def frame_rate(self) -> Fraction:
        """Frames in a second; exact."""
        ...

    @property
    def lookahead(self) -> int:
        """Frames that have to follow a frame before its sound is certain."""
        ...

    @property
    def trained_frames(self) -> int | None:
        """How long the pieces were that it learned from: a stream has room for so much.

        None for a model that lets go of its past by itself, and so has room without end.
        """
        ...

    @property
    def hears(self) -> frozenset[str]:
        """The fields of `Cue` that change what it plays."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory that it holds, in bytes, without its streams."""
        ...

    @property
    def adapters(self) -> Mapping[str, float]:
        """How much each adapter counts that does."""
        ...

    def adapt(self, strengths: Mapping[str, float]) -> None:
        """Have these adapters count so much, and no others; streams go on with them at once.

        An adapter that is not in memory is loaded. Raises ``unknown-model``, ``not-allowed``,
        ``bad-arguments`` or ``bad-file``, and then all counts as before.
        """
        ...

    def check(self, cue: Cue) -> None:
        """Raise ``bad-arguments`` for a cue that it cannot read or does not hear."""
        ...

    def style(self, of: str | Audio) -> Style:
        """The manner of a text, or of a sound [frames, channels] at its own rate.

        Raises ``bad-arguments`` where it knows of no styles.
        """
        ...

    def encode(self, audio: Audio, right: Audio | None = None) -> Codes:
        """The codes of ``audio`` [T * hop, 1 or its channels], T frames.

        ``right`` is what sounds after it: without it the last frames' codes are a guess.
        """
        ...

    def decoder(self) -> AudioDecoder:
        """From codes to sound, for one piece."""
        ...

    def open(
        self, batch: int, *, frames: int, sampling: Sampling, seeds: Sequence[int]
    ) -> AudioStream:
        """A stream of ``batch`` sequences, each with its seed, and room for so many ``frames``.

        What came before counts among them.
        """
        ...

    def free(self) -> None:
        """Let go of the memory that was kept to open streams quickly."""
        ...


class AudioFamily(Protocol):
    """What a folder under ``engine/models`` gives that plays sound."""

    @property
    def name(self) -> str:
        """The family's name."""
        ...

    def load(
        self,
        folder: Path,
        *,
        device: str = "cpu",
        precision: str = "auto",
        find_adapter: FindAdapter | None = None,
    ) -> AudioModel:
        """Load a model folder. Raises ``bad-file``, ``unknown-model`` or ``bad-arguments``."""
        ...


def family(name: str) -> AudioFamily:
    """The family of that name, imported when first asked for. Raises ``unknown-model``."""
    if name not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise SidemanError(
            Code.UNKNOWN_MODEL, f"no family of sound is called {name[:40]!r}; there is {known}"
        )
    return cast(AudioFamily, import_module(FAMILIES[name]).FAMILY)
