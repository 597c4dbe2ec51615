"""The 423 tokens: what is written reads back, and the numbers are those of the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import SidemanError
from engine.music import DRUMS
from training.importers.lpd5_tokens import (
    END,
    PAD,
    SEQUENCE,
    STEP,
    TIME,
    VOCAB,
    decode,
    encode,
    read_tokens,
    to_steps,
    to_tokens,
    write_tokens,
)
from training.importers.song import Note, Part, Song

TOKENS = st.integers(0, TIME - 1)
STEPS = st.lists(st.frozensets(TOKENS, max_size=8), max_size=30)


def test_the_numbers_of_the_format() -> None:
    assert (TIME, END, PAD, VOCAB) == (420, 421, 422, 423)
    parts = [
        Part("b", 33, [Note(0, STEP, 28, 90)]),
        Part("d", DRUMS, [Note(0, STEP, 36, 90)]),
        Part("p", 0, [Note(0, 2 * STEP, 60, 90)]),
        Part("g", 27, [Note(STEP, STEP, 64, 90)]),
        Part("s", 48, [Note(0, STEP, 120, 90)]),
        Part("x", 122, [Note(0, STEP, 60, 90)]),
    ]
    assert encode(Song(parts)) == [4, 204, 408, 96, TIME, 204, 292, TIME, END]


@given(STEPS)
def test_steps_come_back(steps: list[frozenset[int]]) -> None:
    tokens = to_tokens(steps)
    assert to_steps(tokens) == steps
    assert tokens[-1] == END
    assert tokens.count(TIME) == len(steps)


@given(STEPS)
def test_tokens_of_a_decoded_piece_are_the_same(steps: list[frozenset[int]]) -> None:
    while steps and not steps[-1]:
        steps.pop()  # a rest at the end is no note
    tokens = to_tokens(steps)
    assert encode(decode(tokens)) == tokens


@given(STEPS)
def test_notes_come_back(steps: list[frozenset[int]]) -> None:
    song = decode(to_tokens(steps))
    again = decode(encode(song))
    assert [part.notes for part in again.parts] == [part.notes for part in song.parts]


def test_what_is_held_is_one_note_except_on_drums() -> None:
    song = decode([84, 168, TIME, 84, 168, TIME, END, 5])
    assert song.parts[1].notes == [Note(0, STEP, 24, 100), Note(STEP, STEP, 24, 100)]
    assert song.parts[2].notes == [Note(0, 2 * STEP, 24, 100)]


@settings(max_examples=30)
@given(st.lists(STEPS.filter(any), max_size=4))
def test_a_data_set_reads_back(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[list[frozenset[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("set")
    written = [to_tokens(steps) for steps in pieces]
    *files, order = write_tokens(written, folder)
    assert order.read_text() == "Bass,Drums,Piano,Guitar,Strings"
    assert [path.name for path in files] == ["000.npz"] * bool(pieces)
    read = [song for path in files for _, song in read_tokens(path)]
    assert [part.notes for song in read for part in song.parts] == [
        part.notes for tokens in written for part in decode(tokens).parts
    ]


def test_a_data_set_is_what_the_original_program_reads(tmp_path: Path) -> None:
    long = to_tokens([frozenset({200})] * 700)
    path, _ = write_tokens([long, [421]], tmp_path)
    data = np.load(path)["data"]
    assert (data.dtype, data.shape) == (np.uint16, (2, SEQUENCE))
    assert data.reshape(-1)[: len(long)].tolist() == long
    assert (data.reshape(-1)[len(long) + 1 :] == PAD).all()


@pytest.mark.parametrize("data", [[1, 2], [[423]], [[-1]], [[0.5]]])
def test_what_is_no_data_set(tmp_path: Path, data: object) -> None:
    np.savez(tmp_path / "000.npz", data=np.array(data))
    with pytest.raises(SidemanError, match="token"):
        list(read_tokens(tmp_path / "000.npz"))


def test_numbers_that_are_no_tokens() -> None:
    with pytest.raises(SidemanError, match="500 is none"):
        decode([500])
