"""One file made into clips, which are kept until the data set is complete.

The clips of a file lie in a folder named by the file's content. It is there whole or not at all, so
that any process may make it, and a stopped run goes on from what is there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from engine.audio import Audio
from training.sound.cutting import Cutting, cuts, sounding
from training.sound.dataset import RATE
from training.sound.hearing import UnusableError, hear
from training.sound.levels import SILENT, TARGETS, Level, decibels, levelled

RECORD = "record.json"
PART = ".part"


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to every file."""

    channels: int = 1
    level: Level = Level.PEAK
    target: float | None = None
    """dBFS or LUFS; None for what :data:`~training.sound.levels.TARGETS` says."""

    cutting: Cutting = field(default_factory=Cutting)

    @property
    def key(self) -> str:
        """Names what comes of these settings."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Cut:
    """One clip of a file."""

    file: str
    start: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Treated:
    """What came of a file."""

    sha256: str = ""
    """Of the file; empty where it could not even be read."""

    reason: str = ""
    """Why it gave nothing; empty where it gave clips."""

    rate: int = 0
    channels: int = 0
    silent: int = 0
    """Clips that were left out because they are silent."""

    clips: tuple[Cut, ...] = ()


def treat(path: Path, treatment: Treatment, kept: Path) -> Treated:
    """Make the clips of a file in ``kept / SHA-256``, unless they are there.

    Raises OSError where they cannot be written, and for nothing that is wrong with the file.
    """
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return Treated(reason=f"cannot be read: {error.strerror or error}")
    folder = kept / sha256
    if (folder / RECORD).is_file():
        return _recorded(folder)
    try:
        treated, sounds = _clips(path, sha256, treatment)
    except UnusableError as error:
        return Treated(sha256, str(error))
    _keep(folder, treated, sounds)
    return treated


def clear_parts(kept: Path) -> None:
    """Remove what killed processes have left unfinished."""
    for part in kept.glob(f"*{PART}"):
        shutil.rmtree(part, ignore_errors=True)


def _clips(path: Path, sha256: str, treatment: Treatment) -> tuple[Treated, list[Audio]]:
    audio, rate, channels = hear(path, treatment.channels)
    if decibels(audio) < SILENT:
        raise UnusableError("is silent")
    cutting = treatment.cutting
    first, last = sounding(audio) if cutting.trim else (0, len(audio))
    audio = audio[first:last]
    target = TARGETS[treatment.level] if treatment.target is None else treatment.target
    audio = levelled(audio, treatment.level, target)
    places = cuts(len(audio), cutting)
    if not places:
        seconds = len(audio) / RATE
        raise UnusableError(f"lasts {seconds:.2f} s, less than {cutting.shortest:g}")
    heard = [(start, end) for start, end in places if decibels(audio[start:end]) >= SILENT]
    if not heard:
        raise UnusableError("is silent wherever a clip would be")
    made = tuple(
        Cut(f"{number:05d}.wav", (first + start) / RATE, (end - start) / RATE)
        for number, (start, end) in enumerate(heard, 1)
    )
    treated = Treated(sha256, "", rate, channels, len(places) - len(heard), made)
    return treated, [audio[start:end] for start, end in heard]


def _keep(folder: Path, treated: Treated, sounds: list[Audio]) -> None:
    part = folder.with_name(f"{folder.name}.{os.getpid()}{PART}")
    try:
        part.mkdir(parents=True)
        for clip, sound in zip(treated.clips, sounds, strict=True):
            (part / clip.file).write_bytes(wav(sound))
        (part / RECORD).write_text(json.dumps(asdict(treated)), encoding="utf-8")
        with suppress(OSError):  # another process has made the same
            os.rename(part, folder)
        if not (folder / RECORD).is_file():
            os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def wav(sound: Audio) -> bytes:
    """A WAV file of 16 bits; in memory, so that a full disk is told by the system's own error."""
    file = io.BytesIO()
    whole = np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    soundfile.write(file, whole, RATE, subtype="PCM_16", format="WAV")
    return file.getvalue()


def _recorded(folder: Path) -> Treated:
    table = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return Treated(**{**table, "clips": tuple(Cut(**clip) for clip in table["clips"])})
