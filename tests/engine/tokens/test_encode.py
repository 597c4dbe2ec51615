from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.music import COMMON_TIME, DRUMS, TICKS_PER_BEAT, Meter, MeterMap, Note
from engine.tokens.encode import decode, encode_bar
from engine.tokens.vocabulary import Vocabulary

Tokenize = Callable[[MeterMap, Iterable[Note]], list[int]]

BARS = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.lists(
            st.builds(
                Note,
                bar=st.just(0),
                tick=st.integers(0, 6000),
                program=st.sampled_from([DRUMS, 0, 33, 73]),
                pitch=st.integers(0, 127),
                duration=st.integers(1, 20000),
                velocity=st.integers(1, 127),
            ),
            max_size=8,
        ),
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="session")
def tokenize(tokenizer_file: Path) -> Tokenize:
    """What miditok writes for notes in sounding order."""
    miditok = pytest.importorskip("miditok")
    symusic: Any = pytest.importorskip("symusic")
    tokenizer = miditok.REMI(params=tokenizer_file)

    def tokens(meters: MeterMap, notes: Iterable[Note]) -> list[int]:
        score = symusic.Score(TICKS_PER_BEAT)
        for bar, meter in meters.changes:
            score.time_signatures.append(
                symusic.TimeSignature(meters.start(bar), meter.num, meter.den)
            )
        tracks: dict[int, Any] = {}
        for note in sorted(notes, key=lambda n: (n.program, n.bar, n.tick, n.pitch)):
            if note.program not in tracks:
                track = symusic.Track("", max(note.program, 0), note.program == DRUMS)
                tracks[note.program] = track
            time = meters.absolute(note.onset)
            tracks[note.program].notes.append(
                symusic.Note(time, note.duration, note.pitch, note.velocity)
            )
        for track in tracks.values():
            score.tracks.append(track)
        return list(tokenizer.encode(score).ids)

    return tokens


def encode(vocabulary: Vocabulary, meters: MeterMap, notes: Iterable[Note]) -> list[int]:
    """All bars up to the last note, one after another."""
    bars: dict[int, list[Note]] = {}
    for note in notes:
        bars.setdefault(note.bar, []).append(note)
    return [
        token
        for bar in range(max(bars, default=-1) + 1)
        for token in encode_bar(vocabulary, meters.at(bar), bars.get(bar, ()))
    ]


@given(BARS)
@settings(max_examples=60, deadline=None)
def test_a_piece_is_what_miditok_writes(
    vocabulary: Vocabulary, tokenize: Tokenize, bars: list[tuple[int, list[Note]]]
) -> None:
    changes = [(i, vocabulary.meters[n % len(vocabulary.meters)]) for i, (n, _) in enumerate(bars)]
    meters = MeterMap(changes)
    raw = [
        Note(i, note.tick % meters.at(i).ticks, *(getattr(note, f) for f in Note.__slots__[2:]))
        for i, (_, notes) in enumerate(bars)
        for note in notes
    ]
    notes = decode(vocabulary, encode(vocabulary, meters, raw))
    if notes:
        # miditok writes an empty bar at the end only where the meter changes there.
        last = max(note.bar for note in notes)
        heard = MeterMap(change for change in changes if change[0] <= last)
        assert tokenize(heard, notes) == encode(vocabulary, meters, notes)


@pytest.mark.parametrize("collection", ["freedoom", "mutopia", "groove", "simutrans"])
def test_real_pieces_are_what_miditok_writes(
    vocabulary: Vocabulary, tokenize: Tokenize, music: Path, collection: str
) -> None:
    symusic: Any = pytest.importorskip("symusic")
    files = sorted((music / collection).rglob("*.mid"))
    compared = 0
    for path in files[:: max(1, len(files) // 8)]:
        score = symusic.Score(path).resample(TICKS_PER_BEAT)
        meters = MeterMap()
        for change in score.time_signatures:
            meter = Meter(change.numerator, change.denominator)
            if meter in vocabulary.meters:
                meters = meters.with_change(meters.locate(change.time).bar, meter)
        heard = [
            Note(*_place(meters, note.time), program, note.pitch, note.duration, note.velocity)
            for track in score.tracks
            for program in [DRUMS if track.is_drum else track.program]
            for note in track.notes
        ]
        tokens = encode(vocabulary, meters, heard)
        notes = decode(vocabulary, tokens)
        if not notes:
            continue
        last = max(note.bar for note in notes)
        meters = MeterMap(change for change in meters.changes if change[0] <= last)
        assert tokenize(meters, notes) == encode(vocabulary, meters, notes), path.name
        assert len(notes) > 0.8 * len(heard)
        compared += 1
    assert compared >= 4


def _place(meters: MeterMap, time: int) -> tuple[int, int]:
    place = meters.locate(time)
    return place.bar, place.tick


def test_an_empty_bar_is_its_meter(vocabulary: Vocabulary) -> None:
    names = [vocabulary.tokens[i] for i in encode_bar(vocabulary, Meter(3, 4), [])]
    assert names == ["Bar_None", "TimeSig_3/4"]


def test_notes_stand_in_sounding_order(vocabulary: Vocabulary) -> None:
    notes = [
        Note(0, 960, 40, 60, 480, 79),
        Note(0, 960, 0, 67, 480, 79),
        Note(0, 960, 0, 64, 480, 79),
        Note(0, 960, DRUMS, 38, 480, 79),
        Note(0, 0, 73, 72, 480, 79),
    ]
    names = [vocabulary.tokens[i] for i in encode_bar(vocabulary, COMMON_TIME, notes)]
    assert [n for n in names if not n.startswith(("Vel", "Dur"))] == [
        *("Bar_None", "TimeSig_4/4", "Position_0", "Program_73", "Pitch_72", "Position_12"),
        *("Program_-1", "PitchDrum_38", "Program_0", "Pitch_64", "Program_0", "Pitch_67"),
        *("Program_40", "Pitch_60"),
    ]


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (Note(0, 39, 0, 60, 960, 64), Note(0, 0, 0, 60, 960, 63)),
        (Note(0, 40, 0, 60, 960, 67), Note(0, 80, 0, 60, 960, 71)),
        (Note(0, 3839, 0, 60, 960, 1), Note(0, 3760, 0, 60, 960, 7)),
        (Note(0, 0, 0, 60, 1, 127), Note(0, 0, 0, 60, 80, 127)),
        (Note(0, 0, 0, 60, 99999, 127), Note(0, 0, 0, 60, 12 * 960, 127)),
        (Note(0, -5, DRUMS, 36, 1040, 100), Note(0, 0, DRUMS, 36, 1120, 103)),
        (Note(0, 0, DRUMS, 22, 80, 103), Note(0, 0, DRUMS, 42, 80, 103)),
        (Note(0, 0, 0, 20, 960, 100), None),
        (Note(0, 0, DRUMS, 100, 960, 100), None),
    ],
)
def test_what_is_rounded_and_what_is_left_out(
    vocabulary: Vocabulary, raw: Note, written: Note | None
) -> None:
    notes = decode(vocabulary, encode_bar(vocabulary, COMMON_TIME, [raw]))
    assert notes == ([written] if written else [])


def test_of_notes_that_fall_together_the_longest_stays(vocabulary: Vocabulary) -> None:
    notes = [
        Note(0, 0, 0, 60, 480, 127),
        Note(0, 10, 0, 60, 960, 7),
        Note(0, 20, 0, 60, 960, 63),
        Note(0, 0, 1, 60, 80, 63),
    ]
    assert decode(vocabulary, encode_bar(vocabulary, COMMON_TIME, notes)) == [
        Note(0, 0, 0, 60, 960, 63),
        Note(0, 0, 1, 60, 80, 63),
    ]


@given(st.lists(st.integers(0, 500), max_size=60))
def test_decoding_passes_over_stray_tokens(vocabulary: Vocabulary, tokens: list[int]) -> None:
    tokens = [token % len(vocabulary) for token in tokens]
    assert all(note.duration > 0 and note.bar >= 0 for note in decode(vocabulary, tokens))
