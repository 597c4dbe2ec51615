"""MIDI files to a token data set.

A token data set is a folder: ``tokenizer.json``; ``tokens.npy``, all pieces one after another as
uint16; and ``pieces.json``, which says where each piece lies, where it came from and on which side
of the split it is, and names every file that was skipped, with the reason.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from miditok import REMI, TokenizerConfig
from symusic import Score

from engine.errors import Code, SidemanError
from engine.tokens.encode import EDGE_HATS
from training.recipes import Collection, Recipe

METERS: dict[int, list[int]] = {2: [2, 3], 4: [1, 2, 3, 4, 5, 6, 7], 8: [3, 5, 6, 7, 9, 12]}
"""Time signatures of the vocabulary: lower number, and the upper numbers that go with it."""

BEAT_RESOLUTION = {(0, 1): 12, (1, 2): 6, (2, 4): 4, (4, 12): 2}
"""Steps to the beat for durations of so many beats; onsets have the finest, 12."""

SPECIAL_TOKENS = ["PAD", "BOS", "EOS"]
VELOCITIES = 16
FEWEST_NOTES = 8


@dataclass(frozen=True, slots=True)
class TokenizeConfig:
    """What :func:`tokenize` reads and writes."""

    recipe: Recipe
    midis: Path
    """Holds one folder of MIDI files for each collection of the recipe."""

    output: Path
    seed: int = 0
    """Chooses which pieces are held out."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a token data set."""

    collection: str
    path: str
    sha256: str
    """Of its tokens, so that one piece under two names is one piece."""

    split: str
    """``train`` or ``heldout``."""

    start: int
    length: int
    notes: int


@dataclass(frozen=True, slots=True)
class _Encoded:
    path: str
    work: str
    sha256: str
    tokens: np.ndarray
    notes: int


def make_tokenizer() -> REMI:
    """The tokenizer of the models that ship: one stream of notes for all programs, no tempo."""
    return REMI(
        TokenizerConfig(
            beat_res=BEAT_RESOLUTION,
            num_velocities=VELOCITIES,
            special_tokens=SPECIAL_TOKENS,
            use_programs=True,
            one_token_stream_for_programs=True,
            use_time_signatures=True,
            time_signature_range=METERS,
            use_tempos=False,
            use_rests=False,
            use_chords=False,
            use_pitchdrum_tokens=True,
            use_sustain_pedals=False,
            use_pitch_bends=False,
            remove_duplicated_notes=True,
        )
    )


def save_tokenizer(tokenizer: REMI, folder: Path) -> None:
    """Write ``tokenizer.json``: miditok's own file, and under ``tokens`` every token's name in the
    order of the ids, which miditok ignores and the live path reads.
    """
    names = sorted(tokenizer.vocab, key=tokenizer.vocab.__getitem__)
    tokenizer.save(folder / "tokenizer.json", additional_attributes={"tokens": names})


def tokenize(config: TokenizeConfig) -> Path:
    """Make the data set; returns its folder. Same files, recipe and seed give the same bytes."""
    tokenizer = make_tokenizer()
    config.output.mkdir(parents=True, exist_ok=True)
    pieces: list[Piece] = []
    arrays: list[np.ndarray] = []
    skipped: list[dict[str, str]] = []
    seen: set[str] = set()
    position = 0
    for collection in config.recipe.collections:
        encoded = list(_encode_collection(tokenizer, collection, config.midis, seen, skipped))
        heldout = _choose_heldout(encoded, collection.heldout, config.seed)
        for item in encoded:
            apart = collection.weight == 0 or item.work in heldout
            pieces.append(
                Piece(
                    collection.name,
                    item.path,
                    item.sha256,
                    "heldout" if apart else "train",
                    position,
                    len(item.tokens),
                    item.notes,
                )
            )
            arrays.append(item.tokens)
            position += len(item.tokens)
    if not arrays:
        raise SidemanError(
            Code.BAD_FILE, f"{config.midis}: no usable MIDI file in the recipe's folders"
        )
    save_tokenizer(tokenizer, config.output)
    np.save(config.output / "tokens.npy", np.concatenate(arrays), allow_pickle=False)
    manifest = {
        "recipe": asdict(config.recipe),
        "seed": config.seed,
        "vocab": len(tokenizer),
        "pieces": [asdict(piece) for piece in pieces],
        "skipped": skipped,
    }
    (config.output / "pieces.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return config.output


def _encode_collection(
    tokenizer: REMI,
    collection: Collection,
    midis: Path,
    seen: set[str],
    skipped: list[dict[str, str]],
) -> Iterator[_Encoded]:
    folder = midis / collection.name
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".mid", ".midi")):
        name = path.relative_to(folder).as_posix()
        try:
            if path.name in collection.exclude:
                raise _UnusableError(collection.reason)
            tokens, notes = _encode(tokenizer, path)
            sha256 = hashlib.sha256(tokens.tobytes()).hexdigest()
            if sha256 in seen:
                raise _UnusableError("the same piece as another file")
        except _UnusableError as reason:
            skipped.append({"collection": collection.name, "path": name, "reason": str(reason)})
            continue
        seen.add(sha256)
        match = re.search(collection.work, name) if collection.work else None
        yield _Encoded(name, match[0] if match else name, sha256, tokens, notes)


class _UnusableError(Exception):
    """Why a file is left out."""


def _encode(tokenizer: REMI, path: Path) -> tuple[np.ndarray, int]:
    """Tokens (uint16, without BOS and EOS) and the number of notes of one file."""
    score: Any  # symusic types a score by its time unit, which only the file decides
    try:
        score = Score(path)
    except Exception as error:  # symusic raises several kinds for broken files
        raise _UnusableError(f"cannot be read: {error}") from error
    foreign = {
        f"{meter.numerator}/{meter.denominator}"
        for meter in score.time_signatures
        if meter.numerator not in METERS.get(meter.denominator, ())
    }
    if foreign:
        raise _UnusableError(f"meter {', '.join(sorted(foreign))}")
    # Notes of one moment are written in one order only, as `engine.music.Note` sorts: by program,
    # drums first, then by pitch. miditok keeps the order of the tracks.
    score.tracks.sort(key=lambda track: -1 if track.is_drum else track.program, inplace=True)
    for track in score.tracks:
        if track.is_drum:
            for note in track.notes:
                note.pitch = EDGE_HATS.get(note.pitch, note.pitch)
    try:
        ids = tokenizer.encode(score).ids
    except Exception as error:  # miditok's kinds are not documented
        raise _UnusableError(f"cannot be tokenized: {error!r}") from error
    tokens = np.asarray(ids, dtype=np.uint16)
    notes = int(np.isin(tokens, list(tokenizer.token_ids_of_type("Velocity"))).sum())
    if notes < FEWEST_NOTES:
        raise _UnusableError(f"only {notes} notes")
    return tokens, notes


def _choose_heldout(encoded: Iterable[_Encoded], count: int, seed: int) -> set[str]:
    """Works in an order that only their content and the seed decide, until enough pieces."""
    works: dict[str, list[str]] = {}
    for item in encoded:
        works.setdefault(item.work, []).append(item.sha256)

    def lot(work: str) -> str:
        return hashlib.sha256(f"{seed} {min(works[work])}".encode()).hexdigest()

    chosen: set[str] = set()
    pieces = 0
    for work in sorted(works, key=lot):
        if pieces >= count:
            break
        chosen.add(work)
        pieces += len(works[work])
    return chosen
