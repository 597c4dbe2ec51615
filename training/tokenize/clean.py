"""A MIDI file's bytes to the music that is learned from, or the reason why there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
from symusic import Note, Score

from engine.instruments import CLASSES, class_of, merged_class
from engine.music import DRUMS
from engine.tokens.encode import EDGE_HATS
from training.tokenize.config import Cleaning
from training.tokenize.tokenizer import BEAT_RESOLUTION, METERS

COARSEST = max(BEAT_RESOLUTION.values())
"""Ticks to the quarter note that a file must have at least: the positions of a beat."""

LONGEST = 20_000
"""Beats; what is longer holds a stray event, not music. 2 h 45 min at 120 BPM."""

DRUM_CLASS = class_of(DRUMS).number
DRUM_GROUP = merged_class(DRUM_CLASS)

ONE_INSTRUMENT = {
    each.number: CLASSES[merged_class(each.number)].default
    for each in CLASSES
    if each.number != DRUM_CLASS
}
"""The program of a class after merging. The kit keeps to itself: its pitches are no pitches."""

MERGED = frozenset(
    each.number
    for each in CLASSES
    if any(
        other != each and merged_class(other.number) == merged_class(each.number)
        for other in CLASSES
    )
)
"""Classes that have others beside them under `engine.instruments.MERGED_CLASSES`."""


class UnusableError(Exception):
    """Why a file is left out."""


def read(data: bytes, cleaning: Cleaning) -> Any:
    """The music of a MIDI file as a symusic score, in the file's own ticks, tracks in the order of
    `engine.music.Note`: drums first, then by program. Raises :class:`UnusableError`.
    """
    score: Any  # symusic types a score by its time unit, which only the file decides
    try:
        score = Score.from_midi(data)
    except Exception as error:  # symusic raises several kinds for broken files
        raise UnusableError(f"cannot be read: {error}") from error
    _check_time(score)
    _choose_tracks(score, cleaning)
    beats = max((track.end() for track in score.tracks), default=0) / score.ticks_per_quarter
    if beats > LONGEST:
        raise UnusableError(f"lasts {beats:.0f} beats, more than {LONGEST}")
    if beats < cleaning.length:
        raise UnusableError(f"lasts {beats:.4g} beats, less than {cleaning.length:.4g}")
    # Notes of one moment are written in one order only; miditok keeps the order of the tracks.
    score.tracks.sort(key=lambda track: DRUMS if track.is_drum else track.program, inplace=True)
    for track in score.tracks:
        if track.is_drum:
            _close_edge_hats(track)
    return score


def _check_time(score: Any) -> None:
    foreign = {
        f"{meter.numerator}/{meter.denominator}"
        for meter in score.time_signatures
        if meter.numerator not in METERS.get(meter.denominator, ())
    }
    if foreign:
        raise UnusableError(f"meter {', '.join(sorted(foreign))}")
    if score.ticks_per_quarter < COARSEST:
        raise UnusableError(
            f"only {score.ticks_per_quarter} ticks to the quarter note; {COARSEST} are needed"
        )


def _choose_tracks(score: Any, cleaning: Cleaning) -> None:
    """Leave only the tracks that are wanted, each with its instrument. Raises where too few are
    there."""
    score.tracks = [track for track in score.tracks if len(track.notes)]
    classes = [_class(track) for track in score.tracks]
    if missing := cleaning.required - set(classes):
        names = ", ".join(CLASSES[number].name for number in sorted(missing))
        raise UnusableError(f"has no {names}")
    if cleaning.classes is not None:
        score.tracks = [
            track
            for track, number in zip(score.tracks, classes, strict=True)
            if number in cleaning.classes
        ]
        if classes and not score.tracks:
            raise UnusableError("has none of the instrument classes that are kept")
    if cleaning.merge:
        for track in score.tracks:
            number = _class(track)
            if number in MERGED and number in ONE_INSTRUMENT:
                track.program = ONE_INSTRUMENT[number]


def _class(track: Any) -> int:
    return DRUM_CLASS if track.is_drum else class_of(track.program).number


def _close_edge_hats(track: Any) -> None:
    notes = track.notes.numpy()
    pitches = notes["pitch"]
    if not np.isin(pitches, list(EDGE_HATS)).any():
        return
    for edge, hat in EDGE_HATS.items():
        pitches[pitches == edge] = hat
    track.notes = Note.from_numpy(**notes)
