"""The loop that makes takes: state, grammar and sampling become notes.

A :class:`Making` writes the variations of one wish side by side, a token each at every step, so
that the model's weights are read once for all of them. One thread only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.models.base import Stream
from engine.music import TICKS_PER_BEAT, Meter, Note
from engine.recall.memory import Memory
from engine.sampling import Curve, Sampler
from engine.tokens.conditions import Harmony, Told, scale_of
from engine.tokens.encode import encode_bar
from engine.tokens.grammar import Writer
from engine.tokens.header import ahead
from engine.tokens.plan import BarPlan, ChordSpan, Plan
from engine.tokens.vocabulary import Vocabulary
from engine.worker.wire import Room, Wish

RATED_TOKENS = 16
"""Tokens that one step reads at most where candidates are compared."""


def bar_plan(room: Room, wish: Wish) -> BarPlan:
    """A bar of a take as the grammar wants it."""
    meter = Meter(room.num, room.den)
    given = tuple(Note(*given) for given in room.given)
    return BarPlan(
        meter,
        given,
        tuple(
            ChordSpan(span.start, span.end, frozenset(span.pitch_classes))
            for span in room.chords
            if span.pitch_classes is not None
        ),
        Told(
            scale=None if wish.key is None else scale_of(wish.key),
            density=_density(wish, meter, given),
            cast=tuple({*wish.programs, *(note.program for note in given)}),
            chords=_harmony(room),
            others=given if wish.beforehand else (),
        ),
    )


def _density(wish: Wish, meter: Meter, given: Sequence[Note]) -> float | None:
    """Notes in a quarter note of all that will sound, where the wish says how many are its own."""
    if wish.density is None:
        return None
    return wish.density + len(given) * TICKS_PER_BEAT / meter.ticks


def _harmony(room: Room) -> tuple[Harmony, ...]:
    """The chords of a bar. Of what is free nothing is told: to a model no chord is a rest."""
    return tuple(
        Harmony(span.start, span.root, span.quality)
        for span in room.chords
        if span.pitch_classes is not None
    )


def plan_of(wish: Wish) -> Plan:
    """What the grammar must hold to. Raises ``bad-arguments`` where nothing could fulfil it."""
    return Plan(
        tuple(bar_plan(room, wish) for room in wish.rooms),
        tuple(wish.programs),
        key=None if wish.key is None else frozenset(wish.key),
        low=wish.low,
        high=wish.high,
        density=wish.density,
        polyphony=wish.polyphony,
        chord_share=wish.chord_share,
        longest_rest=wish.longest_rest,
        reference=tuple(Note(*note) for note in wish.reference),
        start=wish.start_tick,
    )


@dataclass(slots=True)
class Draft:
    """One sequence in the making. ``number`` is its variation, or its candidate's number."""

    number: int
    writer: Writer
    sampler: Sampler
    notes: list[Note] = field(default_factory=list)
    rating: float = 0.0
    """How well it leads to what follows: nats a token."""


@dataclass(slots=True)
class Step:
    """What one step brought: notes by variation, and variations that are complete."""

    notes: list[tuple[int, Note]] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)


class Making:
    """Takes of one wish, made step by step from the state that ``stream`` is in."""

    def __init__(
        self, vocabulary: Vocabulary, stream: Stream, wish: Wish, memory: Memory | None = None
    ) -> None:
        """``memory``, where the model has one, has followed what the stream was fed.

        Raises ``bad-arguments`` where the wish can't be fulfilled with this vocabulary.
        """
        plan = plan_of(wish)
        count = wish.variations * wish.candidates
        self._vocabulary = vocabulary
        self._wish = wish
        self._live = [
            Draft(number, Writer(vocabulary, plan), self._sampler(wish, number))
            for number in range(count)
        ]
        """What is not complete yet: a draft for each row of the stream, in order."""
        self._all = list(self._live)
        self._probe = stream.fork(1) if wish.candidates > 1 else None
        self._stream = self._led(stream).fork(count)
        self._logits = self._stream.logits
        self._recollection = None
        if memory is not None and wish.recall > 0:
            self._recollection = memory.recollect(wish)
        self._comparing = None if self._probe is None else self._compare(self._probe)
        self.tokens = 0

    def _led(self, stream: Stream) -> Stream:
        """The stream, told what a gap leads up to, where that is known and the model listens."""
        if not (self._wish.beforehand and self._wish.after and self._vocabulary.told):
            return stream
        told = stream.fork(1)
        for room in self._wish.after:
            notes = [Note(*given) for given in room.given]
            told.feed(ahead(self._vocabulary, Meter(room.num, room.den), notes))
        return told

    def _sampler(self, wish: Wish, variation: int) -> Sampler:
        return Sampler(
            wish.seed,
            wish.temperature,
            wish.top_p,
            wish.top_k,
            wish.repetition_penalty,
            wish.penalty_decay,
            wish.penalty_window,
            Curve(*wish.curve),
            variation=variation,
            penalised=self._vocabulary.pitch,
        )

    @property
    def done(self) -> bool:
        """Whether every variation is complete."""
        return not self._live and self._comparing is None

    def step(self) -> Step:
        """Write one token of each live draft; once all are written, compare them a little."""
        if not self._live and self._comparing is not None:
            return self._choose(self._comparing)
        out = Step()
        tokens, going, music = [], [], []
        forced = [draft.writer.forced() for draft in self._live]
        expected = iter(self._expected([row for row, token in enumerate(forced) if token is None]))
        for row, (draft, token) in enumerate(zip(self._live, forced, strict=True)):
            writer = draft.writer
            if token is None:
                token = draft.sampler.choose(next(expected), writer.allowed(), writer.bias())
            bar, told = writer.bar, writer.tells
            note = writer.accept(token)
            if note is not None:
                draft.notes.append(note)
                out.notes.append((draft.number, note))
            if writer.finished:
                out.finished.append(draft.number)
                continue
            if writer.bar != bar:
                draft.sampler.enter_bar(writer.bar)
            tokens.append(token)
            going.append(row)
            music.append(None if told else token)
        self.tokens += len(self._live)
        if out.finished:
            self._live = [self._live[row] for row in going]
            if going:
                self._stream.keep(going)
            if self._recollection is not None:
                self._recollection.keep(going)
        if going:
            # Before the model's step, which leaves the caches full of weights.
            if self._recollection is not None:
                self._recollection.accept(music)
            self._logits = self._stream.step(tokens)
        return out if self._comparing is None else Step()

    def _expected(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Logits of the music that comes next in some of the live drafts ``[B, V]``."""
        logits = self._logits[:, : len(self._vocabulary.music)]
        if self._recollection is not None and rows:
            return self._recollection.expect(logits, rows)
        return logits[rows] if len(rows) < len(logits) else logits

    # Infill: several candidates for each variation, and the one that leads best to what follows

    def _choose(self, comparing: Iterator[None]) -> Step:
        """Nothing until all candidates are rated; then the best of each variation, whole."""
        for _ in comparing:
            return Step()
        self._comparing = None
        out = Step()
        size = self._wish.candidates
        for variation in range(self._wish.variations):
            rivals = self._all[variation * size : (variation + 1) * size]
            best = max(rivals, key=lambda draft: draft.rating)
            out.notes += [(variation, note) for note in best.notes]
            out.finished.append(variation)
        return out

    def _compare(self, probe: Stream) -> Iterator[None]:
        """Rate each candidate by how likely the bars after the gap are behind it.

        Stops to draw breath every few tokens: cancelling must not have to wait for it.
        """
        after = [t for room in self._wish.after for t in self._room_tokens(room, ())]
        for draft in self._all if after else ():
            stream = probe.fork(1)
            tokens = self._tokens_of(draft.notes)
            for start in range(0, len(tokens), RATED_TOKENS):
                stream.feed(tokens[start : start + RATED_TOKENS])
                yield
            total = 0.0
            for i, token in enumerate(after, 1):
                logits = stream.logits[0].astype(np.float64)
                peak = logits.max()
                total += logits[token] - peak - float(np.log(np.exp(logits - peak).sum()))
                stream.step([token])
                if i % RATED_TOKENS == 0:
                    yield
            draft.rating = total / len(after)

    def _tokens_of(self, notes: Sequence[Note]) -> list[int]:
        tokens: list[int] = []
        for bar, room in enumerate(self._wish.rooms):
            tokens += self._room_tokens(room, [n for n in notes if n.bar == bar])
        return tokens

    def _room_tokens(self, room: Room, notes: Sequence[Note]) -> list[int]:
        heard = [*(Note(*given) for given in room.given), *notes]
        return encode_bar(self._vocabulary, Meter(room.num, room.den), heard)
