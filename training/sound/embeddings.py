"""Vectors of sound, by which sets of sounds are compared: what each kind hears, and its name.

The name goes wherever a number goes: a distance by one kind is never told as one by another.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from engine.audio import Audio
from engine.audio.spectrum import magnitudes
from engine.errors import Code, SidemanError

Vectors = NDArray[np.float64]


class Embedding(Protocol):
    """A kind of vectors."""

    @property
    def name(self) -> str:
        """What numbers made with it are called by."""
        ...

    @property
    def words(self) -> str:
        """What it hears, for a reader."""
        ...

    @property
    def width(self) -> int:
        """Numbers of a vector, D."""
        ...

    def embed(self, audio: Audio, rate: int) -> Vectors:
        """``[n, D]``, one vector for each stretch of a sound; none for less than a stretch."""
        ...


class Mel:
    """The level of 20 mel bands in each second, and how much it moves: nothing is learned in it.

    It hears timbre and loudness, a little of rhythm, and nothing of melody or style.
    """

    name = "mel"
    words = "means and deviations of 20 mel bands over each second; no network"
    bands = 20
    width = 2 * bands
    rate = 32_000
    window, hop = 1024, 320
    floor = 1e-5
    """Magnitude that counts as nothing: -100 dB."""

    def embed(self, audio: Audio, rate: int) -> Vectors:
        """``[seconds, 40]``."""
        levels = self.levels(audio, rate)
        frames = self.rate // self.hop
        # Windows begin inside a second; the last few of a sound's last second are not there.
        seconds = (len(levels) + self.window // self.hop) // frames
        parts = [levels[at * frames : (at + 1) * frames] for at in range(seconds)]
        vectors = [np.concatenate([part.mean(0), part.std(0)]) for part in parts]
        return np.array(vectors).reshape(-1, self.width)

    def levels(self, audio: Audio, rate: int) -> Vectors:
        """Levels in dB ``[frames, 20]``, a hundred frames a second; channels are mixed."""
        mono = audio.mean(axis=1, keepdims=True, dtype=np.float32)
        if rate != self.rate:
            mono = soxr.resample(mono, rate, self.rate, quality="VHQ").astype(np.float32)
        filters = _mel_filters(self.bands, self.window, self.rate)
        blocks = [
            np.sqrt((block.astype(np.float64) ** 2) @ filters.T)
            for block in magnitudes(mono, self.window, self.hop)
        ]
        found = np.concatenate([np.zeros((0, self.bands)), *blocks])
        return np.asarray(20 * np.log10(np.maximum(found, self.floor)))


class Clap:
    """CLAP (Wu et al., arXiv 2211.06687) from a folder that the user has: ten seconds a vector."""

    rate = 48_000
    seconds = 10

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load transformers' ``ClapModel`` from a folder; raises ``bad-file`` where there is none.

        Imports torch and transformers.
        """
        if not (folder / "config.json").is_file():
            raise SidemanError(
                Code.BAD_FILE,
                f"{folder} holds no CLAP in transformers' layout: it has no config.json",
            )
        from transformers import ClapFeatureExtractor, ClapModel

        from engine.models.musicgen.checkpoint import quiet

        kind: Any = ClapModel
        try:
            with quiet():
                model = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True)
                extract: Any = ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            line = str(error).strip().partition("\n")[0][:160]
            raise SidemanError(Code.BAD_FILE, f"{folder}: no CLAP can be loaded: {line}") from error
        self._model = model.eval().to(device)
        self._extract = extract
        self._device = device
        self.name = f"clap ({folder.name})"
        self.words = f"CLAP out of {folder.name}, a vector for every {self.seconds} seconds"
        self.width: int = model.config.projection_dim

    def embed(self, audio: Audio, rate: int) -> Vectors:
        """``[n, D]``; a sound shorter than ten seconds is one vector."""
        import torch

        mono = audio.mean(axis=1, dtype=np.float32)
        if rate != self.rate:
            mono = soxr.resample(mono, rate, self.rate, quality="VHQ").astype(np.float32)
        long = self.seconds * self.rate
        whole = max(1, len(mono) // long)
        pieces = [mono[at * long : (at + 1) * long] for at in range(whole)]
        told = self._extract(pieces, sampling_rate=self.rate, return_tensors="pt")
        with torch.inference_mode():
            found: Any = self._model.get_audio_features(
                **{name: value.to(self._device) for name, value in told.items()}
            )
        vectors = found if isinstance(found, torch.Tensor) else found.pooler_output
        return np.asarray(vectors.float().cpu().numpy(), np.float64)


@lru_cache(maxsize=4)
def _mel_filters(bands: int, window: int, rate: int) -> Vectors:
    """Triangles ``[bands, bins]`` of equal area, evenly spaced by mel: 2595 log10(1 + f / 700)."""
    hertz = np.fft.rfftfreq(window, 1 / rate)
    edges = _hertz(np.linspace(_mel(40.0), _mel(rate / 2), bands + 2))
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rise, fall = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    shape = np.maximum(0, np.minimum(rise, fall))
    return np.asarray(shape / np.maximum(shape.sum(1, keepdims=True), 1e-12))


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: Vectors) -> Vectors:
    return np.asarray(700 * (10 ** (mel / 2595) - 1))
