"""Standard MIDI Files, a song to bytes: one chunk for meters and tempo, one for each track."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from bridge import midi_bytes as midi
from bridge.files.midi_song import PITCH_BEND, MidiSong, MidiTrack
from engine.music import DRUM_CHANNEL, TICKS_PER_BEAT, MeterMap

_BANK_SELECT = (0, 32)
_MELODIC = [channel for channel in range(1, 17) if channel != DRUM_CHANNEL]

# What comes first where events share a tick: a bank before the program that it holds, the sound's
# settings before its notes, and the end of a note before the start of the next.
_BANK, _PROGRAM, _CONTROL, _OFF, _ON = range(5)

_Event = tuple[int, int, bytes]
"""Tick, order at that tick, and the event's bytes without its delta time."""


def dump(song: MidiSong, ticks_per_beat: int = TICKS_PER_BEAT) -> bytes:
    """The bytes of a type 1 file. 960 ticks to the quarter note, the default, keep every tick."""
    end = song.end

    def scaled(tick: int) -> int:
        return (2 * tick * ticks_per_beat + TICKS_PER_BEAT) // (2 * TICKS_PER_BEAT)

    def chunk(events: Iterable[_Event]) -> bytes:
        return _chunk(((scaled(tick), order, data) for tick, order, data in events), scaled(end))

    channels = _channels(song.tracks)
    shared = {channel for channel in channels if channels.count(channel) > 1}
    chunks = [chunk(_conductor(song))]
    for track, channel in zip(song.tracks, channels, strict=True):
        chunks.append(chunk(_track(track, channel, channel in shared, song.meter_map)))
    return struct.pack(">4sIHHH", b"MThd", 6, 1, len(chunks), ticks_per_beat) + b"".join(chunks)


def _conductor(song: MidiSong) -> list[_Event]:
    events: list[_Event] = []
    for bar, meter in song.meter_map.changes:
        value = bytes((meter.num, meter.den.bit_length() - 1, 24, 8))
        events.append((song.meter_map.start(bar), _CONTROL, _meta(0x58, value)))
    for tempo in song.tempos:
        events.append((tempo.tick, _CONTROL, _meta(0x51, tempo.beat_us.to_bytes(3, "big"))))
    return events


def _track(track: MidiTrack, channel: int, shared: bool, meter_map: MeterMap) -> list[_Event]:
    status = channel - 1
    program = bytes((midi.PROGRAM | status, track.kit if track.is_drum else track.program))
    events: list[_Event] = [
        (0, _BANK, _meta(0x03, track.name.encode())),
        (0, _PROGRAM, program),
    ]
    for control in track.controls:
        if control.number == PITCH_BEND:
            data = bytes((midi.BEND | status, control.value & 0x7F, control.value >> 7))
        else:
            data = midi.control(channel, control.number, control.value)
        order = _BANK if control.number in _BANK_SELECT else _CONTROL
        events.append((control.tick, order, data))
    for note in track.notes:
        start = meter_map.absolute(note.onset)
        # Another instrument may have taken the channel since this one's last note.
        if shared:
            events.append((start, _ON, program))
        events.append((start, _ON, midi.note_on(channel, note.pitch, note.velocity)))
        events.append((start + note.duration, _OFF, midi.note_off(channel, note.pitch)))
    return events


def _channels(tracks: Sequence[MidiTrack]) -> list[int]:
    """A channel for each track: its own where it has one that no other sound plays on.

    Where all are taken, tracks share.
    """
    sounds: dict[int, tuple[int, int]] = {}  # channel -> (program, kit)
    wanted = {track.channel for track in tracks}
    chosen: list[int] = []
    for track in tracks:
        sound = (track.program, track.kit)
        channel = DRUM_CHANNEL if track.is_drum else track.channel
        taken = channel in sounds and sounds[channel] != sound
        if channel is None or (not track.is_drum and (taken or channel == DRUM_CHANNEL)):
            free = [each for each in _MELODIC if each not in sounds]
            unwanted = [each for each in free if each not in wanted]
            channel = (unwanted or free or _MELODIC[len(chosen) % len(_MELODIC) :])[0]
        sounds.setdefault(channel, sound)
        chosen.append(channel)
    return chosen


def _chunk(events: Iterable[_Event], end: int) -> bytes:
    body = bytearray()
    last = 0
    for tick, _, data in sorted(events, key=lambda event: event[:2]):
        body += _number(tick - last) + data
        last = tick
    body += _number(max(0, end - last)) + _meta(0x2F, b"")
    return struct.pack(">4sI", b"MTrk", len(body)) + bytes(body)


def _meta(kind: int, value: bytes) -> bytes:
    return bytes((midi.META, kind)) + _number(len(value)) + value


def _number(value: int) -> bytes:
    """A variable-length quantity."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))
