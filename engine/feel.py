"""How far beside the grid a drummer plays, and takes that are played with the same feel.

The model writes on the grid of its vocabulary; people don't play there. What they played tells how
early or late they are at each place of the bar: a take's hits are moved as theirs were. Drums on
the grid move nothing. Pitched notes stay: what a take promises of them (voices, chords) holds on
the grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median_low

from engine.music import DRUMS, Meter, Note
from engine.tokens.encode import EDGE_HATS
from engine.tokens.vocabulary import Vocabulary
from engine.worker.wire import Wish

BARS = 16
"""Bars before a take that are asked how they were played."""

LATEST = 4
"""Hits at one place whose offsets the bars of a take go through."""

FEWEST = 3
"""Hits at the same place of any beat that speak for a place of the bar that was never hit."""

Offsets = Mapping[tuple[int, int], int]
"""By drum and position in the bar: ticks behind the position; below 0 is early."""


class Feel:
    """What was heard of the drums. One thread only."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._bars: dict[int, Offsets] = {}

    def hear(self, bar: int, meter: Meter, notes: Iterable[Note]) -> None:
        """A bar as it sounds now, in place of what was known of it."""
        grid = self._vocabulary.grid(meter)
        found: dict[tuple[int, int], int] = {}
        for note in notes:
            if note.program == DRUMS:
                position = grid.position(note.tick)
                found[_drum(note.pitch), position] = note.tick - position * grid.step
        self._bars[bar] = found
        if not any(found.values()):
            del self._bars[bar]

    def forget(self) -> None:
        """Know nothing."""
        self._bars.clear()

    @property
    def any(self) -> bool:
        """Whether anything was heard beside the grid."""
        return bool(self._bars)

    def play(self, note: Note, meter: Meter, end: int, earliest: int = 0) -> Note:
        """A note of a take that follows the bars before ``end``, as it was felt there.

        Its bar counts from the take's first; ``meter`` is the bar's, in which it stays, behind
        tick ``earliest``.
        """
        if note.program != DRUMS or not self._bars:
            return note
        past = [self._bars[bar] for bar in range(end - 1, end - 1 - BARS, -1) if bar in self._bars]
        position = self._vocabulary.grid(meter).position(note.tick)
        place = _drum(note.pitch), position
        here = [bar[place] for bar in past if place in bar][:LATEST]
        by = here[note.bar % len(here)] if here else self._in_any_beat(past, position)
        return replace(note, tick=min(max(note.tick + by, earliest), meter.ticks - 1))

    def _in_any_beat(self, past: Sequence[Offsets], position: int) -> int:
        """The offset of what was hit at the same place of any beat."""
        beat = self._vocabulary.resolution
        found = [
            offset
            for bar in past
            for (_, where), offset in bar.items()
            if where % beat == position % beat
        ]
        return median_low(found) if len(found) >= FEWEST else 0


class Performance:
    """One take as it is played: notes come on the grid, and go out in sounding order.

    Where hits are moved, what falls on one place of the grid waits for the next place.
    """

    def __init__(self, feel: Feel, wish: Wish) -> None:
        self._feel = feel
        self._wish = wish
        self._meters = [Meter(room.num, room.den) for room in wish.rooms]
        self._moves = feel.any and DRUMS in wish.programs
        self._place = (0, 0)
        self._held: list[Note] = []

    def take(self, note: Note) -> list[Note]:
        """The next note as the model wrote it; what is ready to sound."""
        if not self._moves:
            return [note]
        ready: list[Note] = []
        if (note.bar, note.tick) != self._place:
            ready, self._place = self.rest(), (note.bar, note.tick)
        earliest = 0 if note.bar else self._wish.start_tick
        meter = self._meters[note.bar]
        played = self._feel.play(note, meter, self._wish.context_end, earliest)
        left = sum(meter.ticks for meter in self._meters[note.bar :]) - played.tick
        self._held.append(replace(played, duration=min(played.duration, left)))
        return ready

    def rest(self) -> list[Note]:
        """What is still held: nothing more comes here."""
        ready, self._held = sorted(self._held), []
        return ready


def _drum(pitch: int) -> int:
    """The drum that a model knows a hit as."""
    return EDGE_HATS.get(pitch, pitch)
