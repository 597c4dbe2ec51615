from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Code, SidemanError
from engine.music import DRUMS, Meter
from engine.tokens.vocabulary import Vocabulary, nearest

METERS = st.builds(Meter, st.integers(1, 64), st.sampled_from([1, 2, 4, 8, 16, 32, 64]))


def test_tokens_and_their_ids_are_those_of_miditok(
    vocabulary: Vocabulary, tokenizer_file: Path
) -> None:
    miditok = pytest.importorskip("miditok")
    tokenizer = miditok.REMI(params=tokenizer_file)
    music = {name: id_ for name, id_ in vocabulary.ids.items() if id_ in vocabulary.music}
    assert music == tokenizer.vocab
    types = tuple(tokenizer.token_id_type(i) for i in vocabulary.music)
    assert vocabulary.types[: len(types)] == types


def test_another_tokenizer_of_the_kind_loads_as_well(tmp_path: Path) -> None:
    miditok = pytest.importorskip("miditok")
    tokenizer = miditok.REMI(
        miditok.TokenizerConfig(
            pitch_range=(30, 90),
            beat_res={(0, 2): 8, (2, 6): 2},
            num_velocities=24,
            special_tokens=["PAD", "BOS", "EOS", "MASK"],
            use_programs=True,
            programs=[-1, 0, 33],
            use_time_signatures=True,
            time_signature_range={8: [6], 4: [3, 4]},
            use_pitchdrum_tokens=True,
            drums_pitch_range=(35, 60),
        )
    )
    tokenizer.save(tmp_path / "tokenizer.json")
    assert Vocabulary.load(tmp_path).ids == tokenizer.vocab


def test_a_grid_counts_the_beats_of_the_lower_number(vocabulary: Vocabulary) -> None:
    quarters, eighths, halves = (vocabulary.grid(Meter(3, den)) for den in (4, 8, 2))
    assert [grid.step for grid in (quarters, eighths, halves)] == [80, 40, 160]
    assert [grid.positions for grid in (quarters, eighths, halves)] == [36, 36, 36]
    one_beat = vocabulary.ids["Duration_1.0.6"] - vocabulary.duration.start
    assert [grid.durations[one_beat] for grid in (quarters, eighths, halves)] == [960, 480, 1920]


@pytest.mark.parametrize(
    ("meter", "written"),
    [
        ("7/8", "7/8"),
        ("11/8", "12/8"),
        ("4/8", "2/4"),
        ("13/16", "7/8"),
        ("1/64", "1/4"),
        ("6/2", "7/4"),
        ("64/1", "3/2"),
    ],
)
def test_an_unknown_meter_is_written_as_one_that_holds_it(
    vocabulary: Vocabulary, meter: str, written: str
) -> None:
    num, den = map(int, meter.split("/"))
    assert str(vocabulary.meter_for(Meter(num, den))) == written


@given(METERS)
def test_every_meter_has_a_grid_inside_its_bar(vocabulary: Vocabulary, meter: Meter) -> None:
    grid = vocabulary.grid(meter)
    assert grid.meter == meter
    assert grid.positions >= 1
    assert (grid.positions - 1) * grid.step < meter.ticks
    assert all(a < b for a, b in zip(grid.durations, grid.durations[1:], strict=False))
    assert grid.durations[0] == grid.step
    if meter.beats <= 24:
        assert grid.positions * grid.step >= meter.ticks
    assert 0 <= grid.position(meter.ticks) < grid.positions


@given(st.lists(st.integers(0, 1000), min_size=1, unique=True).map(sorted), st.integers(0, 1000))
def test_nearest_takes_the_upper_of_two_equally_near(values: list[int], value: int) -> None:
    best = min(values, key=lambda v: (abs(v - value), -v))
    assert values[nearest(values, value)] == best


def test_pitches_outside_have_no_token(vocabulary: Vocabulary) -> None:
    assert vocabulary.pitch_id(0, vocabulary.lowest - 1) is None
    assert vocabulary.pitch_id(0, vocabulary.lowest) == vocabulary.pitch.start
    assert vocabulary.pitch_id(DRUMS, vocabulary.lowest_drum) == vocabulary.drum.start
    assert vocabulary.pitch_id(DRUMS, 127) is None


def test_it_loads_in_a_few_milliseconds(tokenizer_file: Path) -> None:
    best = 1.0
    for _ in range(5):
        start = time.perf_counter()
        Vocabulary.load(tokenizer_file)
        best = min(best, time.perf_counter() - start)
    assert best < 0.01


BROKEN: list[dict[str, Any]] = [
    {"tokenization": "TSD"},
    {"_model": "…"},
    {"config": {}},
    {"config": {"use_tempos": True}},
    {"config": {"beat_res": {"0-1": 12}}},
    {"config": {"beat_res": {"0_4": 4, "2_6": 8}}},
    {"config": {"pitch_range": "low"}},
    {"config": {"additional_params": {"use_bar_end_tokens": True}}},
    {"config": {"use_note_duration_programs": []}},
    {"config": {"time_signature_range": {"3": [4]}}},
]


@pytest.mark.parametrize("change", BROKEN, ids=str)
def test_other_tokenizers_are_refused_with_one_line(
    change: dict[str, Any], tokenizer_file: Path, tmp_path: Path
) -> None:
    settings = json.loads(tokenizer_file.read_text())
    if change.get("config"):
        settings["config"] |= change["config"]
    else:
        settings |= change
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(SidemanError) as caught:
        Vocabulary.load(path)
    assert caught.value.code is Code.BAD_FILE
    assert str(path) in caught.value.text
    assert "\n" not in caught.value.text


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff\xfe", b'"REMI"'])
def test_files_that_are_no_tokenizer_are_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SidemanError) as caught:
        Vocabulary.load(tmp_path if content is not None else path)
    assert caught.value.code is Code.BAD_FILE
