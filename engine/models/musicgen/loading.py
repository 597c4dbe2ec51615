"""Which layout a folder has, and its network where it will compute."""

from __future__ import annotations

from pathlib import Path

from engine.models.musicgen import audiocraft, weights
from engine.models.musicgen.checkpoint import Checkpoint, placed, quiet
from engine.models.musicgen.layout import CONFIG_JSON, weights_files


def load_checkpoint(folder: Path, *, device: str = "cpu", precision: str = "auto") -> Checkpoint:
    """Load a folder in whichever layout it has.

    Raises ``unknown-model`` where there is no MusicGen, or one of a family that is not played;
    ``bad-file`` for files that are damaged, lack tensors, have too many, or could run code.
    """
    weights_files(folder)
    load = weights.load if (folder / CONFIG_JSON).is_file() else audiocraft.load
    found = load(folder)
    with quiet():
        placed(found.network, folder, device, precision)
    return found
