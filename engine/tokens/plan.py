"""What a take may hold: a value that the conductor fills in and the grammar obeys."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.errors import Code, SidemanError
from engine.music import COMMON_TIME, DRUMS, Meter, Note
from engine.tokens.conditions import NOTHING, Told


@dataclass(frozen=True, slots=True)
class ChordSpan:
    """A chord that holds from tick ``start`` to before tick ``end`` of its bar."""

    start: int
    end: int
    pitch_classes: frozenset[int]


@dataclass(frozen=True, slots=True)
class BarPlan:
    """One bar of a take."""

    meter: Meter = COMMON_TIME
    given: tuple[Note, ...] = ()
    """Notes of other tracks: the model hears them at their place; they are not part of the take."""
    chords: tuple[ChordSpan, ...] = ()
    """In order, without overlap. Where none holds, any pitch of key and range may sound."""
    told: Told = NOTHING
    """What the model is told of the bar before its first note, where it knows how to listen."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a take must obey. Raises ``bad-arguments`` where no note could obey it."""

    bars: tuple[BarPlan, ...]
    programs: tuple[int, ...]
    """Programs that the take is written for; drums are -1."""
    key: frozenset[int] | None = None
    """Pitch classes 0 to 11 that may sound; does not bind drums."""
    low: int = 0
    high: int = 127
    """Lowest and highest pitch; do not bind drums."""
    density: float | None = None
    """Notes per quarter note: each bar holds within a quarter of this, spread over the bar."""
    polyphony: int | None = None
    """How many notes of one program may sound at once."""
    chord_share: float = 0.8
    """Least share of chord tones among the pitched notes that begin where a chord holds."""
    longest_rest: int = 0
    """Bars of silence after which a program is called upon, at the take's start at once; 0: never.

    It begins where the model next goes to a position that has room for it: a strong hint, not a
    promise, so that it never stands against the other limits.
    """
    min_notes: int = 1
    """Notes that the first bar must hold (the next one, where it has no room); 0 allows silence."""
    reference: tuple[Note, ...] = ()
    """The notes that this take is a variation of; bars are counted from the take's first."""
    reference_strength: float = 2.0
    """Added to the logit of each token that would repeat the reference; 2 is 7 times as likely."""
    start: int = 0
    """Tick of the first bar before which nothing may begin (entering in the middle of a bar)."""
    opened: bool = False
    """The model has heard the first bar up to ``start`` already, its Bar and TimeSig included."""

    def __post_init__(self) -> None:
        if not self.bars:
            raise _bad("a take needs at least one bar")
        if not self.programs:
            raise _bad("a take needs at least one program")
        if not all(DRUMS <= program <= 127 for program in self.programs):
            raise _bad("programs are 0 to 127, or -1 for drums")
        if not 0 <= self.low <= self.high <= 127:
            raise _bad(f"the range must be low to high within 0 to 127, not {self.low}-{self.high}")
        if self.density is not None and not (math.isfinite(self.density) and self.density > 0):
            raise _bad(f"density is a number of notes per beat above 0, not {self.density}")
        if self.polyphony is not None and self.polyphony < 1:
            raise _bad(f"polyphony is at least 1, not {self.polyphony}")
        if not 0 <= self.chord_share <= 1:
            raise _bad(f"the share of chord tones is 0 to 1, not {self.chord_share}")
        if self.longest_rest < 0:
            raise _bad(f"the longest rest is 0 bars or more, not {self.longest_rest}")
        if self.min_notes < 0:
            raise _bad(f"the least number of notes is 0 or more, not {self.min_notes}")
        if not math.isfinite(self.reference_strength):
            raise _bad("the strength of the reference is a finite number")
        if not 0 <= self.start < self.bars[0].meter.ticks:
            raise _bad("the start lies outside the first bar")
        if self.pitched:
            self.check_pitches(self.low, self.high)

    @property
    def pitched(self) -> bool:
        """Whether anything but drums is to be written."""
        return any(program != DRUMS for program in self.programs)

    def check_pitches(self, low: int, high: int) -> None:
        """Raise where no pitch from ``low`` to ``high`` is in key, or a chord has no tone there."""
        low, high = max(low, self.low), min(high, self.high)
        classes = frozenset(pitch % 12 for pitch in range(low, high + 1))
        if self.key is not None:
            classes &= self.key
        if not classes:
            raise _bad(f"no pitch of the key lies in {low}-{high}: widen the range or drop the key")
        for number, bar in enumerate(self.bars, 1):
            for chord in bar.chords:
                if not classes & chord.pitch_classes:
                    raise _bad(
                        f"no tone of the chord in bar {number} of the take lies in the key and in"
                        f" {low}-{high}: widen the range, drop the key or change the chord"
                    )


def _bad(text: str) -> SidemanError:
    return SidemanError(Code.BAD_ARGUMENTS, text)
