"""Strict TOML: errors stand on the right line, whatever the file looks like."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from engine.errors import Code, SidemanError
from engine.toml import LARGEST_BYTES, Source, nearest


@dataclass(frozen=True)
class Inner:
    temperature: Annotated[float, Meta(ge=0, le=2)] = 1.0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"] = "a"
    title: str = ""
    inner: Inner = Inner()
    free: dict[str, int] = field(default_factory=dict)


def error(text: str) -> str:
    with pytest.raises(SidemanError) as caught:
        Source(text, "x.toml").convert(Outer)
    assert caught.value.code is Code.BAD_FILE
    return caught.value.text


def test_a_good_file_becomes_its_dataclass() -> None:
    text = 'kind = "b"\n[inner]\ntemperature = 1\nnames = ["x", "y"]\n[free]\n"any key" = 3\n'
    outer = Source(text, "x.toml").convert(Outer)
    assert outer == Outer("b", "", Inner(1.0, ("x", "y")), {"any key": 3})


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('titel = "x"', 1, "unknown key 'titel'; the nearest known key is 'title'"),
        ("[inner]\ntemprature = 1", 2, "'temprature' in [inner]; the nearest known key is 'temp"),
        ("\n\ntemperature = 1", 3, "the nearest known key is 'temperature' in [inner]"),
        ("[iner]\ntemperature = 1", 1, "the nearest known key is 'inner'"),
        ("inner = { temprature = 1 }", 1, "'temprature' in [inner]"),
        ("inner.temprature = 1", 1, "'temprature' in [inner]"),
        ('["inner"]\n"temprature" = 1', 2, "'temprature' in [inner]"),
        ("# temprature = 1\n[inner] # temprature\n  temprature = 1", 3, "'temprature'"),
        ('title = """\ntemprature = 1\n[inner]\n"""\n[inner]\ntemprature = 1', 6, "'temprature'"),
        ("[free]\ntemprature = 1\n[inner]\ntemprature = 1", 4, "'temprature' in [inner]"),
        ("[inner]\nnames = [\n 'a',\n 'b',\n]\ntemprature = [\n 1\n]", 6, "'temprature'"),
        ("[inner]\r\ntemprature = 1\r\n", 2, "'temprature'"),
        ("title = '\u2028'\n[inner]\ntemprature = 1", 3, "'temprature'"),
        ("[inner]\ntemperature = 'warm'", 2, "inner.temperature: expected a number, got a string"),
        ("[inner]\n\ntemperature = 2.5", 3, "expected a number <= 2.0"),
        ("[inner]\ntemperature = nan", 2, "inner.temperature"),
        ("[inner]\ntemperature = inf", 2, "inner.temperature"),
        ("[inner]\ntemperature = true", 2, "inner.temperature"),
        ("[inner]\nnames = ['a',\n 3]", 2, "inner.names: expected a string"),
        ("kind = 'c'", 1, "kind: not one of its choices: 'c'"),
        ("inner = 3", 1, "inner: expected a table"),
        ("[[inner]]\n", 1, "inner: expected a table"),
        ("title = 'a'\ntitle = 'b'", 2, ""),
        ("title = ", 1, "invalid value"),
        ("[inner\n", 1, ""),
    ],
)
def test_errors_name_the_line(text: str, line: int, words: str) -> None:
    said = error(text)
    assert said.startswith(f"x.toml, line {line}: ")
    assert words in said
    assert "\n" not in said


LINES = st.lists(
    st.sampled_from(["", "# temprature = 1", "   ", "\t# [inner]"]),
    max_size=6,
)


@given(
    before=LINES, between=LINES, value=st.sampled_from(["1", "'x'", "[\n1,\n2\n]", '"""\n\n"""'])
)
def test_the_line_is_exact_after_any_blanks_and_comments(
    before: list[str], between: list[str], value: str
) -> None:
    lines = [*before, "[inner]", *between, f"temprature = {value}", "temperature = 1"]
    assert error("\n".join(lines)).startswith(
        f"x.toml, line {len(before) + len(between) + 2}: unknown key 'temprature'"
    )


@given(st.text(max_size=200))
def test_any_text_is_a_file_or_one_clear_error(text: str) -> None:
    try:
        Source(text, "x.toml").convert(Outer)
    except SidemanError as problem:
        assert problem.code is Code.BAD_FILE
        assert problem.text.startswith("x.toml")


def test_files_that_are_no_text(tmp_path: Path) -> None:
    binary, huge = tmp_path / "binary.toml", tmp_path / "huge.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    huge.write_bytes(b"#" * (LARGEST_BYTES + 1))
    for path, words in (
        (binary, "UTF-8"),
        (huge, "bytes"),
        (tmp_path / "missing.toml", "No such file"),
        (tmp_path, "directory"),
    ):
        with pytest.raises(SidemanError, match=words) as caught:
            Source.read(path)
        assert str(path) in caught.value.text


def test_nearest_ignores_case() -> None:
    assert nearest("TEMPRATURE", ["top_p", "temperature", "top_k"]) == "temperature"
