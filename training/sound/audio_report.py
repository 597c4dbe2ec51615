"""The study of a model of sound as one HTML page that needs nothing else."""

from __future__ import annotations

import datetime
from pathlib import Path

from training.files import write_whole
from training.report import charts, prepare
from training.report.svg import Markup, join, number, tag
from training.sound.audio_study import MODEL, REAL, AudioStudy
from training.sound.embeddings import Mel
from training.sound.fad import Estimate

STYLE = Path(charts.__file__).parent / "style.css"

CHANCE = "unigram"
"""The colour of what is known by chance."""

MEASURES = {
    "tempo_percent": ("tempo error, %", "How far its own tempo is from the grid's."),
    "phase_ms": (
        "beat phase, ms",
        "How far its beats lie from where those before the seam would go on, as surely as both are"
        " found.",
    ),
    "beat": ("clear beat, 0 to 1", "How clear its beat is; more is clearer."),
    "click": ("click", "How much the step across the seam stands out; 0 is not heard."),
    "level_lu": ("level step, LU", "How much louder or softer it is than before the seam."),
    "entry_lu": ("weak entry, LU", "How much quieter its first beat is than what was before."),
    "unlikeness_db": ("balance, dB", "How differently high and low are balanced."),
    "chroma": ("pitch classes, 0 to 1", "How alike its pitch classes are to those before."),
    "same_key": ("same key, share", "Continuations in the key of what was before."),
}
"""The measures of continuations: a name and what it says."""

WORDS = {
    "FAD": (
        "Fréchet audio distance: of the normal distributions that fit the vectors of two sets of"
        " sounds. With few sounds it is too large."
    ),
    "FAD∞": "The same, as it would be of infinitely many takes, told from fewer and fewer.",
    "KAD": (
        "Kernel audio distance: 100 times the unbiased squared maximum mean discrepancy, by a"
        " kernel as wide as the training clips' median distance. Of the same music it is about 0,"
        " and may be below."
    ),
    "real": "The data set's held-out clips: what real music of this kind scores.",
}


def write(study: AudioStudy, path: Path) -> Path:
    """Write the page; returns its path. Raises ``bad-file`` where it can't be written."""
    prepare(path)
    write_whole(path, page(study).encode())
    return path


def page(study: AudioStudy) -> str:
    """The whole page as HTML."""
    title = f"How good is {study.name}?"
    head = join(
        (
            Markup('<meta charset="utf-8">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            tag("title", title),
            tag("style", Markup(STYLE.read_text(encoding="utf-8"))),
        )
    )
    body = tag(
        "body",
        tag("h1", title),
        _subtitle(study),
        _loss(study),
        _distances(study),
        _continued(study),
        _notes(study),
        _words(),
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>{body}</html>\n'


def _subtitle(study: AudioStudy) -> Markup:
    config = study.config
    words = (
        f"{datetime.date.today().isoformat()}. Against {config.data.name}, seed {config.seed}."
        f" Sounds are compared by “{study.embedding}”: {study.embedding_words}."
        f" Licence of the weights: {study.licence or 'not said'}."
    )
    return tag("p", words, class_="soft")


def _loss(study: AudioStudy) -> Markup:
    loss = study.loss
    if loss is None:
        return Markup("")
    values = {
        f"codebook {k}": {MODEL: each, CHANCE: loss.chance}
        for k, each in enumerate(loss.codebooks, 1)
    }
    words = (
        f"What it does not foresee of {loss.clips} held-out clips under their prompts: the mean is"
        f" {number(loss.mean)} nats a code, and chance would be {number(loss.chance)}. Less is"
        " better. The first codebook holds most of the music, the later ones its finish."
    )
    return tag(
        "section",
        tag("h2", "Held-out loss"),
        tag("p", words),
        tag(
            "div",
            charts.legend({MODEL: "model", CHANCE: "chance"}),
            charts.bars(values, "nats a code"),
            class_="card",
        ),
    )


def _distances(study: AudioStudy) -> Markup:
    if not study.distances:
        return Markup("")
    config = study.config
    name = study.embedding
    rows = [
        tag(
            "tr",
            tag("td", who),
            tag("td", str(each.vectors)),
            tag("td", number(each.fad)),
            tag("td", _between(each.fad_infinity)),
            tag("td", _between(each.kad)),
        )
        for who, each in study.distances.items()
    ]
    warning = (
        Markup("")
        if study.enough
        else tag("p", tag("strong", "Too few sounds: these distances mean little."))
    )
    words = (
        f"{config.takes} takes of {config.seconds:g} s, each from a held-out clip's prompt alone,"
        f" beside the held-out clips themselves; both against the {study.reference_vectors} vectors"
        f" of the training clips. Less is nearer. These are distances by “{name}”, and say nothing"
        " beside those by other vectors. Brackets hold 95%."
    )
    heads = ("", "vectors", f"FAD ({name})", f"FAD∞ ({name})", f"KAD ({name})")
    spectra = {
        who: {str(band): level + 100 for band, level in enumerate(levels, 1)}
        for who, levels in study.spectra.items()
    }
    return tag(
        "section",
        tag("h2", "Sound"),
        warning,
        tag("p", words),
        tag("div", _table(heads, rows), class_="card"),
        tag(
            "div",
            charts.legend({MODEL: "model", REAL: "held-out clips"}),
            charts.curves(
                spectra, f"mean level of {Mel.bands} mel bands, dB above -100", width=900
            ),
            class_="card",
        ),
    )


def _continued(study: AudioStudy) -> Markup:
    if not study.continued:
        return Markup("")
    means = study.means()
    rows = [
        tag(
            "tr",
            tag("td", name, title=words),
            *(tag("td", number(means[who][key])) for who in (MODEL, REAL)),
        )
        for key, (name, words) in MEASURES.items()
    ]
    each = [
        tag(
            "tr",
            tag("td", one.name),
            tag("td", f"{one.bpm:.4g}"),
            tag("td", str(one.bars)),
            *(tag("td", number(one.measures[MODEL].values()[key])) for key in MEASURES),
        )
        for one in study.continued
    ]
    plots = [
        charts.bars(
            {name: {who: means[who][key] for who in (MODEL, REAL)}}, name, width=280, height=170
        )
        for key, (name, _) in MEASURES.items()
    ]
    words = (
        f"{len(study.continued)} held-out clips are cut at a bar line near their middle and gone on"
        f" from by the engine itself, as live; what really follows is the yardstick."
    )
    heads = ("clip", "bpm", "bars", *(name for name, _ in MEASURES.values()))
    return tag(
        "section",
        tag("h2", "Going on"),
        tag("p", words),
        tag(
            "div",
            charts.legend({MODEL: "model", REAL: "what really follows"}),
            tag("div", *plots, class_="grid2"),
            class_="card",
        ),
        tag("div", _table(("mean", "model", "what really follows"), rows), class_="card"),
        tag("details", tag("summary", "Each clip"), _table(heads, each), class_="card"),
    )


def _notes(study: AudioStudy) -> Markup:
    if not study.notes:
        return Markup("")
    return tag("section", tag("h2", "Notes"), *(tag("p", note) for note in study.notes))


def _words() -> Markup:
    entries = WORDS | dict(MEASURES.values())
    pairs = [
        part for name, words in entries.items() for part in (tag("dt", name), tag("dd", words))
    ]
    return tag("section", tag("h2", "What the words mean"), tag("dl", *pairs))


def _table(heads: tuple[str, ...], rows: list[Markup]) -> Markup:
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", head) for head in heads))),
        tag("tbody", *rows),
    )


def _between(estimate: Estimate) -> str:
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"
