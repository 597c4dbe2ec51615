"""What a take of sound is to be, and what of it is refused before anything is done."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.audio import Audio
from engine.audio.grid import Cut, Grid
from engine.audio.refuse import check_format, check_prompt
from engine.errors import Code, SidemanError
from engine.models.audio import AudioModel, Cue, Sampling

PROMPT_SECONDS = 12
"""The longest prompt. A model that was trained on 30 s then has as much again, and half of it more,
before it has to look back anew; and more of a loop than six bars at 120 BPM says nothing new."""

MOST_SECONDS = 600
"""The longest take: 64 bars of 4/4 down to 26 BPM. Its sound lies in memory while it is made."""

MOST_CANDIDATES = 8
"""How many first bars are made side by side: more cost more than they find."""


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """One take of sound that is asked for."""

    past: Audio
    """What sounded before [frames, 1 or 2] at the grid's rate, to the line of ``bar``; with none of
    it the text decides alone."""
    grid: Grid
    """The session's rate, tempo and meters."""
    bar: int
    bars: int
    text: str = ""
    """What it should sound like, in words."""
    seed: int = 0
    candidates: int = 1
    """First bars to choose from; with one, nothing waits for a bar."""
    sampling: Sampling = field(default_factory=Sampling)
    following: Audio | None = None
    """What would sound after ``past``, such as a loop's own beginning."""
    live: bool = True
    """Whether it leaves while it is made. If not, a small error of its tempo is stretched away and
    its level is that of the whole."""

    @property
    def samples(self) -> int:
        """How long it is."""
        return self.grid.length(self.bar, self.bars)

    @property
    def cue(self) -> Cue:
        """What the model is told."""
        return Cue(text=self.text)

    @property
    def cut(self) -> Cut | None:
        """The last whole bars of the past, `PROMPT_SECONDS` at most; None where there is no past.

        Raises ``no-context`` where there is less than a beat of it.
        """
        if not len(self.past):
            return None
        first = self.grid.line(self.bar) - len(self.past)
        return self.grid.before(self.bar, PROMPT_SECONDS, first=first)

    @property
    def prompt(self) -> Audio:
        """The sound of `cut`."""
        cut = self.cut
        return self.past[len(self.past) - (cut.end - cut.first if cut else 0) :]


def check(wanted: Wanted, model: AudioModel) -> None:
    """Raise `SidemanError` for what cannot be made: nothing has been done then.

    ``no-context`` where there is nothing to go on from, ``bad-file`` for sound that is broken,
    ``bad-arguments`` for a text that the model cannot read or a take that is too long.
    """
    grid = wanted.grid
    check_format(grid.rate, wanted.past.shape[1])
    seconds = wanted.samples / grid.rate if wanted.bars > 0 else 0.0
    if not 0 < seconds <= MOST_SECONDS:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"{wanted.bars} bars at {float(grid.bpm):g} bpm last {seconds:.0f} s: "
            f"ask for 1 bar or more, and {MOST_SECONDS} s at most",
        )
    if not 1 <= wanted.candidates <= MOST_CANDIDATES:
        raise SidemanError(
            Code.BAD_ARGUMENTS, f"there are 1 to {MOST_CANDIDATES} candidates for a take"
        )
    model.check(wanted.cue)
    if len(wanted.past):
        check_prompt(wanted.prompt, grid)
    elif not wanted.text.strip():
        raise SidemanError(
            Code.NO_CONTEXT, "there is nothing to go on from: play or load sound, or give a prompt"
        )
    following = wanted.following
    if following is not None and (
        following.shape[1] != wanted.past.shape[1] or not np.isfinite(following).all()
    ):
        raise SidemanError(
            Code.BAD_FILE, "what follows the sound does not fit to it: export both again"
        )
