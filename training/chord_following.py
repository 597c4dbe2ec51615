"""Whether takes keep to the chords that they are given, beside how real music keeps to its own.

The chords are those that :mod:`training.chords` hears in what really follows a held-out piece's
cut; the model plays on from the same cut with them as the request's chart. The real share is kind
to real music, whose own notes the chords were heard in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from engine.chords import ChordSpan, parse
from engine.errors import Code, SidemanError
from engine.music import DRUMS, TICKS_PER_BEAT, Meter, MeterMap, Note
from training.chords import Tone, recognise
from training.data import TokenSet
from training.measures import Bars
from training.samples import Player, SampleConfig, cuts

WINDOW = 2 * TICKS_PER_BEAT


@dataclass(frozen=True, slots=True)
class Following:
    """Mean shares of chord tones among pitched notes, 0 to 1, over ``pieces`` held-out pieces."""

    pieces: int
    model: float
    real: float

    def figures(self) -> dict[str, Any]:
        """The numbers, rounded."""
        return {
            "pieces": self.pieces,
            "model": round(self.model, 3),
            "real": round(self.real, 3),
        }


def following(model: Path, data: TokenSet, collection: str, config: SampleConfig) -> Following:
    """Compare on the first pieces of a collection whose real continuation has chords.

    Raises `SidemanError` where the model can't be loaded, or no piece will do.
    """
    player = Player(model)
    shares: list[tuple[float, float]] = []
    for cut in islice(cuts(data, collection, config), config.pieces):
        meters = cut.meters[len(cut.past) :]
        chart = chart_of(cut.real, meters)
        spans = parse(chart, meters)
        real = share(cut.real, meters, spans)
        if real is None:
            continue
        take = player.play(cut, config.seed, chords=chart)
        made = share(take, meters, spans)
        if made is not None:
            shares.append((made, real))
    if not shares:
        raise SidemanError(Code.NO_CONTEXT, f"no held-out piece of {collection} has chords to play")
    return Following(len(shares), fmean(m for m, _ in shares), fmean(r for _, r in shares))


def chart_of(bars: Bars, meters: Sequence[Meter]) -> str:
    """The chords that some bars spell, by half notes from the first bar on, ``auto`` for none."""
    lines = MeterMap(enumerate(meters))
    end = lines.start(len(meters))
    tones = [Tone(lines.absolute(note.onset), note.duration, note.pitch) for note in _pitched(bars)]
    return "|".join(
        f"{'auto' if chord is None else chord.name}:{min(WINDOW, end - i * WINDOW)}t"
        for i, chord in enumerate(recognise(tones, end, WINDOW))
    )


def share(bars: Bars, meters: Sequence[Meter], spans: Sequence[ChordSpan]) -> float | None:
    """Share of chord tones among the pitched notes that begin where a chord holds, if any do."""
    lines = MeterMap(enumerate(meters))
    inside: list[bool] = []
    for note in _pitched(bars):
        tick = lines.absolute(note.onset)
        for span in spans:
            if span.start <= tick < span.end and span.chord is not None:
                inside.append(note.pitch % 12 in span.chord.pitch_classes)
    return fmean(inside) if inside else None


def _pitched(bars: Bars) -> Iterable[Note]:
    return (note for bar in bars for note in bar if note.program != DRUMS)
