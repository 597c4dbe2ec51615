"""Tunes in ABC notation (standard 2.1), the part of it that sounds.

Read are notes, rests and chords with their lengths, accidentals, ties, tuplets, broken rhythm,
several voices, changes of key, meter and tempo, repeats with their endings, chord symbols,
loudness, and ``%%MIDI program``. Grace notes, ornaments, lyrics, macros and the order of parts
(``P:``) are not. It is read here because the usual program is in C, and files come from strangers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from engine import chords
from engine.errors import Code, SidemanError
from engine.music import DRUM_CHANNEL, DRUMS, Meter
from training.importers.abc_fields import (
    ACCIDENTALS,
    LETTERS,
    Key,
    read_key,
    read_length,
    read_meter,
    read_tempo,
    usual_length,
)  # fmt: skip
from training.importers.sheet import DYNAMICS, Measure, Note, Sheet, perform, spread_endings
from training.importers.song import NO_CHORD, Song, clean_text

MAX_BYTES = 32 << 20
MAX_MEASURES = 10_000
MIDDLE_C = 60

JUMPS = {"D.C.": "capo", "dacapo": "capo", "D.S.": "segno", "dalsegno": "segno"}

TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
"""In the time of how many units so many notes are played; the others by the meter."""

_LENGTH = r"[0-9]{0,4}(?:/+[0-9]{0,4})?"
_NOTE = rf"(?:\^\^|__|[\^_=])?[A-Ga-g][,']*{_LENGTH}-?"
_SYMBOL = re.compile(
    rf"""
      (?P<quoted>"[^"]*")
    | (?P<decoration>![^!\s]*!|\+[a-zA-Z.]+\+)
    | (?P<grace>\{{[^}}]*\}})
    | (?P<field>\[[A-Za-z]:[^\]]*\])
    | (?P<bar>(?:\[\||:+\|[\]|]*:*|\|[\]|]*:*|::+)(?P<nth>[0-9][0-9,\-]*)?)
    | (?P<ending>\[[0-9][0-9,\-]*)
    | (?P<group>\[(?:{_NOTE}|[ \t.~uv]|"[^"]*"|![^!\s]*!)+\](?P<group_length>{_LENGTH}))
    | (?P<note>{_NOTE})
    | (?P<rest>[zx]{_LENGTH})
    | (?P<bars>[ZX][0-9]{{0,4}})
    | (?P<tuplet>\([2-9](?::[0-9]?){{0,2}})
    | (?P<broken><+|>+)
    | (?P<tie>-)
    | (?P<overlay>&)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PITCH = re.compile(
    rf"(?P<sign>\^\^|__|[\^_=])?(?P<letter>[A-Ga-g])(?P<octave>[,']*)(?P<length>{_LENGTH})(?P<tie>-?)"
)


def read_abc(path: Path) -> Iterator[tuple[str, Song]]:
    """The tunes in a file that have notes, numbered where they are several. Raises ``bad-file``."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SidemanError(Code.BAD_FILE, f"cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise SidemanError(Code.BAD_FILE, f"is larger than {MAX_BYTES >> 20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    tunes = re.split(r"^(?=X:)", text.replace("\r\n", "\n").replace("\r", "\n"), flags=re.MULTILINE)
    tunes = [tune for tune in tunes if tune.startswith("X:")]
    for number, tune in enumerate(tunes, 1):
        song = perform(read_tune(tune))
        if song.notes:
            yield f"-{number:04d}" if len(tunes) > 1 else "", song


def read_tune(text: str) -> Sheet:
    """One tune, from its ``X:`` on to an empty line."""
    tune = _Tune()
    for line in text.split("\n"):
        if not line.strip():
            break
        tune.line(line)
    return tune.finish()


@dataclass(slots=True)
class _Voice:
    """Where one voice is, and what holds for its next note."""

    part: int
    unit: Fraction
    key: Key
    shift: int = 0
    """Semitones that its notes sound above what is written."""
    bar: int = 0
    at: Fraction = Fraction(0)
    begun: bool = False
    """Whether anything stands in the measure at hand."""
    velocity: int = DYNAMICS["mf"]
    signs: dict[str, int] = field(default_factory=dict)
    """Accidentals of this measure, by the letter in its octave."""
    ties: dict[str, int] = field(default_factory=dict)
    """Pitches that the next note may be tied to, by the letter in its octave."""
    last: list[Note] = field(default_factory=list)
    last_keys: list[str] = field(default_factory=list)
    last_length: Fraction = Fraction(0)
    factor: Fraction = Fraction(1)
    """What broken rhythm does to the next note."""
    tuplet: tuple[Fraction, int] = (Fraction(1), 0)
    """What it does to lengths, and for how many notes yet."""


class _Tune:
    """Reads a tune line by line."""

    def __init__(self) -> None:
        self._sheet = Sheet([], [Measure()])
        self._meter: Meter | None = None
        self._unit: Fraction | None = None
        self._key = Key()
        self._tempo = ""
        self._body = False
        self._voices: dict[str, _Voice] = {}
        self._voice: _Voice | None = None

    def line(self, line: str) -> None:
        """Read one line."""
        if line.startswith("%%"):
            self._directive(line[2:])
            return
        line = re.sub(r"(?<!\\)%.*", "", line)
        match = re.match(r"([A-Za-z+]):(?!\|)", line)
        if match:
            self._field(match[1], line[2:].strip())
        elif self._body:
            self._music(line)

    def finish(self) -> Sheet:
        """The tune as it has been read."""
        spread_endings(self._sheet.measures)
        if len(self._sheet.measures) > 1 and not self._sheet.measures[-1].length:
            self._sheet.measures.pop()
        return self._sheet

    def _at(self) -> _Voice:
        """The voice at hand; the first one where the tune names none."""
        return self._voice or self._enter("1")

    def _enter(self, name: str) -> _Voice:
        if name not in self._voices:
            unit = self._unit or usual_length(self._meter)
            self._voices[name] = _Voice(len(self._sheet.parts), unit, self._key)
            self._sheet.parts.append(("", 0))
        self._voice = self._voices[name]
        return self._voice

    def _measure(self, voice: _Voice) -> Measure:
        while voice.bar >= len(self._sheet.measures):
            if voice.bar >= MAX_MEASURES:
                raise SidemanError(Code.BAD_FILE, f"has more than {MAX_MEASURES} measures")
            self._sheet.measures.append(Measure())
        return self._sheet.measures[voice.bar]

    def _directive(self, text: str) -> None:
        """A ``%%MIDI`` line: the sound of the voice at hand."""
        match = re.match(r"MIDI[ \t=]+(program|channel)[ \t]+(?:[0-9]+[ \t]+)?([0-9]{1,3})\b", text)
        if match is None:
            return
        part = self._at().part
        name, program = self._sheet.parts[part]
        if match[1] == "channel":
            program = DRUMS if int(match[2]) == DRUM_CHANNEL else program
        elif int(match[2]) < 128 and program != DRUMS:
            program = int(match[2])
        self._sheet.parts[part] = (name, program)

    def _field(self, name: str, text: str) -> None:
        match name:
            case "T" if not self._sheet.title:
                self._sheet.title = clean_text(text)
            case "C" if not self._sheet.author:
                self._sheet.author = clean_text(text)
            case "M":
                self._set_meter(text)
            case "L":
                self._set_unit(read_length(text))
            case "Q":
                self._set_tempo(text)
            case "K":
                self._set_key(text)
            case "V":
                self._set_voice(text)
            case "I":
                self._directive(text)
            case _:
                pass

    def _set_meter(self, text: str) -> None:
        self._meter = read_meter(text)
        measure = self._measure(self._voice) if self._voice else self._sheet.measures[0]
        measure.meter = self._meter or measure.meter

    def _set_unit(self, unit: Fraction | None) -> None:
        if unit is None:
            return
        if self._body and self._voice:
            self._voice.unit = unit
        else:
            self._unit = unit
            for voice in self._voices.values():
                voice.unit = unit

    def _set_tempo(self, text: str) -> None:
        if not self._body:
            self._tempo = text
            return
        voice = self._at()
        if tempo := read_tempo(text, voice.unit):
            self._measure(voice).tempos.append((voice.at, tempo))

    def _set_key(self, text: str) -> None:
        key = read_key(text)
        if not self._body:
            self._body = True
            self._key = key or Key()
            unit = self._unit or usual_length(self._meter)
            if _shift(text):
                self._at()
            for voice in self._voices.values():
                voice.key, voice.unit = self._key, unit
                voice.shift += _shift(text)
            if tempo := read_tempo(self._tempo, unit):
                self._sheet.measures[0].tempos.append((Fraction(0), tempo))
            self._sheet.measures[0].key = self._key.name
        elif key:
            voice = self._at()
            voice.key = key
            self._measure(voice).key = key.name

    def _set_voice(self, text: str) -> None:
        words = text.split(None, 1)
        if not words:
            return
        voice = self._enter(words[0])
        rest = words[1] if len(words) > 1 else ""
        if named := re.search(r'\b(?:name|nm)=(?:"([^"]*)"|(\S+))', rest):
            _, program = self._sheet.parts[voice.part]
            self._sheet.parts[voice.part] = (clean_text(named[1] or named[2]), program)
        voice.shift += _shift(rest)

    def _music(self, line: str) -> None:
        for symbol in _SYMBOL.finditer(line):
            voice = self._at()
            text = symbol[0]
            match symbol.lastgroup:
                case "quoted":
                    self._chord(voice, text.strip('"'))
                case "decoration":
                    self._decoration(voice, text[1:-1])
                case "field":
                    self._field(text[1], text[3:-1].strip())
                case "bar":
                    self._bar_line(voice, text, symbol["nth"] or "")
                case "ending":
                    self._measure(voice).endings = _numbers(text)
                case "group":
                    self._group(voice, text, symbol["group_length"])
                case "note":
                    self._notes(voice, [text], Fraction(1))
                case "rest":
                    self._move(voice, self._length(voice, text[1:]))
                case "bars":
                    self._rest_bars(voice, int(text[1:] or 1))
                case "tuplet":
                    voice.tuplet = self._tuplet(text)
                case "broken":
                    self._broken(voice, text)
                case "tie":
                    for note, key in zip(voice.last, voice.last_keys, strict=True):
                        note.tied_to = True
                        voice.ties[key] = note.pitch
                case "overlay":
                    voice.at = Fraction(0)
                case _:
                    pass

    def _chord(self, voice: _Voice, text: str) -> None:
        """A chord symbol; other texts in quotes are for the eye."""
        if text[:1] in "^_<>@":
            return
        try:
            chord = None if text in (NO_CHORD, "NC") else chords.parse_chord(text.strip())
        except SidemanError:
            return
        self._measure(voice).chords.append((voice.at, chord))

    def _decoration(self, voice: _Voice, name: str) -> None:
        measure = self._measure(voice)
        if name in DYNAMICS:
            voice.velocity = DYNAMICS[name]
        elif name in JUMPS:
            measure.jump = JUMPS[name]
        elif name == "segno":
            measure.segno = True
        elif name == "fine":
            measure.fine = True

    def _bar_line(self, voice: _Voice, text: str, nth: str) -> None:
        signs = text.strip(" 0123456789,-")
        closed = voice.bar if voice.begun else voice.bar - 1
        if voice.begun:
            voice.bar += 1
            voice.at, voice.begun = Fraction(0), False
        voice.signs.clear()
        voice.factor = Fraction(1)
        if closed >= 0:
            before = self._sheet.measures[closed]
            if signs.startswith(":"):
                before.times = 2
            before.ending_stops |= signs.startswith(":") or signs in ("||", "|]")
        after = self._measure(voice)
        after.forward |= signs.endswith(":")
        if nth:
            after.endings = _numbers(nth)

    def _group(self, voice: _Voice, text: str, length: str) -> None:
        inside = text[1 : text.rindex("]")]
        inside = re.sub(r'"[^"]*"|![^!\s]*!', "", inside)
        self._notes(voice, [m[0] for m in _PITCH.finditer(inside)], _factor(length))

    def _notes(self, voice: _Voice, texts: list[str], factor: Fraction) -> None:
        """One note, or several at once; the first one's length moves the voice on."""
        ties, voice.ties = voice.ties, {}
        made, keys = [], []
        length = Fraction(0)
        measure = self._measure(voice)
        tuplet = voice.tuplet
        broken = voice.factor
        for text in texts:
            match = _PITCH.fullmatch(text)
            if match is None:
                continue
            voice.tuplet, voice.factor = tuplet, broken
            own = self._length(voice, match["length"]) * factor
            length = length or own
            key = match["letter"] + match["octave"]
            pitch = self._pitch(voice, match, ties)
            if own <= 0 or not 0 <= pitch <= 127:
                continue
            note = Note(voice.at, own, pitch, voice.velocity, voice.part)
            note.tied_from = ties.get(key) == pitch
            if match["tie"]:
                note.tied_to = True
                voice.ties[key] = pitch
            made.append(note)
            keys.append(key)
        measure.notes += made
        self._move(voice, length)
        voice.last, voice.last_keys, voice.last_length = made, keys, length

    def _pitch(self, voice: _Voice, match: re.Match[str], ties: dict[str, int]) -> int:
        letter, octave = match["letter"], match["octave"]
        key = letter + octave
        natural = MIDDLE_C + LETTERS[letter.upper()] + 12 * letter.islower() + voice.shift
        natural += 12 * (octave.count("'") - octave.count(","))
        if match["sign"]:
            voice.signs[key] = ACCIDENTALS[match["sign"]]
        elif key in ties:
            return ties[key]
        return natural + voice.signs.get(key, voice.key.raised.get(letter.upper(), 0))

    def _length(self, voice: _Voice, text: str) -> Fraction:
        """Quarter notes of a written length, with what tuplets and broken rhythm do to it."""
        scale, left = voice.tuplet
        factor, voice.factor = voice.factor, Fraction(1)
        voice.tuplet = (scale, left - 1) if left > 1 else (Fraction(1), 0)
        return voice.unit * _factor(text) * scale * factor

    def _move(self, voice: _Voice, length: Fraction) -> None:
        measure = self._measure(voice)
        voice.last, voice.last_keys, voice.last_length = [], [], length
        voice.at += length
        voice.begun = True
        measure.length = max(measure.length, voice.at)

    def _rest_bars(self, voice: _Voice, count: int) -> None:
        bar = (self._meter or Meter()).beats
        for i in range(count):
            if i:
                voice.bar, voice.at = voice.bar + 1, Fraction(0)
            self._move(voice, bar)

    def _broken(self, voice: _Voice, text: str) -> None:
        """``a>b``: the first longer and the second shorter; ``<`` the other way round."""
        short = Fraction(1, 2 ** len(text))
        first, voice.factor = (2 - short, short) if text[0] == ">" else (short, 2 - short)
        change = voice.last_length * (first - 1)
        for note in voice.last:
            note.length *= first
        measure = self._measure(voice)
        if measure.length == voice.at:
            measure.length += change
        voice.at += change
        voice.last_length += change

    def _tuplet(self, text: str) -> tuple[Fraction, int]:
        numbers = [int(each) if each else 0 for each in text[1:].split(":")]
        notes, time, count = (*numbers, 0, 0)[:3]
        compound = self._meter is not None and self._meter.num % 3 == 0 and self._meter.num > 3
        time = time or TUPLETS.get(notes, 3 if compound else 2)
        return Fraction(time, notes), count or notes


def _factor(text: str) -> Fraction:
    """A written length, as a multiple of the unit: ``3``, ``3/2``, ``/``, ``//``."""
    upper, slashes, lower = re.fullmatch(r"([0-9]*)(/*)([0-9]*)", text).groups()  # type: ignore[union-attr]
    below = int(lower) if lower else 2 ** len(slashes)
    return Fraction(int(upper or 1), max(1, below))


def _numbers(text: str) -> frozenset[int]:
    """The numbers of an ending: ``1``, ``1,3``, ``1-3``."""
    found: set[int] = set()
    for first, last in re.findall(r"([0-9])(?:-([0-9]))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found - {0})


def _shift(text: str) -> int:
    """Semitones of the ``transpose=`` and ``octave=`` of a field."""
    found = dict(re.findall(r"\b(transpose|octave)=(-?[0-9]{1,2})", text))
    return int(found.get("transpose", 0)) + 12 * int(found.get("octave", 0))
