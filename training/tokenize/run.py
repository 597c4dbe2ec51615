"""MIDI files, or tokens in another layout, to a token data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engine.errors import Code, SidemanError
from engine.instruments import CLASSES, EFFECT_CLASSES
from training.files import check_replaceable, made_whole
from training.recipes import Recipe
from training.tokenize.config import Cleaning, Piece, TokenizeConfig, Vocabulary
from training.tokenize.data import Parts, TokenData, placed
from training.tokenize.encode import Encoded, Tokens, Unusable, digest
from training.tokenize.journal import Journal
from training.tokenize.layouts import layout_of, named
from training.tokenize.merging import Merges, learn
from training.tokenize.sources import Source, find, own_recipe
from training.tokenize.split import Candidate, held_out
from training.tokenize.tokenizer import describe, make_tokenizer, unplayable
from training.tokenize.workers import Settings, Task, encode_all, worth
from training.work import at_work

Told = Callable[[int, int], None]
"""Told how many files are done, and of how many."""

JOURNAL = "journal"

MARKS = ("tokens.npy", "pieces.json", "token_params.cfg")
"""A folder that holds one of these is a token data set, and may be replaced by another."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was made."""

    output: Path
    pieces: int
    tokens: int
    heldout: int
    skipped: list[dict[str, str]]
    """``collection``, ``path`` and ``reason`` of each file that was left out."""

    unplayable: str | None
    """Why the live engine can't play models of this data set; None where it can."""


def tokenize(config: TokenizeConfig) -> Path:
    """Make the data set; returns its folder. See :func:`make`."""
    return make(config).output


def make(config: TokenizeConfig, tell: Told | None = None) -> Summary:
    """Make the data set.

    Same files, recipe, settings and seed give the same bytes, on however many workers. ``output``
    appears when it is complete. What ends before that, in whatever way, goes on from its run folder
    when it is called again. Raises `SidemanError` where there is nothing to be made, or no room.
    """
    layout = named(config.layout)
    _check_places(config)
    given = layout_of(config.midis)
    if given is not None:
        _check_no_midi_settings(config)
    recipe = config.recipe or own_recipe(config.midis)
    sources = [] if given else find(config.midis, recipe, apart=config.recipe is not None)
    with at_work(config.work, _table(config)) as work, ExitStack() as stack:
        if given is not None:
            data = given.read(config.midis)
        else:
            settings = _settings(config)
            journal = stack.enter_context(Journal(config.work / JOURNAL, _key(*settings)))

            def told(done: int) -> None:
                work.step(done)
                if tell:
                    tell(done, len(sources))

            keys = _encode(sources, settings, journal, config, told)
            kept, skipped = _sift(sources, keys, journal)
            if not kept:
                raise SidemanError(Code.BAD_FILE, _nothing(config.midis, skipped))
            data = _assemble(kept, journal, recipe, config)
            data.skipped = skipped
        with made_whole(config.output, MARKS) as folder:
            layout.write(data, folder)
    (config.work / JOURNAL).unlink(missing_ok=True)
    return Summary(
        output=config.output,
        pieces=len(data.pieces),
        tokens=sum(piece.length for piece in data.pieces),
        heldout=sum(piece.split == "heldout" for piece in data.pieces),
        skipped=data.skipped,
        unplayable=unplayable(data.settings),
    )


def _check_places(config: TokenizeConfig) -> None:
    check_replaceable(config.output, MARKS)
    output = config.output.resolve()
    folders = [config.midis]
    if config.recipe is not None:
        folders = [config.midis / collection.name for collection in config.recipe.collections]
    for folder in map(Path.resolve, folders):
        if folder == output or output in folder.parents or folder in output.parents:
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"{config.output}: tokens can't lie in the folder of the songs, nor around it",
            )


def _check_no_midi_settings(config: TokenizeConfig) -> None:
    if config.recipe or config.vocabulary != Vocabulary() or config.cleaning != Cleaning():
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"{config.midis}: these are tokens already; recipes, classes, lengths and vocabularies "
            "are for MIDI files",
        )


def _settings(config: TokenizeConfig) -> Settings:
    """What each file's result depends on: of the vocabulary, all but its merges."""
    cleaning = config.cleaning
    if config.recipe is None and cleaning.classes is None:
        kept = {each.number for each in CLASSES} - EFFECT_CLASSES
        cleaning = replace(cleaning, classes=frozenset(kept))
    return replace(config.vocabulary, size=None, merging="BPE"), cleaning


def _key(vocabulary: Vocabulary, cleaning: Cleaning) -> dict[str, object]:
    """The settings of kept results: those of other settings are of no use."""
    classes = {
        name: None if value is None else sorted(value)
        for name, value in (("classes", cleaning.classes), ("required", cleaning.required))
    }
    return {"vocabulary": asdict(vocabulary), "cleaning": asdict(cleaning) | classes}


def _table(config: TokenizeConfig) -> dict[str, object]:
    """What ``run.json`` says of what was asked."""
    return {
        "command": "tokenize",
        "midis": str(config.midis),
        "output": str(config.output),
        "recipe": config.recipe.name if config.recipe else None,
        "seed": config.seed,
        "layout": config.layout,
        **_key(config.vocabulary, config.cleaning),
    }


def _encode(
    sources: list[Source],
    settings: Settings,
    journal: Journal,
    config: TokenizeConfig,
    tell: Callable[[int], None],
) -> list[bytes | Unusable]:
    """Put the result of every file into the journal.

    Returns each file's key in it, or the reason why the file is not even read.
    """
    keys: list[bytes | Unusable] = []
    asked: set[bytes] = set()

    def tasks() -> Iterator[Task]:
        for source in sources:
            if source.path.name in source.collection.exclude:
                keys.append(Unusable(source.collection.reason))
                continue
            try:
                data = source.path.read_bytes()
            except OSError as error:
                keys.append(Unusable(f"cannot be read: {error.strerror}"))
                continue
            key = hashlib.sha256(data).digest()
            keys.append(key)
            if key not in journal and key not in asked:
                asked.add(key)
                yield key, data

    jobs = config.jobs or worth(len(sources))
    for key, result in encode_all(tasks(), settings, jobs, config.ray):
        journal.add(key, result)
        asked.remove(key)
        tell(len(keys) - len(asked))
    tell(len(sources))
    return keys


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file whose music is in the data set."""

    source: Source
    key: bytes
    length: int
    notes: int
    content: Candidate


def _sift(
    sources: Iterable[Source], keys: Iterable[bytes | Unusable], journal: Journal
) -> tuple[list[_Kept], list[dict[str, str]]]:
    """The files that are used, each content once; and those that aren't, with the reason."""
    kept: list[_Kept] = []
    skipped: list[dict[str, str]] = []
    seen: set[str] = set()

    def reason(source: Source, key: bytes | Unusable) -> str | None:
        if isinstance(key, Unusable):
            return key.reason
        result = journal[key]
        if isinstance(result, Unusable):
            return result.reason
        sha256 = digest(result.tokens)
        if sha256 in seen:
            return "the same piece as another file"
        seen.add(sha256)
        content = Candidate(source.name, sha256, result.tune)
        kept.append(_Kept(source, key, len(result.tokens), result.notes, content))
        return None

    for source, key in zip(sources, keys, strict=True):
        if why := reason(source, key):
            entry = {"collection": source.collection.name, "path": source.name, "reason": why}
            skipped.append(entry)
    return kept, skipped


def _assemble(
    kept: Sequence[_Kept], journal: Journal, recipe: Recipe, config: TokenizeConfig
) -> TokenData:
    """Split the pieces, and merge their tokens."""
    pieces: list[Piece] = []
    for collection in recipe.collections:
        mine = [each for each in kept if each.source.collection is collection]
        apart = held_out([each.content for each in mine], collection, config.seed)
        for each, is_apart in zip(mine, apart, strict=True):
            split = "heldout" if is_apart else "train"
            content = each.content
            pieces.append(
                Piece(collection.name, content.name, content.sha256, split, 0, 0, each.notes)
            )

    def part(index: int) -> Tokens:
        result = journal[kept[index].key]
        assert isinstance(result, Encoded)
        return result.tokens

    tokenizer = make_tokenizer(config.vocabulary)
    parts: Sequence[Tokens] = Parts(part, len(kept))
    lengths = [each.length for each in kept]
    if config.vocabulary.size is not None:
        heard = [index for index, piece in enumerate(pieces) if piece.split == "train"]
        corpus = Parts(lambda index: part(heard[index]), len(heard))
        learn(tokenizer, corpus, config.vocabulary.size, config.vocabulary.merging)
        merges = Merges(describe(tokenizer))
        parts = [merges.merge(tokens) for tokens in parts]
        lengths = [len(merged) for merged in parts]
    pieces = placed(pieces, lengths)
    return TokenData(describe(tokenizer), asdict(recipe), pieces, parts, config.seed)


def _nothing(midis: Path, skipped: list[dict[str, str]]) -> str:
    first = f"; the first, {skipped[0]['path']}: {skipped[0]['reason']}" if skipped else ""
    return f"{midis}: none of its {len(skipped)} MIDI files can be used{first}"
