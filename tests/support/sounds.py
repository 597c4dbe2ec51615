"""Sounds whose level, tempo and place are known."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio import Audio


def sine(
    hertz: float, seconds: float, rate: int = 48_000, level: float = 0.0, channels: int = 2
) -> Audio:
    """A sine with peaks at ``level`` dBFS, the same in all channels."""
    wave = np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat((10 ** (level / 20) * wave)[:, None], channels, axis=1).astype(np.float32)


def noise(seconds: float, rate: int = 48_000, level: float = 0.1, seed: int = 0) -> Audio:
    random = np.random.default_rng(seed)
    return (random.standard_normal((round(seconds * rate), 2)) * level).astype(np.float32)


def hits(
    places: list[float], seconds: float, rate: int = 48_000, kind: str = "noise", seed: int = 0
) -> Audio:
    """Something struck at each of ``places`` (seconds), in ``seconds`` of sound."""
    random = np.random.default_rng(seed)
    time = np.arange(round(0.12 * rate)) / rate
    struck = {
        "click": np.where(time < 1e-4, 1.0, 0.0),
        "noise": random.standard_normal(len(time)) * np.exp(-time * 60) * 0.3,
        "kick": np.sin(2 * np.pi * (50 * time + 3.75 * (1 - np.exp(-40 * time))))
        * np.exp(-time * 15),
        "tone": np.sin(2 * np.pi * 440 * time) * 0.4,
    }[kind]
    struck = struck * np.minimum(1, (time[-1] - time) / 0.06)  # an abrupt end would be an onset
    sound = np.zeros(round(seconds * rate) + len(time))
    for place in places:
        first = round(place * rate)
        if 0 <= first < len(sound) - len(time):
            sound[first : first + len(time)] += struck
    stereo = sound[: round(seconds * rate), None] * [0.5, 0.4]
    return stereo.astype(np.float32)


@cache
def recorded_loops() -> dict[str, tuple[Audio, int]]:
    """The project's loops by name, each with its rate; skips the test where they are not."""
    data = Path(os.environ.get("SIDEMAN_DATA") or Path(__file__).parents[3] / "shared/data")
    files = sorted((data / "audio/loops").glob("loop_*.flac"))
    if not files:
        pytest.skip("needs the project's music data")
    return {
        file.stem.removeprefix("loop_"): soundfile.read(file, dtype="float32", always_2d=True)
        for file in files
    }
