"""Which importer reads a file: told by what is in it, never by its name alone."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from engine.errors import Code, SidemanError
from training.importers.song import Song
from training.importers.zips import DAMAGED

HEAD = 4096
"""Bytes at a file's beginning that tell what it is."""

Members: TypeAlias = frozenset[str]
Songs: TypeAlias = Iterator[tuple[str, Song]]

LEGACY_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
"""What files of torch before 1.6 begin with."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is known by its content, and where its reader is."""

    name: str
    fits: Callable[[bytes, Members], bool]
    """Whether a file with these first bytes and, if it is a zip, these members is one."""
    reader: str = ""
    """``module:function`` from a path to the songs in it; empty for models."""
    refusal: str = ""
    """For what is known but not imported: what to do instead."""

    def songs(self, path: Path) -> Songs:
        """The songs in a file of this format, each with what its name has after the file's."""
        module, _, function = self.reader.partition(":")
        read: Callable[[Path], Songs] = getattr(import_module(module), function)
        return read(path)


def _starts(*signatures: bytes) -> Callable[[bytes, Members], bool]:
    return lambda head, _: head.startswith(signatures)


def _is_score(head: bytes, members: Members) -> bool:
    if members:
        return any(name.lower().endswith((".xml", ".musicxml")) for name in members)
    text = head.replace(b"\0", b"")  # so that UTF-16 reads as well
    return b"<score-partwise" in text or b"<score-timewise" in text


def _is_abc(head: bytes, members: Members) -> bool:
    tune = re.search(rb"^X:[ \t]*[0-9]", head, re.MULTILINE)
    return not members and tune is not None and b"\0" not in head


FORMATS = (
    Format(
        "lpd5",
        lambda _, members: "info.json" in members and "pianoroll_0_csc_data.npy" in members,
        "training.importers.lpd5:read_lpd5",
    ),
    Format(
        "lpd5-423",
        lambda _, members: "data.npy" in members,
        "training.importers.lpd5_tokens:read_tokens",
    ),
    Format("musicxml", _is_score, "training.importers.musicxml:read_musicxml"),
    Format("abc", _is_abc, "training.importers.abc:read_abc"),
    Format(
        "concept",
        lambda head, members: any(m.endswith("/data.pkl") for m in members) and b"embeds" in head,
    ),
    Format(
        "checkpoint",
        lambda head, members: (
            head.startswith(LEGACY_TORCH) or any(m.endswith("/data.pkl") for m in members)
        ),
    ),
    Format(
        "midi",
        _starts(b"MThd"),
        refusal="is a MIDI file already, which 'train tokenize' reads",
    ),
    Format(
        "audio",
        _starts(b"RIFF", b"fLaC", b"OggS", b"ID3"),
        refusal="is audio: 'train audio-data' reads it",
    ),
    Format(
        "pickle",
        _starts(*(b"\x80" + bytes([version]) for version in range(2, 6))),
        refusal="is a pickle, which can run programs, and is not opened",
    ),
)
"""Formats in the order in which they are tried."""


def recognise(path: Path) -> Format:
    """The format of a file. Raises ``bad-file`` for what is none, or is not to be imported."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        members: Members = frozenset()
        if head.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(path) as archive:
                members = frozenset(archive.namelist())
    except OSError as error:
        raise SidemanError(Code.BAD_FILE, f"cannot be read: {error.strerror or error}") from error
    except DAMAGED as error:
        raise SidemanError(Code.BAD_FILE, f"is a damaged zip: {error}") from error
    for each in FORMATS:
        if each.fits(head, members):
            if each.refusal:
                raise SidemanError(Code.BAD_FILE, each.refusal)
            return each
    known = ", ".join(each.name for each in FORMATS if not each.refusal)
    raise SidemanError(Code.BAD_FILE, f"is of no format that is imported: {known}")
