"""Data sets whose codes are written by rule: music of which it is known what there is to learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from engine.models.musicgen.model import MusicGen
from tests.training.sound.sounds import write_data
from training.sound.dataset import Clips

STEPS = {"rising": 1, "leaping": 3}
"""How a style goes from one code to the next: each has eight codes in each codebook."""


def codes_of(style: str, frames: int, seed: int) -> NDArray[np.int16]:
    """Codes ``[4, T]`` that go round from anywhere, one in ten of them at random."""
    dice = np.random.default_rng(seed)
    lowest = 40 * (1 + list(STEPS).index(style))
    round_ = (dice.integers(8) + STEPS[style] * np.arange(frames)) % 8
    codes = np.stack([lowest + 100 * book + round_ for book in range(4)])
    astray = dice.random(codes.shape) < 0.1
    codes[astray] = dice.integers(512, size=int(astray.sum()))
    return codes.astype(np.int16)


def write_style(folder: Path, base: Path, style: str, *, clips: int = 8, held_out: int = 4) -> Path:
    """A data set of one style: its clips' codes, which ``base`` has made, are replaced."""
    write_data(folder, {style: 440.0}, clips=clips, held_out=held_out)
    data = Clips.open(folder)
    data.encode(MusicGen.load(base))
    for number, clip in enumerate(data.clips):
        path = folder / str(clip.code_file)
        with safe_open(path, framework="numpy") as file:
            told = file.metadata()
        frames = clip.codes().shape[1]
        save_file({"codes": codes_of(style, frames, number)}, path, metadata=told)
    return folder
