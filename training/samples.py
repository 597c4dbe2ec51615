"""Continue held-out pieces through the engine's own model, grammar and sampler, and measure it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine.models.base import Model
from engine.models.registry import load
from engine.music import Note
from engine.sampling import Sampler
from engine.tokens.encode import decode
from engine.tokens.grammar import Writer
from engine.tokens.plan import BarPlan, Plan
from engine.tokens.vocabulary import Vocabulary
from training.data import Tokens, TokenSet
from training.measures import Measures, measure
from training.tokenize import Piece

FEWEST_NOTES = 4
"""Notes a bar that context and real continuation must have, for a measure to mean something."""


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """What is continued, and how."""

    model: Path
    data: Path
    collection: str
    pieces: int = 8
    context_bars: int = 16
    bars: int = 8
    temperature: float = 1.0
    top_p: float = 0.95
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One continuation, and the music that really follows."""

    piece: Piece
    context: list[list[Note]]
    real: list[list[Note]]
    take: list[list[Note]]


def samples(config: SampleConfig) -> Iterator[Sample]:
    """Continue each of the first ``pieces`` held-out pieces that are long enough, from its middle.

    The take may use the programs of its context, as a session's presets have it.
    """
    data = TokenSet(config.data)
    vocabulary = Vocabulary.load(config.model)
    model = load(config.model)
    made = 0
    for piece in data.select("heldout", config.collection):
        cut = _cut(data, vocabulary, piece, config)
        if cut is None:
            continue
        context, real, heard = cut
        yield Sample(piece, context, real, _continue(model, vocabulary, heard, context, config))
        made += 1
        if made == config.pieces:
            return


def summary(config: SampleConfig) -> dict[str, dict[str, float]]:
    """Means of the measures over samples: of the model's takes, and of what really follows."""
    takes, reals = [], []
    for sample in samples(config):
        takes.append(measure(sample.context, sample.take))
        reals.append(measure(sample.context, sample.real))
    return {"model": _means(takes), "real": _means(reals)}


def _means(measures: list[Measures]) -> dict[str, float]:
    result: dict[str, float] = {"takes": len(measures)}
    columns: dict[str, list[float]] = {}
    for entry in measures:
        for name, value in asdict(entry).items():
            if value is not None:
                columns.setdefault(name, []).append(value)
    for name, values in columns.items():
        result[name] = round(statistics.fmean(values), 3)
        if name in ("density", "longest_run"):
            result[f"{name}_least"] = round(min(values), 3)
            result[f"{name}_most"] = round(max(values), 3)
    return result


def _cut(
    data: TokenSet, vocabulary: Vocabulary, piece: Piece, config: SampleConfig
) -> tuple[list[list[Note]], list[list[Note]], Tokens] | None:
    """Context, what really follows, and the tokens of all before the cut; None if too thin."""
    tokens = data.tokens(piece)
    lines = np.flatnonzero(data.vocabulary.is_bar[tokens])
    middle = max(len(lines) // 2, config.context_bars)
    if middle + config.bars > len(lines):
        return None
    whole = _by_bar(decode(vocabulary, tokens.tolist()), len(lines))
    context = whole[middle - config.context_bars : middle]
    real = whole[middle : middle + config.bars]
    if min(_mean_notes(context), _mean_notes(real)) < FEWEST_NOTES:
        return None
    return context, real, tokens[: lines[middle]]


def _mean_notes(bars: list[list[Note]]) -> float:
    return sum(map(len, bars)) / len(bars)


def _by_bar(notes: list[Note], count: int) -> list[list[Note]]:
    bars: list[list[Note]] = [[] for _ in range(count)]
    for note in notes:
        bars[note.bar].append(note)
    return bars


def _continue(
    model: Model,
    vocabulary: Vocabulary,
    heard: Tokens,
    context: list[list[Note]],
    config: SampleConfig,
) -> list[list[Note]]:
    signatures = [t for t in heard.tolist() if t in vocabulary.time_signature]
    meter = vocabulary.meters[signatures[-1] - vocabulary.time_signature.start]
    programs = tuple(sorted({note.program for bar in context for note in bar}))
    plan = Plan((BarPlan(meter),) * config.bars, programs)
    writer = Writer(vocabulary, plan)
    sampler = Sampler(config.seed, config.temperature, config.top_p)
    stream = model.open()
    stream.feed([vocabulary.ids["BOS_None"], *heard.tolist()])
    notes: list[Note] = []
    while not writer.finished:
        token = writer.forced()
        if token is None:
            token = sampler.choose(stream.logits[0], writer.allowed())
        note = writer.accept(token)
        if note is not None:
            notes.append(note)
        stream.step([token])
    return _by_bar(notes, config.bars)
