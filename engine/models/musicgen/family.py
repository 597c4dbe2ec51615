"""MusicGen behind the doors of `engine.models.audio`. torch is imported when a folder is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.models.audio import AudioFamily, FindAdapter

if TYPE_CHECKING:
    from engine.models.musicgen.player import Player


class MusicGenFamily:
    """The `AudioFamily` of MusicGen."""

    name = "musicgen"

    def load(
        self,
        folder: Path,
        *,
        device: str = "cpu",
        precision: str = "auto",
        find_adapter: FindAdapter | None = None,
    ) -> Player:
        """Load a folder in transformers' layout or in audiocraft's.

        ``precision`` is ``float32``, ``bfloat16``, ``float16`` or ``auto``. Raises ``bad-file``,
        ``unknown-model`` or ``bad-arguments``.
        """
        from engine.models.musicgen.model import MusicGen
        from engine.models.musicgen.player import Player

        return Player(MusicGen.load(folder, device=device, precision=precision), find_adapter)


FAMILY: AudioFamily = MusicGenFamily()
