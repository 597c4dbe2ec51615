"""Audio files, read and written through libsndfile: ``.wav``, ``.flac`` and ``.mp3``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from bridge.files.atomic import replacing
from engine.errors import Code, SidemanError

Encoding = Literal["int16", "int24", "float"]
Audio = NDArray[np.float32]
"""Samples from -1 to 1, shaped [frames, channels]."""

MAX_SECONDS = 3600.0
MAX_RATE = 384_000
MAX_SAMPLES = 3600 * 48_000 * 2
"""Frames times channels that `read_audio` takes into memory."""
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

_SUBTYPES = MappingProxyType(
    {
        (".wav", "int16"): "PCM_16",
        (".wav", "int24"): "PCM_24",
        (".wav", "float"): "FLOAT",
        (".flac", "int16"): "PCM_16",
        (".flac", "int24"): "PCM_24",
        (".mp3", "int16"): "MPEG_LAYER_III",
    }
)
"""What libsndfile calls an encoding in a kind of file."""

SUFFIXES = tuple(dict.fromkeys(suffix for suffix, _ in _SUBTYPES))


class AudioWriter:
    """Takes audio block by block; made by `audio_writer`."""

    def __init__(self, file: soundfile.SoundFile) -> None:
        self._file = file
        self.frames = 0

    def write(self, block: Audio) -> None:
        """Appends a block [frames, channels]; integer files clip what lies beyond -1 and 1."""
        self._file.write(block)
        self.frames += len(block)


def check_output(
    path: str | os.PathLike[str], rate: int = 44_100, encoding: Encoding = "int16"
) -> None:
    """Raises `SidemanError` BAD_ARGUMENTS for a name, rate or encoding that cannot be written."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        named = f"'{suffix}'" if suffix else "a name without a suffix"
        raise SidemanError(
            Code.BAD_ARGUMENTS, f"{Path(path).name}: {named} is no audio format: use {known}"
        )
    if (suffix, encoding) not in _SUBTYPES:
        known = ", ".join(kind for other, kind in _SUBTYPES if other == suffix)
        raise SidemanError(
            Code.BAD_ARGUMENTS, f"{suffix} files hold no {encoding} samples: use {known}"
        )
    if suffix == ".mp3" and rate not in MP3_RATES:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"MP3 has no rate of {rate} Hz: use one of {', '.join(map(str, MP3_RATES))}",
        )


@contextmanager
def audio_writer(
    path: str | os.PathLike[str],
    rate: int = 44_100,
    channels: int = 2,
    encoding: Encoding = "int16",
    mp3_kbps: int = 192,
) -> Iterator[AudioWriter]:
    """A writer for blocks; the file is there, whole, when the block of code ends well.

    The suffix decides the format. Raises `SidemanError`: BAD_ARGUMENTS as `check_output`, BAD_FILE
    where the system or the encoder refuses.
    """
    check_output(path, rate, encoding)
    suffix = Path(path).suffix.lower()
    options: dict[str, object] = {}
    if suffix == ".mp3":
        options["bitrate_mode"] = "CONSTANT"
        options["compression_level"] = _mp3_level(mp3_kbps, rate)
    try:
        with (
            replacing(path) as temporary,
            soundfile.SoundFile(
                temporary,
                "w",
                rate,
                channels,
                _SUBTYPES[suffix, encoding],
                format=suffix[1:].upper(),
                **options,
            ) as file,
        ):
            yield AudioWriter(file)
    except soundfile.LibsndfileError as error:
        raise SidemanError(Code.BAD_FILE, f"cannot write {path}: {error.error_string}") from error


def write_audio(
    path: str | os.PathLike[str],
    samples: Audio,
    rate: int = 44_100,
    encoding: Encoding = "int16",
    mp3_kbps: int = 192,
) -> None:
    """Writes samples [frames, channels] or [frames]; the file has exactly as many frames."""
    block = samples[:, np.newaxis] if samples.ndim == 1 else samples
    with audio_writer(path, rate, block.shape[1], encoding, mp3_kbps) as writer:
        writer.write(block)


class Recorder:
    """Writes sound into a ``.wav`` of 24 bits while it is made.

    The file is as long as it is going to be from the beginning, silent where nothing was made yet,
    so that whoever plays it can open it at once.
    """

    def __init__(self, path: Path, total: int, rate: int, channels: int) -> None:
        """Makes the file, of ``total`` sample frames. Raises ``bad-file`` as `audio_writer`."""
        self._channels = channels
        silence = np.zeros((min(total, 65_536), channels), np.float32)
        with audio_writer(path, rate, channels, "int24") as writer:
            while writer.frames < total:
                writer.write(silence[: total - writer.frames])
        self._file = soundfile.SoundFile(path, "r+")

    def write(self, at: int, data: bytes) -> None:
        """Puts float32 samples, channels by turns, at sample frame ``at``."""
        self._file.seek(at)
        self._file.write(np.frombuffer(data, "<f4").reshape(-1, self._channels))
        self._file.flush()

    def close(self) -> None:
        """Ends."""
        self._file.close()


def read_audio(path: str | os.PathLike[str], max_seconds: float = MAX_SECONDS) -> tuple[Audio, int]:
    """Samples [frames, channels] and their rate in Hz, of any format that libsndfile reads.

    Raises `SidemanError` BAD_FILE for files that are no audio, empty, broken, or longer than
    ``max_seconds``, before memory goes into them.
    """
    path = Path(path)
    try:
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            if not 0 < rate <= MAX_RATE:
                raise _bad(path, f"has a rate of {rate} Hz, and at most {MAX_RATE} are read")
            if file.frames > max_seconds * rate:
                minutes = file.frames / rate / 60
                raise _bad(path, f"lasts {minutes:.1f} minutes, more than {max_seconds / 60:g}")
            if file.frames * file.channels > MAX_SAMPLES:
                raise _bad(path, f"has too many samples in its {file.channels} channels")
            # A header may promise more than there is, so memory grows with what is really read.
            blocks = list(file.blocks(min(rate, 65_536), dtype="float32", always_2d=True))
    except soundfile.LibsndfileError as error:
        raise _bad(path, f"cannot be read as audio: {error.error_string}") from error
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror or error}") from error
    if not any(map(len, blocks)):
        raise _bad(path, "holds no audio")
    return np.concatenate(blocks), rate


def _bad(path: Path, text: str) -> SidemanError:
    return SidemanError(Code.BAD_FILE, f"{path.name}: {text}")


def _mp3_level(kbps: int, rate: int) -> float:
    """libsndfile's compression level from 0 to 1 for a constant rate in kilobits a second.

    It maps the level linearly from the highest rate that the MPEG version of the sample rate has
    to the lowest, and LAME takes the nearest rate that exists.
    """
    low, high = (32, 320) if rate >= 32_000 else (8, 160) if rate >= 16_000 else (8, 64)
    return (high - min(max(kbps, low), high)) / (high - low)
