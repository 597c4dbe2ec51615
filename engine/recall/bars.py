"""A bar as its notes: what of it makes it like another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.recall import contexts
from engine.recall.contexts import DURATION, PITCH, POSITION, PROGRAM, VELOCITY
from engine.tokens.vocabulary import Vocabulary


class Struck(NamedTuple):
    """A note in its bar. The first three are its place; notes stand in the order of these."""

    position: int
    """Token; so are pitch, velocity and duration."""
    program: int
    """Number; drums are -1."""
    pitch: int
    velocity: int
    duration: int

    @property
    def place(self) -> Place:
        """Where it stands, however loud and long it is."""
        return self[:3]


Place = tuple[int, int, int]
Picture = frozenset[Place]
"""Places of a bar's notes."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What the tokens of a stream mean."""

    kinds: Sequence[int]
    """The kind of each; see `engine.recall.contexts`."""
    programs: Mapping[int, int]
    """The program of each Program token."""
    program_ids: Mapping[int, int]
    bar: int
    positions: range
    resolution: int
    """Positions in a written beat."""

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Signs:
        """Those of a vocabulary."""
        return cls(
            contexts.kinds_of(vocabulary).tolist(),
            {token: program for program, token in vocabulary.program_ids.items()},
            vocabulary.program_ids,
            vocabulary.bar,
            vocabulary.position,
            vocabulary.resolution,
        )

    def beat_of(self, position: int) -> int:
        """The written beat of a Position token, from 0."""
        return (position - self.positions.start) // self.resolution

    def read(self, tokens: Sequence[int]) -> list[Struck]:
        """The notes of one bar."""
        position = program = pitch = velocity = -1
        found: list[Struck] = []
        for token in tokens:
            kind = self.kinds[token]
            if kind == POSITION:
                position = token
            elif kind == PROGRAM:
                program = self.programs[token]
            elif kind == PITCH:
                pitch = token
            elif kind == VELOCITY:
                velocity = token
            elif kind == DURATION:
                found.append(Struck(position, program, pitch, velocity, token))
        return found


def picture(notes: Sequence[Struck]) -> Picture:
    """The places of some notes."""
    return frozenset(note.place for note in notes)


def likeness(a: Picture, b: Picture) -> float:
    """The share of notes that two bars have in common, of all that they hold; 0 if both rest."""
    common = len(a & b)
    return common / (len(a) + len(b) - common) if common else 0.0
