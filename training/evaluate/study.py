"""A whole evaluation: bits of held-out pieces, and what continuations are like, by collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from engine.errors import Code, SidemanError
from engine.models.folder import read_info
from engine.tokens.vocabulary import Vocabulary
from training.baselines.history import WithHistory
from training.baselines.ngrams import NGrams
from training.chord_following import Following, following
from training.data import TokenSet
from training.evaluate.copying import TrainingLines, lines_of_bars, lines_of_tokens
from training.evaluate.players import MODEL, NETWORK, predictors_of
from training.evaluate.scoring import Predictor, Score, score_with
from training.evaluate.telling import Worth, telling
from training.measures import OVERLAPS, Likeness, Measures, compare, is_degenerate, measure
from training.samples import METHODS, Sample, SampleConfig, samples
from training.tokenize import Piece

HISTORY = "5-gram + history"
"""The baseline that counts; see `training.baselines.history`."""

ORDERS = {"unigram": 1, "3-gram": 3, "5-gram": 5}

TOLD_BARS = 48
"""Bars of a piece in which it is measured what it is worth to be told."""

DENSITY = 0.5, 2.0
"""How far from the real number of notes a take may be."""


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """What is evaluated, and how much of it."""

    model: Path
    data: Path
    pieces: int | None = None
    """Held-out pieces of each collection, at most."""
    limit: int | None = None
    """Tokens of each piece, at most."""
    samples: SampleConfig = field(default_factory=SampleConfig)
    device: str = "cpu"
    """Where the network predicts; takes are made on the processor, as they are live."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One take, measured."""

    measures: Measures
    likeness: Likeness
    copied: int
    """Notes of the longest run in one instrument that the training set has as well, in any key."""
    degenerate: bool
    """Whether it has broken down."""


@dataclass(frozen=True, slots=True)
class Part:
    """One collection: the score of each predictor, and samples with each method's judgement."""

    name: str
    pieces: int
    scores: dict[str, Score]
    samples: list[Sample]
    judged: list[dict[str, Judged]]
    told: dict[str, Worth] = field(default_factory=dict)
    """What it is worth to be told, by kind, where the model listens."""
    chords: Following | None = None
    """How takes keep to chords, where the pieces have any."""

    def figures(self) -> dict[str, Any]:
        """The numbers, rounded: of the model itself first, then of the baselines."""
        score = self.scores[MODEL]
        return {
            "pieces": self.pieces,
            "notes": score.notes,
            "bars": score.bars,
            **score.figures(),
            "predictors": {
                name: other.figures() for name, other in self.scores.items() if name != MODEL
            },
            "samples": len(self.samples),
            "measures": self.means(),
            "nearer": self.nearer(),
            "told": {kind: worth.figures() for kind, worth in self.told.items()},
            "chord_tones": None if self.chords is None else self.chords.figures(),
        }

    def means(self) -> dict[str, dict[str, float]]:
        """Means over the samples, by method."""
        if not self.judged:
            return {}
        return {name: _means([entry[name] for entry in self.judged]) for name in METHODS}

    def nearer(self) -> dict[str, int]:
        """Of the five overlaps, in how many the model is nearer to the real ones than each."""
        means = self.means()
        return {
            name: sum(means[MODEL].get(key, 0) > means[name].get(key, 0) for key in OVERLAPS)
            for name in means
            if name not in ("real", MODEL)
        }


@dataclass(frozen=True, slots=True)
class Study:
    """All of it."""

    name: str
    """The model's."""
    config: StudyConfig
    parts: list[Part]

    def figures(self) -> dict[str, dict[str, Any]]:
        """The numbers of each collection."""
        return {part.name: part.figures() for part in self.parts}


def study(config: StudyConfig, progress: Callable[[float], None] = lambda part: None) -> Study:
    """Do it all; some minutes. ``progress`` hears the part of the held-out music that is done.

    Raises ``bad-file`` where the data were made for another vocabulary or hold no piece back.
    """
    data = TokenSet(config.data)
    chosen = {
        name: pieces[: config.pieces]
        for name in data.weights
        if (pieces := data.select("heldout", name))
    }
    if not chosen:
        raise SidemanError(Code.BAD_FILE, f"{config.data} holds no piece back to evaluate with")
    vocabulary = Vocabulary.load(config.data)
    predictors = _predictors(config, data, vocabulary)
    known = _training_lines(data, vocabulary) if config.samples.pieces else TrainingLines(())
    total = sum(piece.length for pieces in chosen.values() for piece in pieces)
    parts, done = [], 0
    for name, pieces in chosen.items():
        scores = dict.fromkeys(predictors, Score())
        for piece in pieces:
            for key, predictor in predictors.items():
                scores[key] += score_with(predictor, data, [piece], config.limit)
            done += piece.length
            progress(done / total)
        made = list(samples(config.model, data, name, config.samples))
        judged = [_judge(sample, known, vocabulary) for sample in made]
        told = _told(config, predictors, data, pieces) if config.samples.pieces else {}
        chords = _chords(config, data, name) if made else None
        parts.append(Part(name, len(pieces), scores, made, judged, told, chords))
    return Study(read_info(config.model).name, config, parts)


def _told(
    config: StudyConfig,
    predictors: Mapping[str, Predictor],
    data: TokenSet,
    pieces: Sequence[Piece],
) -> dict[str, Worth]:
    """By the network alone: what a piece has played so far is told to nobody."""
    if not data.vocabulary.is_condition.any():
        return {}
    network = predictors.get(NETWORK) or predictors[MODEL]
    return telling(network, data, pieces[: config.samples.pieces], TOLD_BARS)


def _chords(config: StudyConfig, data: TokenSet, collection: str) -> Following | None:
    try:
        return following(config.model, data, collection, config.samples)
    except SidemanError:  # music without chords, as that of drums
        return None


def ngram_predictors(data: TokenSet) -> dict[str, Predictor]:
    """N-grams of the training pieces of a data set, each piece counted once."""
    begin = data.vocabulary.begin
    size = int((~data.vocabulary.is_condition).sum())
    pieces = [data.tokens(piece) for piece in data.select("train")]
    if not pieces:
        return {}
    ngrams = {name: NGrams(pieces, order, size, begin) for name, order in ORDERS.items()}
    return {**ngrams, HISTORY: WithHistory(ngrams["5-gram"], size)}


def _predictors(
    config: StudyConfig, data: TokenSet, vocabulary: Vocabulary
) -> dict[str, Predictor]:
    if Vocabulary.load(config.model).tokens != vocabulary.tokens:
        raise SidemanError(
            Code.BAD_FILE,
            f"{config.data} was made for another vocabulary than {config.model}'s:"
            " tokenize the music again with the model's tokenizer",
        )
    players = predictors_of(config.model, data.vocabulary.begin, config.device)
    return players | ngram_predictors(data)


def _training_lines(data: TokenSet, vocabulary: Vocabulary) -> TrainingLines:
    return TrainingLines(
        line
        for piece in data.select("train")
        for line in lines_of_tokens(vocabulary, data.tokens(piece))
    )


def _judge(sample: Sample, known: TrainingLines, vocabulary: Vocabulary) -> dict[str, Judged]:
    real = sample.takes["real"]
    return {
        name: Judged(
            measure(sample.context, take),
            compare(real, take),
            known.longest_run(lines_of_bars(vocabulary, sample.meters, take)),
            is_degenerate(sample.context, take),
        )
        for name, take in sample.takes.items()
    }


def _means(judged: Iterable[Judged]) -> dict[str, float]:
    """The mean of every measure over some takes, where there was something to measure."""
    columns: dict[str, list[float]] = {}
    for entry in judged:
        row = {
            **asdict(entry.likeness),
            **asdict(entry.measures),
            "copied": entry.copied,
            "density_near": DENSITY[0] <= entry.likeness.density <= DENSITY[1],
            "degenerate": entry.degenerate,
        }
        for name, value in row.items():
            if value is not None:
                columns.setdefault(name, []).append(float(value))
    return {name: round(fmean(values), 3) for name, values in columns.items()}
