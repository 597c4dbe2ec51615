"""MusicXML 1.0 to 4.0 (W3C), partwise or timewise, as a `sheet.Sheet`.

Read are pitches as they sound (transposing instruments), ties, tuplets, several voices and staves,
drum maps, dynamics, tempo, meter, key, chord symbols, repeats with their endings, and D.C. and D.S.
with Fine and Coda. Grace notes, cue notes and ornaments are not played.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from engine.errors import Code, SidemanError
from training.importers.musicxml_part import PartReader
from training.importers.sheet import Sheet, perform, spread_endings
from training.importers.song import Song, clean_text
from training.importers.xml_tree import read_xml


def read_musicxml(path: Path) -> Iterator[tuple[str, Song]]:
    """The song in a MusicXML file, plain or compressed. Raises ``bad-file``."""
    root = read_xml(path)
    try:
        yield "", perform(read_score(root))
    except (ValueError, ZeroDivisionError, OverflowError, KeyError) as error:
        raise SidemanError(Code.BAD_FILE, f"is no sound MusicXML: {error}") from error


def read_score(root: Element) -> Sheet:
    """The score of a ``score-partwise`` or ``score-timewise`` element."""
    if root.tag not in ("score-partwise", "score-timewise"):
        raise SidemanError(Code.BAD_FILE, f"is XML, but no score: {root.tag[:40]!r}")
    sheet = Sheet([], [])
    sheet.title = clean_text(root.findtext("work/work-title") or root.findtext("movement-title"))
    sheet.author = _texts(root, "identification/creator")
    sheet.rights = _texts(root, "identification/rights")
    described = {each.get("id", ""): each for each in root.iterfind("part-list/score-part")}
    for name, measures in _parts(root):
        PartReader(sheet, described.get(name)).read(measures)
    for measure in sheet.measures:
        measure.chords.sort(key=lambda each: each[0])
        measure.tempos.sort(key=lambda each: each[0])
    spread_endings(sheet.measures)
    return sheet


def _parts(root: Element) -> Iterator[tuple[str, list[Element]]]:
    """Each part's name and measures."""
    if root.tag == "score-partwise":
        for part in root.iterfind("part"):
            yield part.get("id", ""), part.findall("measure")
        return
    parts: dict[str, list[Element]] = {}
    for measure in root.iterfind("measure"):
        for part in measure.iterfind("part"):
            parts.setdefault(part.get("id", ""), []).append(part)
    yield from parts.items()


def _texts(root: Element, path: str) -> str:
    return clean_text(", ".join(each.text for each in root.iterfind(path) if each.text))
