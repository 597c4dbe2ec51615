"""Which layout a folder has, and its network where it will compute."""

from __future__ import annotations

from pathlib import Path

from engine.errors import Code, SidemanError
from engine.models.musicgen import audiocraft, weights
from engine.models.musicgen.checkpoint import CONFIG_JSON, Checkpoint, placed, quiet


def load_checkpoint(folder: Path, *, device: str = "cpu", precision: str = "auto") -> Checkpoint:
    """Load a folder in whichever layout it has.

    Raises ``unknown-model`` where there is no MusicGen, or one of a family that is not played;
    ``bad-file`` for files that are damaged, lack tensors, have too many, or could run code.
    """
    if (folder / CONFIG_JSON).is_file():
        found = weights.load(folder)
    elif (folder / audiocraft.STATE_DICT).is_file():
        found = audiocraft.load(folder)
    elif raw := sorted(path.name for path in folder.glob("*.th")):
        raise SidemanError(
            Code.BAD_FILE,
            f"{raw[0][:60]} is a raw checkpoint of a training run, which holds objects that would "
            f"have to be unpickled: export it with audiocraft's export_lm to "
            f"{audiocraft.STATE_DICT}",
        )
    else:
        raise SidemanError(
            Code.UNKNOWN_MODEL,
            f"no MusicGen at {folder}: it has neither {CONFIG_JSON} nor {audiocraft.STATE_DICT}",
        )
    with quiet():
        placed(found.network, folder, device, precision)
    return found
