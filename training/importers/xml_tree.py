"""XML from strangers, plain or in a zip: bounded, and without entities of its own.

Entities are what makes XML dangerous: one can stand for a file of this machine, or for a billion
letters. A document type may be named, as MusicXML does, but is never fetched, and one that defines
an entity is refused.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from engine.errors import Code, SidemanError
from training.importers.zips import DAMAGED

MAX_BYTES = 64 << 20
MAX_ELEMENTS = 3_000_000
MAX_DEPTH = 64

CONTAINER = "META-INF/container.xml"
"""In a compressed MusicXML file, what names the score's file."""


def read_xml(path: Path) -> Element:
    """The root of a ``.xml`` file, or of the score in a ``.mxl`` zip. Raises ``bad-file``."""
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                return _parse(file.read(MAX_BYTES + 1))
        with zipfile.ZipFile(path) as archive:
            return _parse(_member(archive, _score_name(archive)))
    except DAMAGED as error:
        raise SidemanError(Code.BAD_FILE, f"is a damaged zip: {error}") from error
    except OSError as error:
        raise SidemanError(Code.BAD_FILE, f"cannot be read: {error.strerror or error}") from error


def _score_name(archive: zipfile.ZipFile) -> str:
    """What the container names or, where it is damaged, the only XML beside it."""
    try:
        container = _parse(_member(archive, CONTAINER))
        return next(each.get("full-path", "") for each in container.iter("rootfile"))
    except (SidemanError, StopIteration):
        names = [
            name
            for name in archive.namelist()
            if name.lower().endswith((".xml", ".musicxml")) and not name.startswith("META-INF/")
        ]
        if len(names) != 1:
            _refuse("is a zip whose container names no score")
        return names[0]


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as file:
            return file.read(MAX_BYTES + 1)
    except KeyError:
        _refuse(f"lacks {name[:60]!r}")


def _parse(data: bytes) -> Element:
    if len(data) > MAX_BYTES:
        _refuse(f"holds more than {MAX_BYTES >> 20} MiB of XML")
    builder = TreeBuilder()
    elements = depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal elements, depth
        elements, depth = elements + 1, depth + 1
        if elements > MAX_ELEMENTS or depth > MAX_DEPTH:
            _refuse(f"has more than {MAX_ELEMENTS} elements, or {MAX_DEPTH} inside each other")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def entity(name: str, *_: object) -> NoReturn:
        _refuse(f"defines the XML entity {name[:40]!r}, which no score needs")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise SidemanError(Code.BAD_FILE, f"is no sound XML: {error}") from error
    except (ValueError, LookupError) as error:  # an encoding that is not known
        raise SidemanError(Code.BAD_FILE, f"cannot be decoded: {error}") from error
    return builder.close()


def _refuse(why: str) -> NoReturn:
    raise SidemanError(Code.BAD_FILE, why)
