"""Hits are moved as those were that were heard at their place, and nothing else is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.feel import BARS, Feel, Performance
from engine.music import COMMON_TIME, DRUMS, Meter, Note
from engine.tokens.vocabulary import Vocabulary
from engine.worker import wire
from tests.support.tiny_model import TOKENIZER

HAT, KICK = 42, 36


def hit(pitch: int, tick: int, bar: int = 0) -> Note:
    return Note(bar, tick, DRUMS, pitch, 120, 80)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load(TOKENIZER)


@pytest.fixture
def feel(vocabulary: Vocabulary) -> Feel:
    return Feel(vocabulary)


def test_who_plays_on_the_grid_moves_nothing(feel: Feel) -> None:
    feel.hear(3, COMMON_TIME, [hit(HAT, 960), hit(KICK, 0)])
    assert feel.play(hit(HAT, 960), COMMON_TIME, 4) == hit(HAT, 960)


def test_a_place_is_felt_as_it_was_played(feel: Feel) -> None:
    feel.hear(3, COMMON_TIME, [hit(HAT, 985), hit(KICK, 950)])
    assert feel.play(hit(HAT, 960, 2), COMMON_TIME, 4) == hit(HAT, 985, 2)
    assert feel.play(hit(KICK, 960, 2), COMMON_TIME, 4) == hit(KICK, 950, 2)
    piano = Note(0, 960, 0, 60, 480, 80)
    assert feel.play(piano, COMMON_TIME, 4) == piano


def test_bars_of_a_take_go_through_the_latest_hits(feel: Feel) -> None:
    for bar, offset in enumerate((9, 10, 20, 30, 39)):
        feel.hear(bar, COMMON_TIME, [hit(HAT, 960 + offset)])
    played = [feel.play(hit(HAT, 960, bar), COMMON_TIME, 5).tick - 960 for bar in range(5)]
    assert played == [39, 30, 20, 10, 39]


def test_what_lies_behind_the_take_is_not_known_yet(feel: Feel) -> None:
    feel.hear(5, COMMON_TIME, [hit(HAT, 980)])
    assert feel.play(hit(HAT, 960), COMMON_TIME, 5) == hit(HAT, 960)
    assert feel.play(hit(HAT, 960), COMMON_TIME, 6 + BARS) == hit(HAT, 960)


def test_a_new_place_is_felt_as_the_same_place_of_other_beats(feel: Feel) -> None:
    offbeats = [hit(HAT, beat * 960 + 480 + 30) for beat in range(3)]
    feel.hear(0, COMMON_TIME, [*offbeats, hit(KICK, 0)])
    assert feel.play(hit(KICK, 3 * 960 + 480), COMMON_TIME, 1).tick == 3 * 960 + 480 + 30
    assert feel.play(hit(KICK, 960), COMMON_TIME, 1).tick == 960


def test_a_bar_is_heard_anew_and_all_can_be_forgotten(feel: Feel) -> None:
    feel.hear(0, COMMON_TIME, [hit(HAT, 985)])
    feel.hear(0, COMMON_TIME, [hit(HAT, 960)])
    assert feel.play(hit(HAT, 960), COMMON_TIME, 1).tick == 960
    feel.hear(0, COMMON_TIME, [hit(HAT, 985)])
    feel.forget()
    assert feel.play(hit(HAT, 960), COMMON_TIME, 1).tick == 960


hits = st.lists(st.builds(hit, st.sampled_from([HAT, KICK, 38, 22]), st.integers(0, 2879)))


@given(st.lists(hits, min_size=1, max_size=4), st.integers(0, 35), st.integers(0, 2800))
def test_a_hit_stays_in_its_bar_and_at_its_position(
    vocabulary: Vocabulary, bars: list[list[Note]], position: int, earliest: int
) -> None:
    meter = Meter(3, 4)
    feel = Feel(vocabulary)
    for bar, notes in enumerate(bars):
        feel.hear(bar, meter, notes)
    grid = vocabulary.grid(meter)
    written = hit(HAT, position * grid.step)
    earliest = min(earliest, written.tick)
    played = feel.play(written, meter, len(bars), earliest)
    assert earliest <= played.tick < meter.ticks
    assert played == replace(written, tick=played.tick)
    if earliest == 0:
        assert grid.position(played.tick) == position


def test_a_take_goes_out_in_sounding_order(feel: Feel) -> None:
    feel.hear(0, COMMON_TIME, [hit(HAT, 990), hit(KICK, 930), hit(HAT, 1950)])
    rooms = [wire.Room(4, 4, [], [])]
    wish = wire.Wish(context_end=1, rooms=rooms, programs=[0, DRUMS], seed=1)
    performance = Performance(feel, wish)
    piano = [Note(0, tick, 0, 60, 480, 80) for tick in (960, 1920)]
    written = [hit(KICK, 960), hit(HAT, 960), piano[0], hit(HAT, 1920), piano[1]]
    out = [performance.take(note) for note in written]
    assert out == [[], [], [], [hit(KICK, 930), piano[0], hit(HAT, 990)], []]
    assert performance.rest() == [piano[1], hit(HAT, 1950)]
    assert performance.rest() == []


def test_what_is_moved_ends_with_the_take(feel: Feel) -> None:
    feel.hear(0, COMMON_TIME, [hit(HAT, 3780)])
    wish = wire.Wish(context_end=1, rooms=[wire.Room(4, 4, [], [])], programs=[DRUMS], seed=1)
    performance = Performance(feel, wish)
    assert performance.take(hit(HAT, 3760)) == []
    assert performance.rest() == [replace(hit(HAT, 3780), duration=60)]


def test_nothing_waits_where_nothing_is_moved(feel: Feel) -> None:
    rooms = [wire.Room(4, 4, [], [])]
    drums = wire.Wish(context_end=1, rooms=rooms, programs=[DRUMS], seed=1)
    assert Performance(feel, drums).take(hit(HAT, 960)) == [hit(HAT, 960)]
    feel.hear(0, COMMON_TIME, [hit(HAT, 990)])
    piano = Note(0, 960, 0, 60, 480, 80)
    assert Performance(feel, structs.replace(drums, programs=[0])).take(piano) == [piano]


def test_real_drummers_are_followed(vocabulary: Vocabulary) -> None:
    """Felt hits lie as far beside the grid as the drummer's own, and no farther from these."""
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("SIDEMAN_DATA") or root.parent / "shared" / "data") / "midi/groove"
    if not folder.is_dir():
        pytest.skip("needs the project's music data")
    symusic = pytest.importorskip("symusic")
    felt, flat, beside = [], [], []
    for path in sorted(folder.rglob("*.mid"))[::40]:
        score = symusic.Score(path)
        if any((t.numerator, t.denominator) != (4, 4) for t in score.time_signatures):
            continue
        feel = Feel(vocabulary)
        step = vocabulary.grid(COMMON_TIME).step
        bars: dict[int, list[Note]] = {}
        for note in (note for track in score.tracks for note in track.notes):
            tick = round(note.time * 960 / score.ticks_per_quarter)
            bars.setdefault(tick // 3840, []).append(hit(note.pitch, tick % 3840))
        for bar in sorted(bars):
            for note in bars[bar] if bar >= 4 else ():
                position = vocabulary.grid(COMMON_TIME).position(note.tick)
                written = hit(note.pitch, position * step)
                played = feel.play(written, COMMON_TIME, bar)
                felt.append(abs(played.tick - note.tick))
                flat.append(abs(written.tick - note.tick))
                beside.append(abs(played.tick - written.tick))
            feel.hear(bar, COMMON_TIME, bars[bar])
    assert len(flat) > 1000
    assert 0.8 < fmean(beside) / fmean(flat) < 1.2
    assert fmean(felt) < fmean(flat)
