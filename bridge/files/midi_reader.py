"""Standard MIDI Files, bytes to a song.

Written against "Standard MIDI Files 1.0" (MIDI Manufacturers Association, RP-001). Files come from
strangers: whatever is wrong with one is found before memory or time go into it, and every limit is
a constant below. Channels and controllers survive, which the usual libraries lose.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge import midi_bytes as midi
from bridge.files.midi_song import PITCH_BEND, Control, MidiSong, MidiTrack, Tempo
from engine import instruments
from engine.errors import Code, SidemanError
from engine.music import DRUM_CHANNEL, DRUMS, TICKS_PER_BEAT, Meter, MeterMap, Note

MAX_BYTES = 20_000_000
MAX_TRACKS = 1_000
MAX_EVENTS = 500_000
MAX_CHANGES = 50_000
"""Tempo changes, and meter changes, that one file may hold."""
MAX_BEATS = 200_000

_UNSET = -2
"""The program of notes that no program change came before."""


class _BadMidiError(Exception):
    """What is wrong, without the file's name."""


@dataclass(slots=True)
class _Chunk:
    """What one track chunk holds, in the file's own ticks, keyed by channels from 1 to 16."""

    name: str = ""
    end: int = 0
    # (channel, program) -> (onset, end, pitch, velocity)
    notes: dict[tuple[int, int], list[tuple[int, int, int, int]]] = field(default_factory=dict)
    controls: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    programs: dict[int, int] = field(default_factory=dict)  # the first of each channel


@dataclass(slots=True)
class _Shared:
    """What all chunks of a file add to, and the events still allowed."""

    events_left: int
    tempos: list[tuple[int, int]] = field(default_factory=list)
    meters: list[tuple[int, Meter]] = field(default_factory=list)


def parse(data: bytes, name: str = "the MIDI file") -> MidiSong:
    """The song in the bytes of a type 0 or type 1 file.

    Raises `SidemanError` BAD_FILE that begins with ``name`` and says what is wrong.
    """
    try:
        return _parse(data)
    except _BadMidiError as error:
        raise SidemanError(Code.BAD_FILE, f"{name}: {error}") from None


def _parse(data: bytes) -> MidiSong:
    count, ticks_per_beat, at = _header(data)
    shared = _Shared(MAX_EVENTS)
    # All chunks are found before the first is read, so that a cut-off file costs nothing.
    bodies = list(_bodies(data, at, count))
    chunks = [_chunk(body, ticks_per_beat, shared) for body in bodies]

    def scaled(tick: int) -> int:
        return (2 * tick * TICKS_PER_BEAT + ticks_per_beat) // (2 * ticks_per_beat)

    meter_map = _meter_map((scaled(tick), meter) for tick, meter in shared.meters)
    first_programs: dict[int, int] = {}
    for chunk in chunks:
        first_programs = chunk.programs | first_programs
    tracks: list[MidiTrack] = []
    for chunk in chunks:
        for (channel, program), raw in chunk.notes.items():
            if program == _UNSET:
                program = first_programs.get(channel, 0)
            sound = DRUMS if channel == DRUM_CHANNEL else program
            notes = []
            for onset, end, pitch, velocity in raw:
                start = scaled(onset)
                place = meter_map.locate(start)
                duration = max(1, scaled(end) - start)
                notes.append(Note(place.bar, place.tick, sound, pitch, duration, velocity))
            controls = chunk.controls.get(channel, ())
            tracks.append(
                MidiTrack(
                    chunk.name or instruments.program_name(sound),
                    sound,
                    tuple(sorted(notes)),
                    channel,
                    program if sound == DRUMS else 0,
                    tuple(Control(scaled(tick), number, value) for tick, number, value in controls),
                )
            )
    if not tracks:
        raise _BadMidiError("holds no notes")
    tempos = {0: Tempo(0).beat_us} | {scaled(tick): beat_us for tick, beat_us in shared.tempos}
    return MidiSong(
        tuple(tracks),
        meter_map,
        tuple(Tempo(tick, beat_us) for tick, beat_us in sorted(tempos.items())),
        scaled(max(chunk.end for chunk in chunks)),
    )


def _header(data: bytes) -> tuple[int, int, int]:
    """Number of track chunks, ticks per quarter note, and where the chunks begin."""
    if not data:
        raise _BadMidiError("is empty (0 bytes)")
    if len(data) > MAX_BYTES:
        raise _BadMidiError(f"is larger than {MAX_BYTES // 1_000_000} MB")
    if data[:4] != b"MThd":
        raise _BadMidiError("is not a MIDI file (it does not begin with MThd)")
    if len(data) < 14:
        raise _BadMidiError("is cut off inside its header")
    length, kind, count, division = struct.unpack_from(">IHHH", data, 4)
    if length < 6:
        raise _BadMidiError(f"has a header of {length} bytes instead of 6")
    if kind not in (0, 1):
        raise _BadMidiError(f"is a MIDI file of type {kind}: save it as type 0 or 1")
    if division & 0x8000:
        raise _BadMidiError("counts time in SMPTE frames: save it with ticks per quarter note")
    if division == 0:
        raise _BadMidiError("has 0 ticks per quarter note")
    if count > MAX_TRACKS:
        raise _BadMidiError(f"has {count:,} tracks, and at most {MAX_TRACKS:,} are read")
    return count, division, 8 + length


def _bodies(data: bytes, at: int, count: int) -> Iterator[bytes]:
    """The bytes inside each of ``count`` track chunks; chunks of other kinds are passed over."""
    found = 0
    while found < count:
        if at + 8 > len(data):
            raise _BadMidiError(f"is cut off: it promises {count} tracks and has {found}")
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        at += 8
        if length > len(data) - at:
            raise _BadMidiError(
                f"is cut off: a chunk promises {length:,} bytes where {len(data) - at:,} are left"
            )
        if kind == b"MTrk":
            found += 1
            yield data[at : at + length]
        at += length


def _chunk(body: bytes, ticks_per_beat: int, shared: _Shared) -> _Chunk:
    try:
        return _events(body, ticks_per_beat, shared)
    except IndexError:
        raise _BadMidiError("is damaged: a track ends inside an event") from None


def _events(body: bytes, ticks_per_beat: int, shared: _Shared) -> _Chunk:
    """One track chunk. IndexError where it ends inside an event."""
    chunk = _Chunk()
    # (channel, pitch) -> open notes (onset, velocity, program), the oldest first
    sounding: dict[tuple[int, int], deque[tuple[int, int, int]]] = {}
    programs: dict[int, int] = {}
    last_tick = MAX_BEATS * ticks_per_beat
    tick = at = running = 0
    end = len(body)
    while at < end:
        delta = body[at]
        at += 1
        if delta & 0x80:
            delta, at = _number(body, at - 1)
        tick += delta
        if tick > last_tick:
            raise _BadMidiError(f"is longer than {MAX_BEATS:,} quarter notes")
        shared.events_left -= 1
        if shared.events_left < 0:
            raise _BadMidiError(f"holds more than {MAX_EVENTS:,} events")
        status = body[at]
        if status & 0x80:
            at += 1
            if status < midi.SYSEX:
                running = status
        elif running:
            status = running
        else:
            raise _BadMidiError("is damaged: data where an event should begin")
        kind, channel = midi.split(status)
        if kind == midi.NOTE_ON or kind == midi.NOTE_OFF:
            pitch, velocity = body[at] & 0x7F, body[at + 1] & 0x7F
            at += 2
            key = (channel, pitch)
            if kind == midi.NOTE_ON and velocity:
                started = (tick, velocity, programs.get(channel, _UNSET))
                if key in sounding:
                    sounding[key].append(started)
                else:
                    sounding[key] = deque((started,))
            elif sounding.get(key):
                _close(chunk, key, sounding[key].popleft(), tick)
        elif kind == midi.CONTROL:
            number, value = body[at] & 0x7F, body[at + 1] & 0x7F
            at += 2
            chunk.controls.setdefault(channel, []).append((tick, number, value))
        elif kind == midi.PROGRAM:
            programs[channel] = body[at] & 0x7F
            chunk.programs.setdefault(channel, programs[channel])
            at += 1
        elif kind == midi.BEND:
            value = (body[at] & 0x7F) | (body[at + 1] & 0x7F) << 7
            at += 2
            chunk.controls.setdefault(channel, []).append((tick, PITCH_BEND, value))
        elif kind == midi.POLYTOUCH:
            at += 2
        elif kind == midi.PRESSURE:
            at += 1
        elif status == midi.META:
            meta = body[at]
            length, at = _number(body, at + 1)
            if at + length > end:
                raise IndexError
            if meta == 0x2F:
                break
            _meta(meta, body[at : at + length], tick, chunk, shared)
            at += length
        elif status in (midi.SYSEX, midi.SYSEX_END):
            length, at = _number(body, at)
            if at + length > end:
                raise IndexError
            at += length
        else:
            raise _BadMidiError(f"is damaged: {status:#x} is no event of a file")
    if at > end:  # events whose bytes are passed over do not touch the last of them
        raise IndexError
    for key, waiting in sounding.items():
        for started in waiting:
            _close(chunk, key, started, tick)
    chunk.end = tick
    return chunk


def _close(chunk: _Chunk, key: tuple[int, int], started: tuple[int, int, int], end: int) -> None:
    onset, velocity, program = started
    if end > onset:
        channel, pitch = key
        chunk.notes.setdefault((channel, program), []).append((onset, end, pitch, velocity))


def _meta(kind: int, value: bytes, tick: int, chunk: _Chunk, shared: _Shared) -> None:
    if kind == 0x03 and not chunk.name:
        chunk.name = _text(value)
    elif kind == 0x51 and len(value) == 3:
        beat_us = int.from_bytes(value, "big")
        if beat_us:
            shared.tempos.append((tick, beat_us))
        if len(shared.tempos) > MAX_CHANGES:
            raise _BadMidiError(f"changes its tempo more than {MAX_CHANGES:,} times")
    elif kind == 0x58 and len(value) >= 2:
        if 1 <= value[0] <= 64 and value[1] <= 6:
            shared.meters.append((tick, Meter(value[0], 1 << value[1])))
        if len(shared.meters) > MAX_CHANGES:
            raise _BadMidiError(f"changes its meter more than {MAX_CHANGES:,} times")


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A variable-length quantity of at most four bytes, and where it ends."""
    value = 0
    for _ in range(4):
        byte = body[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    raise _BadMidiError("is damaged: a number of more than four bytes")


def _text(value: bytes) -> str:
    try:
        text = value[:200].decode()
    except UnicodeDecodeError:
        text = value[:200].decode("latin-1")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _meter_map(changes: Iterator[tuple[int, Meter]]) -> MeterMap:
    """Bars out of meter changes at absolute ticks.

    A change inside a bar cuts that bar short where a meter can say so, and waits for the next bar
    line where none can, so that all notes keep their absolute ticks.
    """
    by_bar = {0: Meter()}
    start = bar = 0
    current = by_bar[0]
    for tick, meter in sorted(changes, key=lambda change: change[0]):
        if meter == current:
            continue
        whole, rest = divmod(max(0, tick - start), current.ticks)
        bar += whole
        start += whole * current.ticks
        if rest:
            cut = _meter_of(rest)
            by_bar[bar] = cut or current
            start += rest if cut else current.ticks
            bar += 1
        by_bar[bar] = current = meter
    return MeterMap(by_bar.items())


def _meter_of(ticks: int) -> Meter | None:
    """The meter whose bar is so long, in lowest terms."""
    num, rest = divmod(ticks, TICKS_PER_BEAT // 16)
    den = 64
    while num % 2 == 0 and den > 4:
        num, den = num // 2, den // 2
    return None if rest or num > 64 else Meter(num, den)
