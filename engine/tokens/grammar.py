"""The grammar of a take: which tokens may come next, so that only legal music can come out.

A :class:`Writer` walks one sequence in the order in which :mod:`engine.tokens.encode` writes:
positions go forward, and within a position notes ascend by program and pitch, so that no note comes
twice and every take ends. What its :class:`~engine.tokens.plan.Plan` asks for holds after each
token, and there always is a token to go on with: nothing has to be mended afterwards.

What may come next follows from a handful of numbers (the next position with room, the pitches above
the last one, the budget of the bar), and sets of tokens and pitches are numbers (see
:mod:`engine.tokens.menu`): this runs between any two steps of the model, with cold caches.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError
from engine.music import DRUMS, Note
from engine.tokens.bars import OpenBar, least_notes, limits, open_bar
from engine.tokens.encode import Written
from engine.tokens.header import header
from engine.tokens.menu import Menu, Pitches, Tokens, menu, span
from engine.tokens.plan import Plan
from engine.tokens.vocabulary import Ids, Vocabulary

Bias = tuple[Ids, NDArray[np.float32]]
"""Ids, and what to add to the logit of each."""

ENTRANCE = 20.0
"""Added to the logit of an instrument that has rested long enough: it is all but certain."""


class State(IntEnum):
    """What has to come next."""

    BAR = 0
    METER = 1
    TOLD = 8
    """What the bar is told, token by token; all of them are forced."""
    ONWARD = 2
    """Another note at this position, a later position, or the next bar."""
    PROGRAM = 3
    PITCH = 4
    VELOCITY = 5
    DURATION = 6
    END = 7


# Names of the module are found sooner than members of an enum.
BAR, METER, TOLD, ONWARD, PROGRAM = (
    State.BAR, State.METER, State.TOLD, State.ONWARD, State.PROGRAM
)  # fmt: skip
PITCH, VELOCITY, DURATION, END = State.PITCH, State.VELOCITY, State.DURATION, State.END


class Writer:
    """Writes one take, token by token. Not for use by two threads.

    Ask :meth:`forced` first: where it names a token, that one is next, and the model is not asked
    (but fed, as with all tokens). Otherwise choose one of :meth:`allowed`. Either goes to
    :meth:`accept`, which returns each note of the take as it is complete, in order of onset.

    The take is complete when :attr:`finished` is true: with the Bar token that opens the bar behind
    it, or already before that token, where only it could have followed.
    """

    __slots__ = (
        "_at",
        "_bar",
        "_begin",
        "_biased",
        "_chord_notes",
        "_chord_tones",
        "_coming",
        "_count",
        "_ends",
        "_finish",
        "_given",
        "_given_here",
        "_held",
        "_here",
        "_last",
        "_limits",
        "_menu",
        "_now",
        "_origins",
        "_pitch_id",
        "_plan",
        "_playing",
        "_pressing",
        "_program",
        "_programs",
        "_reference",
        "_resting",
        "_scale",
        "_state",
        "_tick",
        "_told",
        "_tones",
        "_total",
        "_velocities",
        "_velocity_id",
        "_vocabulary",
        "_zero",
        "bar",
        "finished",
    )

    def __init__(self, vocabulary: Vocabulary, plan: Plan) -> None:
        """Raises ``bad-arguments`` where this vocabulary has no way to obey the plan."""
        for program in plan.programs:
            if program not in vocabulary.program_ids:
                raise SidemanError(
                    Code.BAD_ARGUMENTS, f"the model knows no program {program}: choose another"
                )
        if plan.pitched:
            plan.check_pitches(vocabulary.lowest, vocabulary.lowest + len(vocabulary.pitch) - 1)
        self._vocabulary = vocabulary
        self._velocities = menu(span(vocabulary.velocity.start, vocabulary.velocity.stop))
        self._plan = plan
        self._limits = limits(plan)
        self._programs = tuple(sorted(set(plan.programs)))
        self._reference: dict[int, list[Note]] = {}
        if plan.reference_strength:
            for note in plan.reference:
                if note.program in self._programs:
                    self._reference.setdefault(note.bar, []).append(note)
        self._biased = bool(self._reference or plan.longest_rest)
        self._origins = [0]
        for bar in plan.bars:
            self._origins.append(self._origins[-1] + bar.meter.ticks)
        self._finish = self._origins[-1]

        self.bar = 0
        """The bar that is being written, counted from the take's first."""
        self.finished = False
        self._total = 0
        self._chord_notes = self._chord_tones = 0
        self._ends: dict[int, list[int]] = {program: [] for program in self._programs}
        self._resting = dict.fromkeys(self._programs, -plan.longest_rest * plan.bars[0].meter.ticks)
        """Since when each program is silent, in ticks from the take's start."""
        self._told: list[int] = []
        self._held: dict[int, dict[int, int]] = {}
        """When each pitch that a program has struck ends, in ticks from the take's start."""
        self._program = self._pitch_id = self._velocity_id = 0
        self._zero = 0
        """The token that pitch 0 of the program would be."""
        self._playing: Written | None = None
        self._coming: Written | None = None
        """The given note that comes next in the bar."""
        self._given_here: Written | None = None
        """The same, where it comes at this very position."""
        self._here: tuple[int, ...] = ()
        """Programs that may begin a note at this position."""
        self._begin: Tokens = 0
        """Their tokens."""
        self._pressing = False
        if plan.opened:
            self._enter()
            self._move(self._bar.first - 1)
            self._onward()
        else:
            self._state, self._menu = BAR, menu(1 << vocabulary.bar)

    def forced(self) -> int | None:
        """The token that must come next; None where there is a choice, or the take is finished."""
        return self._menu.only

    def allowed(self) -> Ids:
        """All ids that may come next, ``int32 [n]``, ascending, not to be written to.

        Empty only when the take is finished.
        """
        return self._menu.ids

    def bias(self) -> Bias | None:
        """What speaks for some of the next tokens: those that would repeat the reference.

        And the instrument that has rested long enough. The ids need not be allowed.
        """
        if self.finished or not self._biased:
            return None
        weights: dict[int, float] = {}
        if self._reference:
            weights = dict.fromkeys(self._hints(), self._plan.reference_strength)
        due = self._entrance() if self._plan.longest_rest else None
        if due is not None:
            weights[due] = weights.get(due, 0.0) + ENTRANCE
        if not weights:
            return None
        values = np.array(list(weights.values()), dtype=np.float32)
        return np.array(list(weights), dtype=np.int32), values

    def _entrance(self) -> int | None:
        """The Program token of the first instrument that may begin here and has rested enough.

        Only the first: programs ascend within a position, so a later one would shut it out.
        """
        if self._state not in (ONWARD, PROGRAM):
            return None
        longest = self._plan.longest_rest * self._plan.bars[self.bar].meter.ticks
        for program in self._here:
            if self._now - self._resting[program] >= longest:
                return self._vocabulary.program_ids[program]
        return None

    def accept(self, token: int) -> Note | None:
        """Take the next token; the note that it completes, unless that was a given one.

        The note's bar counts from the take's first. Raises ``ValueError`` for a token that is not
        allowed.
        """
        if not self._menu.tokens >> token & 1:
            raise ValueError(f"token {token} may not come next ({self._state.name})")
        state, vocabulary = self._state, self._vocabulary
        if state is PITCH:
            self._take_pitch(token)
        elif state is VELOCITY:
            self._velocity_id = token
            self._state, self._menu = DURATION, self._durations()
        elif state is DURATION:
            note = self._complete(token)
            self._onward()
            return note
        elif state is TOLD:
            self._tell()
        elif token in vocabulary.program:
            self._program = vocabulary.programs[token - vocabulary.program.start]
            self._state, self._menu = PITCH, self._pitches()
        elif token in vocabulary.position:
            self._move(token - vocabulary.position.start)
            self._state, self._menu = PROGRAM, self._openings()
        elif state is METER:
            told = self._plan.bars[self.bar].told
            meter = self._bar.grid.meter
            self._told = header(vocabulary, meter, told)[::-1] if vocabulary.told else []
            self._tell()
        elif state is BAR:
            self._enter()
            self._state, self._menu = METER, menu(1 << self._bar.grid.time_signature)
        elif self.bar + 1 == len(self._plan.bars):
            self._end()
        else:
            self.bar += 1
            self._enter()
            self._state, self._menu = METER, menu(1 << self._bar.grid.time_signature)
        return None

    @property
    def tells(self) -> bool:
        """Whether the next token is none of the music's, but what the bar is told."""
        return self._state is TOLD

    # What the state of the take is.

    def _tell(self) -> None:
        """Go on with what the bar is told, the last token of which stands first; then begin it."""
        if self._told:
            self._state, self._menu = TOLD, menu(1 << self._told.pop())
        else:
            self._onward()

    def _end(self) -> None:
        self.finished = True
        self._state, self._menu = END, menu(0)

    def _enter(self) -> None:
        """Open the bar ``self.bar``, before its first position."""
        owed = 0 if self._total else self._plan.min_notes
        self._bar: OpenBar = open_bar(
            self._vocabulary,
            self._plan,
            self.bar,
            self._limits,
            room=self._finish - self._origins[self.bar],
            owed=owed,
            reference=self._reference.get(self.bar, ()),
        )
        self._given = 0
        self._count = 0
        self._move(-1)

    def _move(self, position: int) -> None:
        """Go to a position of the bar; notes that have ended by then make room for others."""
        bar = self._bar
        self._at = position
        self._find_given()
        self._tick = tick = position * bar.grid.step
        self._now = now = self._origins[self.bar] + tick
        self._last = (DRUMS - 1, -1)
        self._scale, self._tones = bar.harmony(tick)
        if self._plan.polyphony is not None:
            for ends in self._ends.values():
                ends[:] = [end for end in ends if end > now]

    # Which tokens may come next.

    def _find_given(self) -> None:
        """Find the given note that comes next, and whether it does at this very position."""
        given = self._bar.given
        self._coming = coming = given[self._given] if self._given < len(given) else None
        self._given_here = coming if coming is not None and coming.position == self._at else None

    def _choices(self, program: int, given: Written | None) -> Pitches:
        """What a program may strike here, above its last note and below the given one.

        0 where that is nothing.
        """
        if program == DRUMS:
            choices = self._bar.drums
        elif self._tones is None:
            choices = self._scale
        else:
            # Another note must leave the share intact even if it is no chord tone.
            least = self._plan.chord_share * (self._chord_notes + 1)
            choices = self._scale if self._chord_tones >= least else self._tones
        if program == self._last[0]:
            above = self._last[1] + 1
            choices = choices >> above << above
        if given is not None and program == given.program:
            choices &= (1 << given.pitch) - 1
        return choices

    def _find_here(self) -> None:
        """Find the programs that may begin a note at this position, before the next given one.

        Also whether they are pressed to do so, since the bar would fall short of its least.
        """
        bar, budget = self._bar, self._bar.budget
        self._here = ()
        self._begin = 0
        self._pressing = False
        if not (bar.first <= self._at < bar.room and budget.open(self._count, self._tick)):
            return
        given = self._given_here
        polyphony = self._plan.polyphony
        last = self._last[0]
        here, program_ids = [], self._vocabulary.program_ids
        for program in self._programs:
            if program < last:
                continue
            if given is not None and program > given.program:
                break
            if polyphony is not None and len(self._ends[program]) >= polyphony:
                continue
            if self._choices(program, given):
                here.append(program)
                self._begin |= 1 << program_ids[program]
        self._here = tuple(here)
        if here and self._count < budget.least:
            self._pressing = bar.until(budget.latest(self._count)) <= self._at + 1

    def _openings(self) -> Menu:
        """Program tokens of the notes that may begin here."""
        self._find_here()
        given = self._given_here
        if given is not None and not self._pressing:
            return menu(self._begin | 1 << given.program_id)
        return menu(self._begin)

    def _onward(self) -> None:
        """After a complete note, or at the start of a bar."""
        if self._given_here is not None:
            self._state, self._menu = ONWARD, self._openings()
            return
        self._find_here()
        budget, vocabulary, here = self._bar.budget, self._vocabulary, self._here
        low = high = 0
        stop = None
        bar_line: int | None = None
        if not self._pressing:
            owing = self._count < budget.least
            given = self._coming
            low, high = self._reach(owing)
            if given is None:
                if not owing or (low >= high and not here):
                    bar_line = vocabulary.bar
            elif given.position < high or not owing or low >= high:
                high = max(low, min(high, given.position))
                stop = given.position
        if bar_line is not None and low >= high and not here:
            if self.bar + 1 == len(self._plan.bars):
                self._end()
            else:
                self._state, self._menu = ONWARD, menu(1 << bar_line)
            return
        tokens = self._begin | span(low, high) << vocabulary.position.start
        if stop is not None:
            tokens |= 1 << vocabulary.position[stop]
        if bar_line is not None:
            tokens |= 1 << bar_line
        self._state, self._menu = ONWARD, menu(tokens)

    def _reach(self, owing: bool) -> tuple[int, int]:
        """Positions, from and to before, that can hold the next note of the take."""
        bar, budget, count = self._bar, self._bar.budget, self._count
        low = max(self._at + 1, bar.first)
        if count >= budget.most:
            return low, low
        if budget.lead is not None:
            low = max(low, bar.position_from(budget.earliest(count)))
        if self._plan.polyphony is not None:
            free = min(map(self._free, self._programs)) - self._origins[self.bar]
            low = max(low, bar.position_from(free))
        high = bar.room
        if owing:
            high = min(high, max(low + 1, bar.until(budget.latest(count))))
        return low, max(low, high)

    def _free(self, program: int) -> int:
        """Ticks from the take's start at which a program has a voice free."""
        ends = self._ends[program]
        taken = len(ends) - (self._plan.polyphony or 0)
        return 0 if taken < 0 else sorted(ends)[taken]

    def _pitches(self) -> Menu:
        """Pitch tokens for the program just named."""
        program, given = self._program, self._given_here
        ids, lowest = self._vocabulary.pitches(program)
        self._zero = ids.start - lowest
        struck = given.pitch_id if given is not None and given.program == program else None
        if program not in self._here:
            assert struck is not None
            return menu(1 << struck)
        if self._pressing:
            struck = None
        silent = self._silent(self._choices(program, given))
        tokens = silent >> lowest << ids.start
        if struck is not None:
            tokens |= 1 << struck
        return menu(tokens)

    def _silent(self, choices: Pitches) -> Pitches:
        """The choices that do not sound already: a key that is down can't be struck.

        Where all of them sound they stay, and the new note ends the old one. Drums only ring.
        """
        held = self._held.get(self._program)
        if not held:
            return choices
        silent, now = choices, self._now
        for pitch, end in list(held.items()):
            if end > now:
                silent &= ~(1 << pitch)
            else:
                del held[pitch]
        return silent or choices

    def _durations(self) -> Menu:
        """Duration tokens that end inside the take, and leave a voice for the notes still due."""
        if self._playing is not None:
            return menu(1 << self._playing.duration_id)
        durations = self._bar.grid.durations
        begin, limit, polyphony = self._now, self._finish, self._plan.polyphony
        if polyphony is not None and len(ends := self._ends[self._program]) + 1 >= polyphony:
            due = self._due()
            if due is not None and not any(end <= due for end in ends):
                limit = max(min(limit, due), begin + durations[0])
        first = self._vocabulary.duration.start
        return menu(span(first, first + bisect_right(durations, limit - begin)))

    def _due(self) -> int | None:
        """Ticks from the take's start by which, after this note, the next must be able to begin."""
        count = self._count + 1
        budget = self._bar.budget
        if count < budget.least:
            last = self._bar.until(budget.latest(count)) - 1
            return self._origins[self.bar] + max(last, 0) * self._bar.grid.step
        following = self._plan.bars[self.bar + 1 : self.bar + 2]
        density = self._plan.density
        if not following or not least_notes(density, float(following[0].meter.beats)):
            return None
        # The first position of the next bar is early enough for any pace.
        return self._origins[self.bar + 1]

    # What tokens do.

    def _take_pitch(self, token: int) -> None:
        given = self._given_here
        self._pitch_id = token
        if given is not None and given.program == self._program and given.pitch_id == token:
            self._playing = given
            tokens = menu(1 << given.velocity_id)
        else:
            self._playing = None
            tokens = self._velocities
        self._state, self._menu = VELOCITY, tokens

    def _complete(self, token: int) -> Note | None:
        """A Duration token completes a note."""
        vocabulary, program = self._vocabulary, self._program
        pitch = self._pitch_id - self._zero
        self._last = (program, pitch)
        if self._playing is not None:
            self._playing = None
            self._given += 1
            self._find_given()
            return None
        duration = self._bar.grid.durations[token - vocabulary.duration.start]
        self._count += 1
        self._total += 1
        end = self._now + duration
        if self._plan.longest_rest:
            self._resting[program] = max(self._resting[program], end)
        if program != DRUMS:
            self._held.setdefault(program, {})[pitch] = end
        if self._plan.polyphony is not None:
            self._ends[program].append(end)
        if self._tones is not None and program != DRUMS:
            self._chord_notes += 1
            self._chord_tones += self._tones >> pitch & 1
        velocity = vocabulary.velocities[self._velocity_id - vocabulary.velocity.start]
        return Note(self.bar, self._tick, program, pitch, duration, velocity)

    def _hints(self) -> list[int]:
        """Ids that would repeat the reference."""
        vocabulary, state = self._vocabulary, self._state
        if state in (BAR, METER):
            return []
        here: Iterable[Written] = (
            note for note in self._bar.reference.get(self._at, ()) if note[1:3] > self._last
        )
        if state is PITCH:
            return [note.pitch_id for note in here if note.program == self._program]
        if state in (VELOCITY, DURATION):
            same = [
                note
                for note in here
                if note.program == self._program and note.pitch_id == self._pitch_id
            ]
            if state is VELOCITY:
                return [note.velocity_id for note in same]
            return [note.duration_id for note in same]
        programs = sorted({note.program_id for note in here})
        if programs or state is PROGRAM:
            return programs
        ahead = [position for position in self._bar.reference if position > self._at]
        return [vocabulary.position[min(ahead)] if ahead else vocabulary.bar]
