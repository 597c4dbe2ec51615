import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import instruments
from engine.errors import Code, SidemanError
from engine.instruments import CLASSES, DRUM_KITS, NICKNAMES, PROGRAMS
from engine.music import DRUMS


def test_the_tables_are_whole() -> None:
    assert len(set(PROGRAMS)) == 128
    assert [each.number for each in CLASSES] == list(range(17))
    programs = [program for each in CLASSES for program in each.programs]
    assert sorted(programs) == [DRUMS, *range(128)]
    assert all(each.default in each.programs for each in CLASSES)
    assert set(NICKNAMES.values()) <= set(programs)
    assert DRUM_KITS[0] == "Standard Kit"


# Anchors all over the General MIDI table, so that a slip of one place shows.
@pytest.mark.parametrize(
    ("program", "name"),
    [
        (0, "Acoustic Grand Piano"),
        (24, "Acoustic Guitar (nylon)"),
        (32, "Acoustic Bass"),
        (47, "Timpani"),
        (55, "Orchestra Hit"),
        (73, "Flute"),
        (80, "Lead 1 (square)"),
        (104, "Sitar"),
        (119, "Reverse Cymbal"),
        (127, "Gunshot"),
    ],
)
def test_anchors(program: int, name: str) -> None:
    assert instruments.program_name(program) == name
    assert instruments.find_program(name.upper()) == program
    assert instruments.find_program(str(program)) == program


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("piano", 0),
        ("acoustic bass", 32),
        ("Double-Bass", 32),
        ("drums", DRUMS),
        ("nylon", 24),
        ("sawtooth", 81),
        ("strings", 48),
        (" 12 ", 12),
    ],
)
def test_words_of_musicians(text: str, program: int) -> None:
    assert instruments.find_program(text) == program


def test_every_program_is_found_by_its_name() -> None:
    for program, name in enumerate(PROGRAMS):
        assert instruments.find_program(name) == program


@pytest.mark.parametrize("text", ["", "128", "-1", "kazoo", "a"])
def test_no_instrument(text: str) -> None:
    with pytest.raises(SidemanError) as caught:
        instruments.find_program(text)
    assert caught.value.code is Code.BAD_ARGUMENTS


def test_classes() -> None:
    assert instruments.class_of(DRUMS).name == "Drums"
    assert instruments.class_of(39).name == "Bass"
    assert instruments.find_class("synth pad").number == 11
    assert instruments.find_class("16").name == "Drums"
    with pytest.raises(ValueError, match="128"):
        instruments.class_of(128)
    with pytest.raises(SidemanError, match="4 Bass"):
        instruments.find_class("winds")


def test_merged_classes() -> None:
    merged = [instruments.merged_class(number) for number in range(17)]
    assert merged == [0, 1, 2, 3, 3, 5, 5, 7, 8, 9, 10, 10, 12, 13, 1, 15, 1]


@given(st.text())
def test_garbage_is_refused_or_read(text: str) -> None:
    with contextlib.suppress(SidemanError):
        assert instruments.find_program(text) in range(-1, 128)
