"""What is in a data set, in figures: ``statistics.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from training.sound.dataset import Clip
from training.sound.treating import Treated

UNKNOWN = "unknown"


def statistics(
    clips: Sequence[Clip],
    treated: Sequence[Treated],
    skipped: Sequence[Mapping[str, str]],
    size: int,
) -> dict[str, Any]:
    """Figures of the clips, of the files that they come from, and of those that gave none.

    ``size`` is that of the clips in bytes.
    """
    seconds = sorted(clip.seconds for clip in clips)
    prompts = Counter(clip.prompt for clip in clips)
    return {
        "clips": len(clips),
        "hours": round(sum(seconds) / 3600, 4),
        "bytes": size,
        "seconds": {
            "shortest": seconds[0],
            "median": seconds[len(seconds) // 2],
            "longest": seconds[-1],
        },
        "by_split": _by(clips, lambda clip: clip.split),
        "by_concept": _by(clips, lambda clip: clip.concept or UNKNOWN),
        "by_licence": _by(clips, lambda clip: clip.licence or UNKNOWN),
        "prompts": {
            "different": len(prompts),
            "longest": max(map(len, prompts)),
            "most_common": dict(prompts.most_common(10)),
        },
        "files": {
            "used": len(treated),
            "by_rate": _counted(each.rate for each in treated),
            "by_channels": _counted(each.channels for each in treated),
            "silent_clips_left_out": sum(each.silent for each in treated),
        },
        "skipped": list(skipped),
    }


def _by(clips: Iterable[Clip], name: Callable[[Clip], str]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for clip in clips:
        row = found.setdefault(name(clip), {"clips": 0, "seconds": 0.0})
        row["clips"] += 1
        row["seconds"] = round(row["seconds"] + clip.seconds, 3)
    return dict(sorted(found.items()))


def _counted(values: Iterable[int]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}
