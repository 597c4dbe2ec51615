"""Small audio data sets that the tests play themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile

from training.sound.dataset import RATE

Row = dict[str, object]


def tone(frequency: float, seconds: float, seed: int) -> np.ndarray:
    """A note that is struck four times a second, and a little noise: mono float32."""
    at = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).normal(0, 0.01, len(at))
    struck = np.sin(2 * np.pi * frequency * at) * np.exp(-8 * (at % 0.25))
    return (0.4 * struck + noise).astype(np.float32)


def write_data(
    folder: Path,
    concepts: Mapping[str | None, float],
    clips: int = 4,
    held_out: int = 2,
    seconds: float = 1.0,
) -> Path:
    """A data set with so many clips of each concept, whose notes are of these frequencies."""
    (folder / "clips").mkdir(parents=True)
    rows: list[Row] = []
    for concept, frequency in concepts.items():
        for index in range(clips + held_out):
            name = f"clips/{len(rows) + 1:06d}.wav"
            sound = tone(frequency * (1 + index / 200), seconds, len(rows))
            soundfile.write(folder / name, sound, RATE, subtype="FLOAT")
            row: Row = {
                "audio": name,
                "prompt": f"a tone of {concept}",
                "name": f"{concept} {index}",
                "seconds": seconds,
                "concept": concept,
                "licence": "CC0-1.0",
                "source": None,
                "split": "train" if index < clips else "held-out",
                "codes": None,
            }
            rows.append(row)
    (folder / "manifest.json").write_text(json.dumps(rows))
    table = {
        "format": 1, "rate": RATE, "channels": 1, "clips": len(rows),
        "seconds": seconds * len(rows), "seed": 0, "settings": {}, "codec": None,
    }  # fmt: skip
    (folder / "data.json").write_text(json.dumps(table))
    return folder
