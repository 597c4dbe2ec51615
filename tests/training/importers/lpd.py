"""Files of the Lakh Pianoroll Dataset, written as pypianoroll 0.5 and 1.0 wrote them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

TRACKS = (("Drums", 0), ("Piano", 0), ("Guitar", 24), ("Bass", 32), ("Strings", 48))


def roll(length: int, *notes: tuple[int, int, int, int]) -> np.ndarray:
    """A roll ``[length, 128]`` of (step, steps, pitch, velocity)."""
    made = np.zeros((length, 128), np.uint8)
    for at, steps, pitch, velocity in notes:
        made[at : at + steps, pitch] = velocity
    return made


def write_lpd(
    path: Path, rolls: list[np.ndarray], *, old: bool = False, info: dict[str, Any] | None = None
) -> Path:
    """Write the rolls as the tracks of LPD-5, in their order."""
    length = len(rolls[0])
    arrays: dict[str, np.ndarray] = {
        "tempo": np.full(length if old else (length, 1), 96.0),
        "downbeat": (np.arange(length) % 96 == 0).reshape(length if old else (length, 1)),
    }
    said: dict[str, Any] = {"beat_resolution" if old else "resolution": 24, "name": "TRAAAGR"}
    for i, dense in enumerate(rolls):
        columns = [np.flatnonzero(dense[:, pitch]) for pitch in range(128)]
        arrays |= {
            f"pianoroll_{i}_csc_data": np.concatenate(
                [dense[rows, pitch] for pitch, rows in enumerate(columns)]
            ),
            f"pianoroll_{i}_csc_indices": np.concatenate(columns).astype(np.int32),
            f"pianoroll_{i}_csc_indptr": np.cumsum([0, *map(len, columns)]).astype(np.int32),
            f"pianoroll_{i}_csc_shape": np.array(dense.shape),
        }
        name, program = TRACKS[i]
        said[str(i)] = {"program": program, "is_drum": not i, "name": name}
        if not old:
            said[str(i)]["type"] = "StandardTrack"
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("info.json", json.dumps(said if info is None else info))
    return path
