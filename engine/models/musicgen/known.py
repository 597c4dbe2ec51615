"""MusicGens by name: those that are made on the spot, those on the hub, and what is not played."""

from __future__ import annotations

import re

TINY = {1: "musicgen-tiny-random", 2: "musicgen-stereo-tiny-random"}
"""Models of random weights, by their channels."""

OWNER = "facebook"
"""Who has published them on the hub."""

HUB = tuple(
    f"{OWNER}/musicgen-{name}"
    for name in (
        "small", "medium", "large", "stereo-small", "stereo-medium", "stereo-large",
    )
)  # fmt: skip
"""The models that were published, and that this family plays."""

LICENCE = "CC-BY-NC-4.0"
"""Of the published weights, and so of what was made from them, where it does not say its own."""

TINY_LICENCE = "Apache-2.0"

INSTEAD = "use musicgen-small, -medium, -large or their stereo models"

MELODY = (
    "is of the musicgen-melody family, which is not played: it hears its melody as a prefix that "
    f"takes a step of another shape; {INSTEAD}"
)
"""Why a model with a melody is refused."""

OTHERS = {
    "melodyflow": "is MelodyFlow, which makes sound by flow matching and not token by token",
    "melody": MELODY,
    "style": "is MusicGen-Style, which hears its style by an encoder that is not played",
    "magnet": "is MAGNeT, which fills in masked tokens and does not go on from left to right",
    "jasco": "is JASCO, which makes sound by flow matching and not token by token",
    "audiogen": "is AudioGen, which makes sounds and not music",
}
"""What is in the name of a published model that is not played, and why it is not."""


def refusal(repository: str) -> str | None:
    """Why a model of the hub is not played, where its name alone tells; None otherwise."""
    owner, _, name = repository.lower().partition("/")
    if owner != OWNER:
        return None
    return next((why for part, why in OTHERS.items() if part in name), None)


def on_the_hub(name: str) -> str | None:
    """The published model that a name of one here means: ``facebook/musicgen-small``."""
    return next((full for full in HUB if full.partition("/")[2] == name), None)


def local_name(repository: str) -> str:
    """What a model of the hub, or a folder, is called here: its last part, dots left out."""
    last = repository.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-")[:64] or "model"
