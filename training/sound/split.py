"""Which files are held out: whole files, chosen by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def held_out(concepts: Mapping[str, str], share: float, seed: int) -> set[str]:
    """The hashes of the files that are kept apart, of a map of each file's hash to its concept.

    Each concept gives its share, at least one file of two or more, and never its last. Lots are
    drawn by content and seed alone, so neither names nor order matter.
    """
    if not share:
        return set()

    def lot(sha256: str) -> str:
        return hashlib.sha256(f"{seed} {sha256}".encode()).hexdigest()

    chosen: set[str] = set()
    for concept in set(concepts.values()):
        mine = sorted((each for each in concepts if concepts[each] == concept), key=lot)
        count = min(max(1, round(share * len(mine))), len(mine) - 1)
        chosen.update(mine[:count])
    return chosen
