"""Where the clips of a data set lie, so that the programs of others find them too."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Callable
from pathlib import Path

from training.files import write_whole
from training.sound.dataset import CLIPS, HELD_OUT, Clip, Clips, write_json
from training.sound.sources.thesis import CONCEPTS, LISTS

NO_CONCEPT = "music"
"""The thesis's layout has no clip without a concept."""

FOLDERS = {HELD_OUT: "valid"}
"""Names of the thesis for what is not to learn from."""


def sideman(number: int, clip: Clip) -> str:
    """The place of the clip ``number``, counted from 1."""
    return f"{CLIPS}/{number:06d}.wav"


def thesis(number: int, clip: Clip) -> str:
    """The same in the layout of the thesis, which names files by five random hexadecimal digits.

    Here they are the number, or more of them where there are more clips.
    """
    concept = re.sub(r"[^\w.-]+", "-", clip.concept or NO_CONCEPT)
    split = FOLDERS.get(clip.split, "train")
    return f"data/{split}/{concept}/audio/{number:05x}_music_p0.wav"


Placed = Callable[[int, Clip], str]

LAYOUTS: dict[str, Placed] = {"sideman": sideman, "thesis": thesis}


def write_thesis_lists(clips: Clips) -> None:
    """``metadata_train.json`` and its fellows, beside our own manifest. Raises ``bad-file``."""
    for name, split in LISTS.items():
        rows = [
            {
                "audio_path": clip.audio,
                "encoded_path": _encoded(clip),
                "concept": Path(clip.audio).parts[2],
                "track_id": str(uuid.uuid5(uuid.NAMESPACE_URL, clip.source or clip.name)),
            }
            for clip in clips.clips
            if clip.split == split
        ]
        write_json(clips.folder / name, rows)
    concepts = {Path(clip.audio).parts[2] for clip in clips.clips}
    spelled = {each: re.sub(r"[_-]+", " ", each) for each in sorted(concepts)}
    write_json(clips.folder / CONCEPTS, spelled)


def write_thesis_codes(clips: Clips) -> None:
    """Each clip's codes, int64 [1, K, T], where the thesis has them. Imports torch."""
    import torch

    for clip in clips.clips:
        path = clips.folder / _encoded(clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = io.BytesIO()
        torch.save(torch.from_numpy(clip.codes())[None], file)
        write_whole(path, file.getvalue())


def _encoded(clip: Clip) -> str:
    return clip.audio.replace("/audio/", "/encoded/").removesuffix(".wav") + ".pt"
