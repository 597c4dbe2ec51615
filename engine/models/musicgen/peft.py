"""What a PEFT folder says of itself, for lists of adapters; merging is `adapters`, with torch."""

from __future__ import annotations

from pathlib import Path

from engine.models.adapters import AdapterInfo, Entry
from engine.models.folder import FORMAT, Weights
from engine.models.musicgen import licence
from engine.models.musicgen.layout import FAMILY, read_config

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def is_one(folder: Path) -> bool:
    """Whether a folder is PEFT's."""
    return (folder / CONFIG).is_file()


def entry(folder: Path) -> Entry:
    """What is known about a PEFT folder. Raises ``bad-file``."""
    config = read_config(folder / CONFIG)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    info = AdapterInfo(
        format=FORMAT,
        name=folder.name,
        family=FAMILY,
        base=str(config.get("base_model_name_or_path") or "")[:100],
        base_sha256="",
        weights=Weights(WEIGHTS, ""),
        rank=rank if isinstance(rank, int) else 0,
        alpha=float(alpha) if isinstance(alpha, int | float) else 0.0,
        kind="audio",
        licence=licence.of_card(folder),
    )
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return Entry(folder.name, folder, info, size)
