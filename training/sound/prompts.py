"""Prompts out of what is said of a file."""

from __future__ import annotations

import re
from string import Formatter

from engine.errors import Code, SidemanError
from training.sound.sources.said import LISTS, Said

LONGEST = 300
"""Characters of a prompt that nobody wrote as one: longer texts than MusicGen has heard say
nothing to it."""

FIELDS = (
    "prompt", "description", "title", "artist", "album", "genres", "moods", "instruments",
    "tags", "key", "bpm", "about", "concept", "name",
)  # fmt: skip
"""What a template may hold, in braces."""


def prompt_of(said: Said, stem: str, template: str | None = None) -> str:
    """The prompt for a file whose name without its suffix is ``stem``.

    By ``template`` where there is one; else as it was written; else put together.
    """
    if template is not None:
        return _filled(template, said, stem) or spelled(stem)
    return said.prompt or _composed(said) or spelled(said.concept) or said.title or spelled(stem)


def check_template(template: str) -> None:
    """Raise ``bad-arguments`` for a template that holds what is none of :data:`FIELDS`."""
    try:
        names = [name for _, name, form, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise SidemanError(Code.BAD_ARGUMENTS, f"--template {template!r}: {error}") from error
    for name in names:
        if name not in FIELDS:
            known = ", ".join(f"{{{each}}}" for each in FIELDS)
            raise SidemanError(
                Code.BAD_ARGUMENTS, f"--template knows no {{{name}}}: there are {known}"
            )


def spelled(name: str) -> str:
    """A file's or a folder's name as words: ``Deep_House-loop`` is "Deep House loop"."""
    return " ".join(re.sub(r"[_-]+", " ", name).split())


def shortened(text: str, longest: int = LONGEST) -> str:
    """``text``, or as many of its whole sentences, else words, as fit."""
    if len(text) <= longest:
        return text
    cut = text[: longest + 1]
    end = max(cut.rfind(mark) for mark in (". ", "! ", "? "))
    if end > longest // 3:
        return cut[: end + 1]
    return cut[: cut.rfind(" ")] if " " in cut else text[:longest]


def _composed(said: Said) -> str:
    """Its description, and what that does not say already."""
    text = shortened(said.description)
    words = [*said.genres, *said.moods, *said.instruments, *said.tags]
    if said.key:
        words.append(said.key)
    if said.bpm:
        words.append(f"{said.bpm} bpm")
    for word in words:
        if word.casefold() not in text.casefold() and len(text) + len(word) + 2 <= LONGEST:
            text = f"{text.removesuffix('.')}, {word}" if text else word
    return text


def _filled(template: str, said: Said, stem: str) -> str:
    values = {name: getattr(said, name, "") for name in FIELDS}
    values |= {name: ", ".join(values[name]) for name in LISTS}
    values["name"] = spelled(stem)
    text = " ".join(template.format_map(values).split())
    text = re.sub(r"[\s,;]*([,;])", r"\1", text)  # what is missing leaves no commas behind
    return text.strip(" ,;")
