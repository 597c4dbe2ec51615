"""Chord symbols of MusicXML as the chords of `engine.chords`.

What has no equal there becomes the nearest that a rhythm section would play: elevenths and
thirteenths are ninths, a diminished triad the seventh chord.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from engine.chords import NATURALS, Chord

KINDS = {
    "major": "",
    "minor": "m",
    "augmented": "aug",
    "diminished": "dim",
    "dominant": "7",
    "major-seventh": "M7",
    "minor-seventh": "m7",
    "diminished-seventh": "dim",
    "augmented-seventh": "7#5",
    "half-diminished": "m7-5",
    "major-minor": "mM7",
    "major-sixth": "6",
    "minor-sixth": "m6",
    "dominant-ninth": "7(9)",
    "major-ninth": "M7(9)",
    "minor-ninth": "m7(9)",
    "dominant-11th": "7(9)",
    "major-11th": "M7(9)",
    "minor-11th": "m7(9)",
    "dominant-13th": "7(9)",
    "major-13th": "M7(9)",
    "minor-13th": "m7(9)",
    "suspended-second": "sus2",
    "suspended-fourth": "sus4",
    "power": "5",
}
"""The ``kind`` of a harmony → a quality of `engine.chords`."""

DEGREES = {
    ("", "add 9"): "add9",
    ("", "add 2"): "add9",
    ("", "alter 5 1"): "aug",
    ("7", "alter 5 -1"): "7-5",
    ("7", "alter 5 1"): "7#5",
    ("7", "add 9"): "7(9)",
    ("M7", "alter 5 -1"): "M7-5",
    ("M7", "add 9"): "M7(9)",
    ("m7", "alter 5 -1"): "m7-5",
    ("m7", "add 9"): "m7(9)",
    ("m", "add 7"): "mM7",
    ("sus4", "add 7 -1"): "7sus4",
    ("sus4", "add 7"): "7sus4",
    ("7", "add 4"): "7sus4",
}
"""Degrees that make another chord out of a quality."""


def read_harmony(element: Element, shift: int) -> Chord | None:
    """The chord of a ``harmony`` element, ``shift`` semitones up; None for "no chord".

    Raises ``ValueError`` for what names no root, such as a function in a key, or an unknown kind.
    """
    kind = (element.findtext("kind") or "").strip()
    if kind == "none":
        return None
    if kind not in KINDS:
        raise ValueError(f"unknown kind of chord {kind[:40]!r}")
    quality = KINDS[kind]
    for degree in element.findall("degree"):
        alter = _number(degree.findtext("degree-alter"))
        words = [degree.findtext("degree-type") or "", degree.findtext("degree-value") or ""]
        changed = " ".join(map(str.strip, words)) + (f" {alter}" if alter else "")
        quality = DEGREES.get((quality, changed), quality)
    root = _pitch_class(element, "root", shift)
    if root is None:
        raise ValueError("a chord without a root")
    bass = _pitch_class(element, "bass", shift)
    return Chord(root, quality, None if bass == root else bass)


def _pitch_class(element: Element, which: str, shift: int) -> int | None:
    step = (element.findtext(f"{which}/{which}-step") or "").strip()
    if step not in NATURALS:
        return None
    return (NATURALS[step] + _number(element.findtext(f"{which}/{which}-alter")) + shift) % 12


def _number(text: str | None) -> int:
    return round(float(text)) if text and text.strip() else 0
