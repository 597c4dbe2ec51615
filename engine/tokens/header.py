"""Conditions as tokens; see :mod:`engine.tokens.conditions`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.music import Meter, Note
from engine.tokens.conditions import (
    AHEAD,
    BACK,
    HEAR,
    KINDS,
    NO_CHORD,
    WRITE,
    Harmony,
    Told,
    density_name,
)
from engine.tokens.encode import encode_bar
from engine.tokens.vocabulary import Grid, Vocabulary


def header(vocabulary: Vocabulary, meter: Meter, told: Told) -> list[int]:
    """The tokens between a bar's TimeSig and its first note."""
    ids, grid = vocabulary.ids, vocabulary.grid(meter)
    tokens: list[int] = []
    if told.scale is not None:
        tokens.append(ids[f"Scale_{told.scale}"])
    if told.density is not None:
        tokens.append(ids[density_name(told.density)])
    tokens += [ids[f"Cast_{program}"] for program in sorted(told.cast)]
    tokens += _chords(vocabulary, grid, told.chords)
    if told.others:
        heard = encode_bar(vocabulary, meter, told.others)[2:]
        tokens += [ids[HEAR], *heard, ids[WRITE]]
    return tokens


def ahead(vocabulary: Vocabulary, meter: Meter, notes: Iterable[Note]) -> list[int]:
    """What a gap leads up to: the tokens before its first bar."""
    ids = vocabulary.ids
    return [ids[AHEAD], *encode_bar(vocabulary, meter, notes), ids[BACK]]


def _chords(vocabulary: Vocabulary, grid: Grid, chords: Sequence[Harmony]) -> list[int]:
    ids, tokens = vocabulary.ids, list[int]()
    for chord in chords:
        if position := grid.position(chord.tick):
            tokens.append(vocabulary.position[position])
        if chord.root is None:
            tokens.append(ids[f"Root_{NO_CHORD}"])
        else:
            tokens += [ids[f"Root_{chord.root}"], ids[f"Quality_{KINDS[chord.quality]}"]]
    return tokens
