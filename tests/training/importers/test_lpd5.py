"""LPD-5: both layouts, the notes in a roll, and files that are wrong."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Code, SidemanError
from engine.music import DRUMS, Meter
from tests.training.importers.lpd import roll, write_lpd
from training.importers.lpd5 import notes, read_lpd5
from training.importers.song import Note

BAR = 96
BAND = [
    roll(2 * BAR, (0, 1, 36, 100), (24, 1, 36, 90)),
    roll(2 * BAR, (0, 48, 60, 80), (49, 10, 60, 80)),
    roll(2 * BAR),
    roll(2 * BAR, (BAR, BAR, 40, 70)),
    roll(2 * BAR, (0, 2 * BAR, 72, 50)),
]


@pytest.mark.parametrize("old", [True, False])
def test_both_layouts(tmp_path: Path, old: bool) -> None:
    ((_, song),) = read_lpd5(write_lpd(tmp_path / "song.npz", BAND, old=old))
    assert [(part.name, part.program, len(part.notes)) for part in song.parts] == [
        ("Drums", DRUMS, 2),
        ("Piano", 0, 2),
        ("Guitar", 24, 0),
        ("Bass", 32, 1),
        ("Strings", 48, 1),
    ]
    assert song.parts[1].notes == [Note(0, 1920, 60, 80), Note(1960, 400, 60, 80)]
    assert song.parts[0].notes == [Note(0, 40, 36, 100), Note(960, 40, 36, 90)]
    assert song.tempos == [(0, 96.0)]
    assert song.meters == [(0, Meter(4, 4))]
    assert song.title == "TRAAAGR"


def test_tracks_that_nothing_describes(tmp_path: Path) -> None:
    path = write_lpd(tmp_path / "song.npz", BAND, info={"resolution": 24})
    ((_, song),) = read_lpd5(path)
    assert [part.program for part in song.parts] == [DRUMS, 0, 24, 32, 48]


def test_a_louder_step_is_a_new_note() -> None:
    rolled = roll(10, (0, 10, 60, 80), (4, 3, 60, 100))
    assert notes(rolled, 24) == [Note(0, 160, 60, 80), Note(160, 240, 60, 100)]


ONSETS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 12), st.integers(0, 127), st.integers(1, 127)),
    max_size=20,
)


@given(ONSETS)
def test_every_cell_belongs_to_one_note(onsets: list[tuple[int, int, int, int]]) -> None:
    rolled = roll(60, *onsets)
    found = notes(rolled, 24)
    back = np.zeros_like(rolled)
    for start, duration, pitch, _ in found:
        assert not back[start // 40 : (start + duration) // 40, pitch].any()
        back[start // 40 : (start + duration) // 40, pitch] = 1
    np.testing.assert_array_equal(back, rolled > 0)


def broken(tmp_path: Path, name: str, value: object) -> Path:
    path = write_lpd(tmp_path / "song.npz", BAND)
    arrays = dict(np.load(path))
    arrays.pop("info.json", None)
    arrays[name] = np.asarray(value)
    np.savez(path, **arrays)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("info.json", json.dumps({"resolution": 24}))
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pianoroll_1_csc_shape", [1 << 50, 128]),
        ("pianoroll_1_csc_shape", [192, 64]),
        ("pianoroll_1_csc_shape", [-1, 128]),
        ("pianoroll_1_csc_indices", [10**6]),
        ("pianoroll_1_csc_indptr", [0, 5, 2]),
        ("pianoroll_1_csc_data", "words"),
    ],
)
def test_rolls_that_are_wrong(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(SidemanError, match="piano roll 1 is no") as caught:
        list(read_lpd5(broken(tmp_path, name, value)))
    assert caught.value.code is Code.BAD_FILE


@pytest.mark.parametrize("info", [{}, {"resolution": 0}, {"resolution": "24"}, [1]])
def test_information_that_is_wrong(tmp_path: Path, info: dict[str, object]) -> None:
    with pytest.raises(SidemanError, match=r"resolution|info\.json"):
        list(read_lpd5(write_lpd(tmp_path / "song.npz", BAND, info=info)))


def test_pickled_arrays_are_not_opened(tmp_path: Path) -> None:
    path = broken(tmp_path, "pianoroll_1_csc_data", np.array([{}], dtype=object))
    with pytest.raises(SidemanError, match="no sound npz"):
        list(read_lpd5(path))
