"""The contexts under which tokens are remembered, and how they are reckoned along a stream.

Written in the part of Python that numba compiles: `engine.recall.compiled` has the fast one.
Contexts are numbers of 62 bits; different ones are equal by chance once in far more songs than
there are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.tokens.vocabulary import Vocabulary

NAMES = (
    "run-4", "run-8", "run-16", "run-32",  # the last so many tokens
    "line",  # within an instrument: its last pitch, and what of the note is known
    "place",  # position in the bar, instrument, its last pitch, and what of the note is known
    "four",  # the bar among four, position, instrument, pitch, and the last note of all
    "eight",  # the bar among eight, position, instrument and pitch
)  # fmt: skip
"""What each column of contexts is. A model's gate names them, and knows no others."""

RUNS = (4, 8, 16, 32)
COUNT = len(NAMES)

KINDS = ("Bar", "TimeSig", "Position", "Program", "Pitch", "Velocity", "Duration")
"""Kinds of tokens, from 1; 0 is any other. Pitches of drums are pitches."""

KIND_COUNT = len(KINDS) + 1
BAR, POSITION, PROGRAM, PITCH, VELOCITY, DURATION = 1, 3, 4, 5, 6, 7

# What `state` holds: the last of each kind (-1 for none), then each program's last pitch.
AT_KIND, AT_POSITION, AT_PROGRAM, AT_PITCH, AT_VELOCITY, AT_BAR, AT_NOTE = range(7)
LAST_PITCHES = 7

MASK = (1 << 62) - 1
FACTOR = 0x2545F4914F6CDD1D
"""Multiplier of the running hash: odd, and its bits lie in no pattern (Vigna 2016, xorshift*)."""

Tokens = NDArray[np.int32]
Numbers = NDArray[np.int64]


def kinds_of(vocabulary: Vocabulary) -> Numbers:
    """The kind of each token ``[V]``."""
    known = {name: kind for kind, name in enumerate(KINDS, 1)} | {"PitchDrum": PITCH}
    return np.array([known.get(name, 0) for name in vocabulary.types], dtype=np.int64)


def beginning(vocabulary_size: int) -> Numbers:
    """The state before the first token."""
    state = np.full(LAST_PITCHES + vocabulary_size, -1, dtype=np.int64)
    state[AT_KIND] = 0
    return state


def walk(
    tokens: Tokens, first: int, last: int, kinds: Numbers, state: Numbers, contexts: Numbers
) -> None:
    """Reckon the contexts of the tokens from ``first`` to before ``last``, and of the one to come.

    ``contexts`` ``[N, COUNT]`` gets rows ``first`` to ``last``; ``state`` is that before the token
    ``first``, and becomes that before ``last``. Tokens before the first count as -1.
    """
    for i in range(first, last + 1):
        column = 0
        for run in RUNS:
            h = run
            for j in range(i - run, i):
                token = int(tokens[j]) if j >= 0 else -1
                h = (h * FACTOR + token + 2) & MASK
            contexts[i, column] = h
            column += 1
        kind, position = int(state[AT_KIND]), int(state[AT_POSITION])
        program, pitch = int(state[AT_PROGRAM]), int(state[AT_PITCH])
        velocity = int(state[AT_VELOCITY]) if kind == VELOCITY else -1
        before = int(state[LAST_PITCHES + program]) if program >= 0 else -1
        note = (101 * FACTOR + kind + 2) & MASK
        note = (note * FACTOR + program + 2) & MASK
        note = (note * FACTOR + pitch + 2) & MASK
        h = (note * FACTOR + before + 2) & MASK
        contexts[i, column] = (h * FACTOR + velocity + 2) & MASK
        h = (note * FACTOR + before + 3) & MASK
        contexts[i, column + 1] = (h * FACTOR + position + 1003) & MASK
        h = (note * FACTOR + int(state[AT_BAR]) % 4 + 5003) & MASK
        h = (h * FACTOR + position + 2) & MASK
        contexts[i, column + 2] = (h * FACTOR + int(state[AT_NOTE]) + 2) & MASK
        h = (note * FACTOR + int(state[AT_BAR]) % 8 + 7003) & MASK
        contexts[i, column + 3] = (h * FACTOR + position + 2) & MASK
        if i == last:
            break
        token = int(tokens[i])
        kind = int(kinds[token])
        state[AT_KIND] = kind
        if kind == BAR:
            state[AT_BAR] += 1
            state[AT_POSITION] = state[AT_PROGRAM] = state[AT_PITCH] = -1
        elif kind == POSITION:
            state[AT_POSITION] = token
            state[AT_PROGRAM] = state[AT_PITCH] = -1
        elif kind == PROGRAM:
            state[AT_PROGRAM] = token
            state[AT_PITCH] = -1
        elif kind == PITCH:
            state[AT_PITCH] = token
        elif kind == VELOCITY:
            state[AT_VELOCITY] = token
        elif kind == DURATION:
            if state[AT_PROGRAM] >= 0:
                state[LAST_PITCHES + state[AT_PROGRAM]] = state[AT_PITCH]
            state[AT_NOTE] = state[AT_PITCH]
