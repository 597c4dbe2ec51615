"""Simple players: what they play on with is made of the song's own bars."""

from __future__ import annotations

import random
from collections.abc import Sequence

from engine.music import Note
from training.measures import Bars, likeness_of_bars, picture


def repeat_last(past: Bars, bars: int) -> list[Sequence[Note]]:
    """The last ``bars`` bars once more; a shorter past goes round."""
    last = past[-bars:]
    return [last[i % len(last)] for i in range(bars)]


def markov_bars(past: Bars, bars: int, seed: int) -> list[Sequence[Note]]:
    """A walk over the song's bars: after a bar comes what came after one of its kind.

    A bar's kind is what it holds (onset, program and pitch of its notes). Each next bar is drawn
    from those that followed a bar of the present one's kind, as often as they did. Where the kind
    was never followed, as the last bar's may not have been, those most like it stand in for it.
    """
    if len(past) < 2:
        return repeat_last(past, bars)
    dice = random.Random(seed)
    pictures = [picture(bar) for bar in past]
    present = pictures[-1]
    walk = []
    for _ in range(bars):
        likeness = [likeness_of_bars(present, other) for other in pictures[:-1]]
        nearest = max(likeness)
        chosen = 1 + dice.choice([i for i, value in enumerate(likeness) if value == nearest])
        walk.append(past[chosen])
        present = pictures[chosen]
    return walk
