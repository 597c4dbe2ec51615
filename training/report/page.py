"""The page: what was measured, as a reader wants it, from the shortest answer to the notes."""

from __future__ import annotations

import datetime
import errno
import os
from collections.abc import Mapping
from pathlib import Path

from training.evaluate.players import MODEL, NETWORK
from training.evaluate.scoring import BAR_EDGES, EDGES, curve
from training.evaluate.study import HISTORY, Part, Study
from training.files import unwritable, write_whole
from training.measures import OVERLAPS
from training.report import charts
from training.report.roll import Staff, roll
from training.report.svg import Markup, join, number, tag
from training.samples import METHODS, Sample

CONTEXT_SHOWN = 4
"""Bars of context before each roll."""

UNCURVED = ("unigram", "3-gram")
"""Baselines whose curves would only be in the way."""

ROWS = {
    "pitch_classes": ("pitch classes", "Overlap with the real bars' pitch classes."),
    "intervals": ("intervals", "Overlap of the steps of each instrument's upper voice."),
    "onsets": ("onsets", "Overlap of the sixteenths of the bar on which notes begin."),
    "durations": ("durations", "Overlap of lengths, in sixteenths."),
    "velocities": ("velocities", "Overlap of velocities, in 16 steps."),
    "groove": (
        "groove similarity",
        "How much the rhythm of a bar has in common with one of the context's: Dice's coefficient"
        " of the sixteenths on which anything begins, mean over all pairs.",
    ),
    "in_key": ("in key", "Pitched notes in the diatonic set that covers most of the context."),
    "chord_tones": (
        "chord tones",
        "Pitched notes in the major or minor triad that covers most of their own bar.",
    ),
    "context_pitch_classes": (
        "pitch classes of the context",
        "Overlap with the context's pitch classes.",
    ),
    "programs": ("known instruments", "Notes of instruments that the context has."),
    "self_similarity": (
        "self-similarity",
        "Notes that two bars of the take share, mean over all pairs.",
    ),
    "verbatim": ("repeated bars", "Bars that the context holds note for note."),
    "still": ("standing still", "Bars that are the same as the bar before."),
    "empty": ("empty bars", "Bars without a note."),
    "density": ("density", "Notes a bar, as a multiple of the real ones."),
    "density_near": ("density near", "Takes with half to twice the real number of notes."),
    "longest_run": ("longest run", "Most notes in a row on one pitch, in one instrument."),
    "copied": (
        "copied notes",
        "Longest run of notes in one instrument that stands in the training set, in any key:"
        " the same waiting times and intervals.",
    ),
    "degenerate": (
        "broken down",
        "Takes with more than half of their bars empty, more than 4 times or less than a tenth of"
        " the context's notes, or more than 32 notes in a row on one pitch and twice as many as"
        " ever in the context.",
    ),
}
"""The measures: a name and an explanation of each. All are means over the samples."""

GLOSSARY = {
    NETWORK: "The model without its recall of the song so far.",
    HISTORY: (
        "A Kneser-Ney 5-gram of the training pieces, mixed by gates that learn as the piece goes"
        " on with a Witten-Bell chain of orders 0 to 16 that counts the piece alone."
    ),
    METHODS["markov"]: (
        "After a bar comes one that followed a bar of its kind in the song so far, as often as it"
        " did; where none was followed, one that followed the bars most like it."
    ),
}


def prepare(path: Path) -> None:
    """Make the page's folder: what can't be written is refused before the work, not after it.

    Raises ``bad-file``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise unwritable(path, error) from error


def write(study: Study, path: Path) -> Path:
    """Write the page; returns its path. Raises ``bad-file`` where it can't be written."""
    prepare(path)
    write_whole(path, page(study).encode())
    return path


def page(study: Study) -> str:
    """The whole page as HTML."""
    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    title = f"How good is {study.name}?"
    head = join(
        (
            Markup('<meta charset="utf-8">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            tag("title", title),
            tag("style", Markup(style)),
        )
    )
    body = tag(
        "body", tag("h1", title), _subtitle(study), _bits(study),
        _told(study), *_music(study), _words(),
    )  # fmt: skip
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>{body}</html>\n'


def _subtitle(study: Study) -> Markup:
    config = study.config
    pieces = sum(part.pieces for part in study.parts)
    much = "whole" if config.limit is None else f"their first {config.limit:,} tokens"
    words = (
        f"{datetime.date.today().isoformat()}. {pieces} held-out pieces, {much}, of"
        f" {config.data.name}; {config.samples.bars} bars after {config.samples.context_bars} or"
        f" more, seed {config.samples.seed}."
    )
    return tag("p", words, class_="soft")


# Bits


def _bits(study: Study) -> Markup:
    values = {
        part.name: {name: score.bits_per_note for name, score in part.scores.items()}
        for part in study.parts
    }
    names = {name: name for part in study.parts for name in part.scores}
    words = (
        "What is needed to tell each piece, note by note, from its first bar to its last: fewer"
        " bits mean that the music was better foreseen. “5-gram + history” has learnt from the"
        " same training pieces and copies from what the piece itself has done so far; a model that"
        " is worse than this has not learnt to recall."
    )
    curves = [_curves(part) for part in study.parts]
    return tag(
        "section",
        tag("h2", "Bits per note"),
        tag("p", words),
        tag("div", charts.legend(names), charts.bars(values, "bits per note"), class_="card"),
        tag("div", _bits_table(study), class_="card"),
        tag("h2", "Bits by place in the piece"),
        tag(
            "p",
            "Mean over the tokens from each place to the next. Fewer, the longer a piece has gone"
            " on: what it has done is put to use. Only long pieces reach the places on the right.",
        ),
        charts.legend({name: name for name in names if name not in UNCURVED}),
        *curves,
    )


def _curves(part: Part) -> Markup:
    shown = {name: score for name, score in part.scores.items() if name not in UNCURVED}
    by_token = {name: curve(score.by_token, EDGES) for name, score in shown.items()}
    by_bar = {name: curve(score.by_bar, BAR_EDGES) for name, score in shown.items()}
    return tag(
        "div",
        tag("h3", part.name),
        tag(
            "div",
            charts.curves(by_token, "bits per token, by token"),
            charts.curves(by_bar, "bits per token, by bar"),
            class_="grid2",
        ),
        class_="card",
    )


def _bits_table(study: Study) -> Markup:
    heads = ("", "pieces", "notes", *(name for name in study.parts[0].scores), "bits per bar")
    rows = []
    for part in study.parts:
        best = min(score.bits_per_note for score in part.scores.values())
        cells = [
            tag("td", number(score.bits_per_note), class_=_best(score.bits_per_note == best))
            for score in part.scores.values()
        ]
        model = part.scores[MODEL]
        rows.append(
            tag(
                "tr",
                tag("td", part.name),
                tag("td", str(part.pieces)),
                tag("td", f"{model.notes:,}"),
                *cells,
                tag("td", number(model.bits_per_bar)),
            )
        )
    return _table(heads, rows, "Bits per note, and the model's bits per bar")


# What it is told

TOLD = {
    "scale": "the scale of each bar",
    "density": "how many notes a bar has",
    "cast": "which instruments play in a bar",
    "chords": "the chords of each bar",
    "ahead": "the bar behind a gap of four",
    "others": "the bar of all other instruments beforehand; not: as they play; silent: not at all",
}


def _told(study: Study) -> Markup:
    """What it is worth to be told, where the model listens."""
    rows = [
        tag(
            "tr",
            tag("td", part.name),
            tag("td", TOLD[kind]),
            tag("td", f"{worth.notes:,}"),
            tag("td", number(worth.told), class_=_best(worth.told < worth.untold)),
            tag("td", number(worth.untold)),
            tag("td", "—" if worth.alone is None else number(worth.alone)),
        )
        for part in study.parts
        for kind, worth in part.told.items()
    ]
    followed = [
        f"{part.name} {part.chords.model:.0%} ({part.chords.real:.0%})"
        for part in study.parts
        if part.chords is not None
    ]
    if not rows and not followed:
        return Markup("")
    heads = ("", "told", "notes", "told", "not told", "the others silent")
    words = (
        "The same music of the same pieces, by the network alone, with and without being told what"
        " is in it. Less is better: what it is told, it uses."
    )
    chords = "Chord tones among the notes of takes on given chords (real music on its own): "
    return tag(
        "section",
        tag("h2", "Doing as it is told"),
        *([tag("p", words), tag("div", _table(heads, rows, "Bits per note"), class_="card")]
          if rows else []),
        *([tag("p", chords + ", ".join(followed) + ".")] if followed else []),
    )  # fmt: skip


# Continuations


def _music(study: Study) -> list[Markup]:
    parts = [part for part in study.parts if part.samples]
    if not parts:
        return []
    words = (
        "Held-out pieces are cut in their middle and played on by the engine itself, with the"
        " preset that suits their instruments; what really follows is the yardstick. The three"
        " others show what can be had without a model, and without a context."
    )
    return [
        tag("h2", "Playing on"),
        tag("p", words),
        *(_part(part) for part in parts),
    ]


def _part(part: Part) -> Markup:
    means = part.means()
    overlaps = {
        ROWS[key][0]: {
            name: means[name][key] for name in METHODS if name != "real" and key in means[name]
        }
        for key in OVERLAPS
        if key in means["real"]
    }
    nearer = part.nearer()
    words = (
        f"{len(part.samples)} pieces. Of the {len(overlaps)} overlaps the model is nearer to the"
        f" real bars than the last bars again on {nearer['repeat']}, than the Markov walk on"
        f" {nearer['markov']}, than itself without context on {nearer['alone']}."
    )
    others = {name: words for name, words in METHODS.items() if name != "real"}
    return tag(
        "section",
        tag("h3", part.name),
        tag("p", words),
        tag(
            "div",
            charts.legend(others),
            charts.bars(overlaps, "overlap with what really follows", height=240),
            class_="card",
        ),
        tag("div", _measures(means), class_="card"),
        *(_sample(sample, opened=i == 0) for i, sample in enumerate(part.samples)),
    )


def _measures(means: Mapping[str, Mapping[str, float]]) -> Markup:
    rows = []
    for key, (name, words) in ROWS.items():
        real = means["real"].get(key)
        if real is None:
            continue
        away = {
            method: abs(values[key] - real)
            for method, values in means.items()
            if method != "real" and key in values
        }
        nearest = {method for method, by in away.items() if by == min(away.values())}
        if nearest == set(away):  # that all are equally near is nobody's merit
            nearest = set()
        cells = [
            tag(
                "td",
                number(means[method][key]) if key in means[method] else "—",
                class_=_best(method in nearest),
            )
            for method in METHODS
        ]
        rows.append(tag("tr", tag("td", name, title=words), *cells))
    return _table(("mean", *METHODS.values()), rows, "Bold: nearest to what really follows")


def _sample(sample: Sample, *, opened: bool) -> Markup:
    before = sample.context[-CONTEXT_SHOWN:]
    meters = [*sample.meters_before[-CONTEXT_SHOWN:], *sample.meters]
    staff = Staff.of((before, *sample.takes.values()))
    rolls = [
        roll(staff, before, sample.takes[method], meters, words)
        for method, words in METHODS.items()
    ]
    state = {"open": ""} if opened else {}
    return tag(
        "details",
        tag("summary", sample.piece.path),
        staff.legend(),
        tag("div", *rolls, class_="rolls"),
        class_="card",
        **state,
    )


def _words() -> Markup:
    entries = dict(ROWS.values()) | GLOSSARY
    listed = [tag("dt", name) for name in entries], [tag("dd", words) for words in entries.values()]
    pairs = [part for pair in zip(*listed, strict=True) for part in pair]
    return tag("section", tag("h2", "What the words mean"), tag("dl", *pairs))


def _table(heads: tuple[str, ...], rows: list[Markup], caption: str) -> Markup:
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *(tag("th", head) for head in heads))),
        tag("tbody", *rows),
    )


def _best(is_best: bool) -> str:
    return "best" if is_best else ""
