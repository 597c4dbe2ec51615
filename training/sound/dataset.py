"""An audio data set: clips at 32 kHz with their prompts, and the codes of a model's codec.

``data.json`` says how it was made, ``manifest.json`` lists the clips, ``clips/`` holds their sound
and ``codes/`` what a codec makes of it. Importing this module imports neither torch nor
transformers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from engine.audio import Audio
from engine.errors import Code, SidemanError
from training.files import write_whole

if TYPE_CHECKING:
    from engine.models.musicgen.model import MusicGen

RATE = 32_000
"""Hz of every clip: what MusicGen's codec hears."""

DATA_JSON, MANIFEST_JSON, STATISTICS_JSON = "data.json", "manifest.json", "statistics.json"
CLIPS, CODES = "clips", "codes"
FORMAT = 1

TRAIN, HELD_OUT = "train", "held-out"

Told = Callable[[int, int], None]
"""Told how many are done, and of how many."""


@dataclass(frozen=True, slots=True)
class CodecInfo:
    """The codec that made a data set's codes."""

    model: str
    """Name of the model that it came with."""

    sha256: str
    """Of its weights: models of one family share their codec, and so their codes."""

    codebooks: int
    """K, of all channels."""

    card: int
    """Entries of a codebook."""

    frame_rate: int
    """Frames a second."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: where its sound is, and what is said of it."""

    folder: Path
    """Of the data set; ``audio`` and ``code_file`` lie in it."""

    audio: str
    prompt: str
    name: str
    seconds: float
    concept: str | None = None
    licence: str | None = None
    source: str | None = None
    """The file that it was cut from."""

    start: float = 0.0
    """Second of ``source`` where it begins."""

    split: str = TRAIN
    code_file: str | None = None

    def sound(self) -> Audio:
        """Float32 [frames, channels] at 32 kHz. Raises ``bad-file``, for another rate too."""
        path = self.folder / self.audio
        try:
            audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError) as error:
            raise SidemanError(Code.BAD_FILE, f"{path} cannot be read as sound: {error}") from error
        if rate != RATE:
            raise SidemanError(
                Code.BAD_FILE,
                f"{path} is at {rate} Hz, and the data set says {RATE}: "
                "make it anew with `sideman train audio-data`",
            )
        heard: Audio = audio
        return heard

    def codes(self) -> NDArray[np.int64]:
        """Its codes int64 [K, T]. Raises ``bad-file`` where it has none that can be read."""
        if self.code_file is None:
            raise SidemanError(
                Code.BAD_FILE,
                f"{self.folder} has no codes yet: name a model, "
                "`sideman train audio-data … --model NAME`",
            )
        path = self.folder / self.code_file
        try:
            with safe_open(path, framework="numpy") as file:
                codes = file.get_tensor("codes")
        except (SafetensorError, OSError) as error:
            raise SidemanError(Code.BAD_FILE, f"{path} cannot be read: {error}") from error
        if codes.ndim != 2 or codes.dtype != np.int16 or not codes.size or codes.min() < 0:
            raise SidemanError(Code.BAD_FILE, f"{path} holds no codes of one clip")
        result: NDArray[np.int64] = codes.astype(np.int64)
        return result


class Clips:
    """The clips of a data set, and what made them.

    ``clips`` are all of them in the manifest's order, ``codec`` is None before :meth:`encode`.
    """

    def __init__(
        self,
        folder: Path,
        clips: Sequence[Clip],
        table: Mapping[str, Any],
        codec: CodecInfo | None = None,
    ) -> None:
        """Use :meth:`open`."""
        self.folder = folder
        self.clips = list(clips)
        self.codec = codec
        self._table = dict(table)
        self.rate = RATE
        self.channels: int = table["channels"]
        self.seed: int = table.get("seed", 0)
        self.settings: dict[str, Any] = dict(table.get("settings", {}))

    @staticmethod
    def open(folder: Path | str) -> Clips:
        """Read what is said of the clips; their sound and codes stay on disk.

        Raises ``bad-file`` where it is no audio data set, or one of another rate.
        """
        folder = Path(folder)
        if not (folder / DATA_JSON).is_file():
            raise SidemanError(
                Code.BAD_FILE,
                f"{folder} is no audio data set: make one with `sideman train audio-data`",
            )
        table = _read(folder / DATA_JSON, dict)
        _check(table, folder / DATA_JSON)
        entries = _read(folder / MANIFEST_JSON, list)
        clips = [_clip(folder, entry, number) for number, entry in enumerate(entries, 1)]
        if not clips:
            raise SidemanError(Code.BAD_FILE, f"{folder / MANIFEST_JSON} lists no clips")
        codec = table.get("codec")
        try:
            return Clips(folder, clips, table, CodecInfo(**codec) if codec else None)
        except TypeError as error:
            raise _bad(folder / DATA_JSON, "its codec is not described in full") from error

    @property
    def train(self) -> list[Clip]:
        """Those to learn from."""
        return [clip for clip in self.clips if clip.split == TRAIN]

    @property
    def held_out(self) -> list[Clip]:
        """Those kept apart: no part of the same file is in :attr:`train`."""
        return [clip for clip in self.clips if clip.split == HELD_OUT]

    @property
    def concepts(self) -> list[str]:
        """The names of the concepts, in alphabetical order."""
        return sorted({clip.concept for clip in self.clips if clip.concept})

    @property
    def seconds(self) -> float:
        """How long all clips are together."""
        return sum(clip.seconds for clip in self.clips)

    def encode(self, model: MusicGen, progress: Told | None = None) -> int:
        """Make the codes of ``model``'s codec, those that are there already excepted.

        What a stopped process has made is kept. Returns how many clips were encoded; raises
        ``bad-file`` for sound that cannot be read, and where the disk is full.
        """
        from training.sound.codes import encode  # imports torch

        return encode(self, model, progress)

    def save(self) -> None:
        """Write the manifest, and then ``data.json``, each in one move."""
        entries = [entry(clip) for clip in self.clips]
        write_json(self.folder / MANIFEST_JSON, entries)
        codec = asdict(self.codec) if self.codec else None
        write_json(self.folder / DATA_JSON, {**self._table, "codec": codec})

    def forget_codes(self) -> None:
        """Say on disk that there are none, before others take their place."""
        self.codec = None
        self.clips = [replace(clip, code_file=None) for clip in self.clips]
        self.save()


def entry(clip: Clip) -> dict[str, Any]:
    """A clip's line of the manifest."""
    table = asdict(clip)
    table["codes"] = table.pop("code_file")
    del table["folder"]
    return table


def write_json(path: Path, value: object) -> None:
    """``value`` as JSON, a line for each of a list's items. Raises ``bad-file``."""
    if isinstance(value, list):
        lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in value)
        text = f"[\n{lines}\n]\n"
    else:
        text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    write_whole(path, text.encode(errors="replace"))


def _check(table: dict[str, Any], path: Path) -> None:
    if table.get("format") != FORMAT:
        raise _bad(path, f"its format is {table.get('format')!r}, and {FORMAT} is read here")
    if table.get("rate") != RATE:
        raise _bad(
            path,
            f"its rate is {table.get('rate')!r} Hz, and models of sound hear {RATE}: "
            "make the data anew with `sideman train audio-data`",
        )
    if table.get("channels") not in (1, 2):
        raise _bad(path, f"clips have 1 or 2 channels, not {table.get('channels')!r}")


_KINDS: dict[str, type | tuple[type, ...]] = {
    "audio": str,
    "prompt": str,
    "name": str,
    "seconds": (int, float),
    "concept": (str, type(None)),
    "licence": (str, type(None)),
    "source": (str, type(None)),
    "start": (int, float),
    "split": str,
    "codes": (str, type(None)),
}
"""What a line of the manifest may say; more is left to others."""


def _clip(folder: Path, line: Any, number: int) -> Clip:
    path = folder / MANIFEST_JSON
    if not isinstance(line, dict):
        raise _bad(path, f"clip {number} is no object")
    known = {key: value for key, value in line.items() if key in _KINDS}
    for key in ("audio", "prompt", "seconds"):
        if key not in known:
            raise _bad(path, f"clip {number} has no {key!r}")
    for key, value in known.items():
        if not isinstance(value, _KINDS[key]) or isinstance(value, bool):
            raise _bad(path, f"clip {number}: {key!r} cannot be {value!r}"[:200])
    if known.setdefault("split", TRAIN) not in (TRAIN, HELD_OUT):
        raise _bad(path, f"clip {number}: its split is {TRAIN!r} or {HELD_OUT!r}")
    known.setdefault("name", Path(known["audio"]).stem)
    code_file = known.pop("codes", None)
    return Clip(folder, code_file=code_file, **known)


def _read(path: Path, kind: type) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _bad(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _bad(path, f"is not JSON: {error}") from error
    if not isinstance(value, kind):
        raise _bad(path, f"holds no {'list' if kind is list else 'object'}")
    return value


def _bad(path: Path, text: str) -> SidemanError:
    return SidemanError(Code.BAD_FILE, f"{path}: {text}")
