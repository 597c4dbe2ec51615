"""One part of a MusicXML score, measure by measure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from xml.etree.ElementTree import Element

from engine import instruments
from engine.chords import NATURALS
from engine.errors import Code, SidemanError
from engine.music import DRUM_CHANNEL, DRUMS, Meter
from training.importers.harmony import read_harmony
from training.importers.sheet import DYNAMICS, Measure, Note, Sheet
from training.importers.song import MAX_NOTES, clean_text, key_name

MAX_MEASURES = 10_000
MAX_TIMES = 8
"""The most often that a repeat is believed to be played."""

DYNAMICS_UNIT = 90
"""``dynamics="100"`` is this velocity: a percentage of MIDI's forte, by the standard."""

BEAT_UNITS = {
    "breve": Fraction(8), "whole": Fraction(4), "half": Fraction(2), "quarter": Fraction(1),
    "eighth": Fraction(1, 2), "16th": Fraction(1, 4), "32nd": Fraction(1, 8),
}  # fmt: skip
"""Quarter notes in the beat that a metronome mark counts."""

SOUNDS = {
    "voice": 52, "strings.violin": 40, "strings.viola": 41, "strings.cello": 42,
    "strings.contrabass": 43, "strings": 48, "keyboard.harpsichord": 6, "keyboard.organ": 19,
    "keyboard": 0, "pluck.guitar": 24, "pluck.bass": 33, "pluck.harp": 46, "wind.flutes": 73,
    "wind.reed.clarinet": 71, "wind.reed.oboe": 68, "wind.reed.bassoon": 70,
    "wind.reed.saxophone": 65, "brass.trumpet": 56, "brass.trombone": 57, "brass.french-horn": 60,
    "brass.tuba": 58, "brass": 61, "drum": DRUMS,
}  # fmt: skip
"""Programs of ``instrument-sound`` by their beginnings, the longer first."""

WORDS: dict[str, tuple[str, str | bool]] = {
    r"(D\. ?C\.|da capo)": ("jump", "capo"),
    r"(D\. ?S\.|dal segno)": ("jump", "segno"),
    r"fine\.?$": ("fine", True),
    r"to coda": ("to_coda", True),
}
"""What the words of a direction begin with, and what they do to their measure."""


@dataclass(slots=True)
class _Instrument:
    """What a note's instrument means: a part of the sheet, and a fixed pitch for drums."""

    part: int
    pitch: int | None = None


@dataclass(slots=True)
class _Place:
    """Where in a measure the reading is, and what has been found that needs the whole measure."""

    measure: Measure
    at: Fraction = Fraction(0)
    onset: Fraction = Fraction(0)
    """Of the last note: where further notes of its chord begin."""
    loudness: list[tuple[Fraction, str, int]] = field(default_factory=list)
    """Velocity from a place on, for a staff or, by an empty name, for all."""
    notes: list[tuple[str, Note]] = field(default_factory=list)
    """Notes that are as loud as their staff."""

    def move(self, by: Fraction) -> None:
        """Go on, or back, by a length."""
        self.at = max(Fraction(0), self.at + by)
        self.measure.length = max(self.measure.length, self.at)


class PartReader:
    """Adds a part to a sheet: its instruments, and its notes to the common measures."""

    def __init__(self, sheet: Sheet, described: Element | None) -> None:
        """``described`` is the part's ``score-part``, where the part list has one."""
        self._sheet = sheet
        self._divisions = Fraction(1)
        self._shifts: dict[str, int] = {}
        self._loudness: dict[str, int] = {}
        self._instruments: dict[str, _Instrument] = {}
        self._parts: dict[int, int] = {}
        self._name = ""
        if described is not None:
            self._describe(described)

    def read(self, measures: Iterable[Element]) -> None:
        """Read all measures of the part; where their count begins anew, a movement begins."""
        before = ""
        for number, element in enumerate(measures):
            if number >= MAX_MEASURES:
                raise SidemanError(Code.BAD_FILE, f"has more than {MAX_MEASURES} measures")
            if number == len(self._sheet.measures):
                self._sheet.measures.append(Measure())
            measure = self._sheet.measures[number]
            counted = element.get("number", "")
            measure.movement |= (
                counted in ("0", "1") and before.isdigit() and int(before) > int(counted)
            )
            before = counted if counted.isdigit() else before
            self._measure(_Place(measure), element)
        if sum(len(measure.notes) for measure in self._sheet.measures) > MAX_NOTES:
            raise SidemanError(Code.BAD_FILE, f"has more than {MAX_NOTES} notes")

    def _describe(self, part: Element) -> None:
        """The part's name and instruments."""
        sounds = {each.get("id", ""): each for each in part.iterfind("score-instrument")}
        name = part.findtext("part-name") or part.findtext("score-instrument/instrument-name")
        self._name = clean_text(name)
        midis = {each.get("id", ""): each for each in part.iterfind("midi-instrument")}
        for key in {**sounds, **midis}:
            midi, sound = midis.get(key), sounds.get(key)
            program = _program(midi, sound, self._name)
            drum = midi.findtext("midi-unpitched") if midi is not None else None
            pitch = int(drum) - 1 if drum else None
            self._instruments[key] = _Instrument(self._part(program), pitch)

    def _part(self, program: int) -> int:
        """The part of the sheet that plays this part's notes of ``program``."""
        if program not in self._parts:
            self._parts[program] = len(self._sheet.parts)
            self._sheet.parts.append((self._name, program))
        return self._parts[program]

    def _instrument(self, note: Element) -> _Instrument:
        named = note.find("instrument")
        key = named.get("id", "") if named is not None else next(iter(self._instruments), "")
        if key not in self._instruments:
            unpitched = note.find("unpitched") is not None
            program = DRUMS if unpitched else _program(None, None, self._name)
            self._instruments[key] = _Instrument(self._part(program))
        return self._instruments[key]

    def _measure(self, place: _Place, element: Element) -> None:
        for child in element:
            match child.tag:
                case "note":
                    self._note(place, child)
                case "backup":
                    place.move(-self._length(child))
                case "forward":
                    place.move(self._length(child))
                case "attributes":
                    self._attributes(place.measure, child)
                case "direction":
                    self._direction(place, child)
                case "sound":
                    self._sound(place, child, place.at, "")
                case "harmony":
                    self._harmony(place, child)
                case "barline":
                    _bar_line(place.measure, child)
        self._set_loudness(place)

    def _length(self, element: Element) -> Fraction:
        """The duration of a note or move, in quarter notes."""
        return _fraction(element.findtext("duration")) / self._divisions

    def _attributes(self, measure: Measure, element: Element) -> None:
        if divisions := _fraction(element.findtext("divisions")):
            self._divisions = divisions
        for transpose in element.iterfind("transpose"):
            octaves = _whole(transpose.findtext("octave-change"))
            octaves -= transpose.find("double") is not None
            shift = _whole(transpose.findtext("chromatic")) + 12 * octaves
            self._shifts[transpose.get("number", "")] = shift
        if time := element.find("time"):
            measure.meter = _meter(time) or measure.meter
        if (fifths := element.findtext("key/fifths")) and measure.key is None:
            minor = (element.findtext("key/mode") or "").strip() == "minor"
            measure.key = _key(_whole(fifths), minor, self._shift(""))

    def _shift(self, staff: str) -> int:
        """Semitones from what is written on a staff to what sounds."""
        return self._shifts.get(staff, self._shifts.get("", 0))

    def _note(self, place: _Place, element: Element) -> None:
        if element.find("grace") is not None:
            return
        length = self._length(element)
        if element.find("chord") is None:
            place.onset = place.at
            place.move(length)
        silent = element.find("rest") is not None or element.find("cue") is not None
        if silent or length <= 0:
            return
        instrument = self._instrument(element)
        staff = (element.findtext("staff") or "").strip()
        pitch = self._pitch(element, instrument, staff)
        if pitch is None or not 0 <= pitch <= 127:
            return
        ties = element.findall("tie") or element.findall("notations/tied")
        kinds = {tie.get("type") for tie in ties}
        note = Note(
            place.onset,
            length,
            pitch,
            DYNAMICS["mf"],
            instrument.part,
            tied_from="stop" in kinds,
            tied_to="start" in kinds,
        )
        if own := element.get("dynamics"):
            note.velocity = _velocity(own)
        else:
            place.notes.append((staff, note))
        place.measure.notes.append(note)

    def _pitch(self, element: Element, instrument: _Instrument, staff: str) -> int | None:
        if instrument.pitch is not None:
            return instrument.pitch
        written = element.find("pitch")
        shift = self._shift(staff)
        if written is None:
            written, shift = element.find("unpitched"), 0
        if written is None:
            return None
        prefix = "display-" if written.tag == "unpitched" else ""
        step = (written.findtext(f"{prefix}step") or "").strip()
        if step not in NATURALS:
            return None
        octave = _whole(written.findtext(f"{prefix}octave"))
        return 12 * (octave + 1) + NATURALS[step] + _whole(written.findtext("alter")) + shift

    def _direction(self, place: _Place, element: Element) -> None:
        at = place.at + _fraction(element.findtext("offset")) / self._divisions
        staff = (element.findtext("staff") or "").strip()
        for mark in element.iterfind("direction-type/dynamics/*"):
            if mark.tag in DYNAMICS:
                place.loudness.append((at, staff, DYNAMICS[mark.tag]))
        sound = element.find("sound")
        if sound is None or not sound.get("tempo"):
            for metronome in element.iterfind("direction-type/metronome"):
                if tempo := _metronome(metronome):
                    place.measure.tempos.append((max(at, Fraction(0)), tempo))
        if sound is not None:
            self._sound(place, sound, at, staff)
        place.measure.segno |= element.find("direction-type/segno") is not None
        place.measure.coda |= element.find("direction-type/coda") is not None
        for words in element.iterfind("direction-type/words"):
            _read_words(place.measure, words.text or "")

    def _sound(self, place: _Place, sound: Element, at: Fraction, staff: str) -> None:
        measure = place.measure
        if tempo := _fraction(sound.get("tempo")):
            measure.tempos.append((max(at, Fraction(0)), _bounded(tempo)))
        if dynamics := sound.get("dynamics"):
            place.loudness.append((at, staff, _velocity(dynamics)))
        if sound.get("dacapo") == "yes":
            measure.jump = "capo"
        elif sound.get("dalsegno"):
            measure.jump = "segno"
        measure.segno |= bool(sound.get("segno"))
        measure.coda |= bool(sound.get("coda"))
        measure.to_coda |= bool(sound.get("tocoda"))
        measure.fine |= bool(sound.get("fine"))

    def _harmony(self, place: _Place, element: Element) -> None:
        at = place.at + _fraction(element.findtext("offset")) / self._divisions
        try:
            chord = read_harmony(element, self._shift(""))
        except ValueError:
            return  # a symbol that cannot be read costs the symbol, not the song
        place.measure.chords.append((max(at, Fraction(0)), chord))

    def _set_loudness(self, place: _Place) -> None:
        """Give the notes of a measure the loudness that was written for their staff."""
        marks = sorted(place.loudness, key=lambda mark: mark[0])
        for staff, note in place.notes:
            here = [v for at, which, v in marks if at <= note.at and which in ("", staff)]
            held = self._loudness.get(staff, self._loudness.get("", DYNAMICS["mf"]))
            note.velocity = here[-1] if here else held
        for _, staff, velocity in marks:
            if not staff:
                self._loudness.clear()
            self._loudness[staff] = velocity


def _program(midi: Element | None, sound: Element | None, name: str) -> int:
    """The program of an instrument, by what says it best; a piano where nothing does."""
    if midi is not None:
        channel, program = midi.findtext("midi-channel"), midi.findtext("midi-program")
        if _whole(channel) == DRUM_CHANNEL or midi.findtext("midi-unpitched"):
            return DRUMS
        if program and 1 <= _whole(program) <= 128:
            return _whole(program) - 1
    kind = (sound.findtext("instrument-sound") or "").strip() if sound is not None else ""
    for beginning, program_number in SOUNDS.items():
        if kind.startswith(beginning):
            return program_number
    try:
        return instruments.find_program(name) if re.search(r"[a-z]", name) else 0
    except SidemanError:
        return 0


def _meter(time: Element) -> Meter | None:
    """The meter of a ``time`` element, ``3+2`` and several fractions summed up."""
    whole = Fraction(0)
    lower = 1
    for beats, kind in zip(time.iterfind("beats"), time.iterfind("beat-type"), strict=False):
        upper = sum(_whole(each) for each in (beats.text or "").split("+"))
        lower = max(lower, _whole(kind.text))
        whole += Fraction(upper, max(1, _whole(kind.text)))
    try:
        return Meter(int(whole * lower), lower)
    except ValueError:
        return None


def _key(fifths: int, minor: bool, shift: int) -> str | None:
    """The name of the key that sounds, as MIDI's key signatures have it."""
    if shift % 12:
        fifths = (fifths + 7 * shift + 5) % 12 - 5
    return key_name(fifths, minor)


def _metronome(element: Element) -> float | None:
    """Quarter notes a minute of a metronome mark; None for one between two notes."""
    unit = BEAT_UNITS.get((element.findtext("beat-unit") or "").strip())
    number = re.search(r"[0-9]+(\.[0-9]+)?", element.findtext("per-minute") or "")
    if unit is None or number is None:
        return None
    dots = len(element.findall("beat-unit-dot"))
    return _bounded(Fraction(number[0]) * unit * (2 - Fraction(1, 2**dots)))


def _bar_line(measure: Measure, element: Element) -> None:
    repeat, ending = element.find("repeat"), element.find("ending")
    if repeat is not None and repeat.get("direction") == "forward":
        measure.forward = True
    elif repeat is not None:
        measure.times = min(max(2, _whole(repeat.get("times"))), MAX_TIMES)
    if ending is None:
        return
    if ending.get("type") == "start":
        numbers = re.findall(r"[0-9]{1,2}", ending.get("number", ""))
        measure.endings = frozenset(n for n in map(int, numbers) if 0 < n <= MAX_TIMES)
    else:
        measure.ending_stops = True


def _read_words(measure: Measure, text: str) -> None:
    """Where to go on, as scores say it that have no signs for programs."""
    for pattern, (mark, value) in WORDS.items():
        if re.match(pattern, text.strip(), re.IGNORECASE):
            setattr(measure, mark, value)


def _velocity(percent: str) -> int:
    return min(max(1, round(_fraction(percent) * DYNAMICS_UNIT / 100)), 127)


def _bounded(tempo: Fraction) -> float:
    return float(min(max(tempo, Fraction(5)), Fraction(1000)))


def _fraction(text: str | None) -> Fraction:
    """A number as XML writes it; 0 for none. Raises ``ValueError`` for what is too long."""
    text = (text or "0").strip() or "0"
    if len(text) > 24 or "e" in text.casefold():
        raise ValueError(f"{text[:24]!r} is no number")
    return Fraction(text)


def _whole(text: str | None) -> int:
    return round(_fraction(text))
