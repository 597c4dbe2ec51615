"""MIDI to audio, offline and exact: as many frames as the music lasts, rests included."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bridge.files import soundfont as soundfonts
from bridge.files.audio_file import Audio, Encoding, audio_writer, check_output
from bridge.files.midi_file import read_midi
from bridge.files.midi_song import PITCH_BEND, MidiSong, MidiTrack, TempoMap
from bridge.files.soundfont import SoundFont
from bridge.files.synths import CHANNELS, Synth, available, open_synth
from engine.errors import Code, SidemanError

MAX_SECONDS = 7200
RATES = range(8_000, 96_001)

_BLOCK = 16_384
_FADE_SECONDS = 0.005
_HEADROOM = 0.98
_PEDAL = 64
_NOT_SENT = (0, 32, _PEDAL)
"""Controllers that the synth does not get: banks beyond General MIDI, and the pedal of `_held`."""
_FOREVER = 2**62

# At one frame a sound is set before notes end, and these before others start.
_PROGRAM, _CONTROL, _OFF, _ON = range(4)

_Event = tuple[int, int, int, int, int]
"""Frame, kind, channel of the synth, and the two numbers of the kind."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a rendering made, by what."""

    path: Path
    frames: int
    rate: int
    engine: str
    soundfont: Path
    gain: float
    """What the samples were multiplied with."""

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return self.frames / self.rate


def backend() -> str:
    """The synthesizer that plays on this machine. `SidemanError` BAD_FILE where there is none."""
    names = available()
    if not names:
        raise SidemanError(Code.BAD_FILE, "no synthesizer: install FluidSynth, or tinysoundfont")
    return names[0]


def render_midi(
    song: MidiSong | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    rate: int = 44_100,
    soundfont: SoundFont | str | os.PathLike[str] | None = None,
    length_ticks: int | None = None,
    tail_seconds: float = 0.0,
    gain: float | None = None,
    encoding: Encoding = "int16",
    engine: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Rendering:
    """Plays a song, or a MIDI file, into ``out``: ``.wav``, ``.flac`` or ``.mp3`` by its suffix.

    The file lasts exactly as long as the music, to the nearest frame: ``length_ticks``, by default
    to the song's end with its final rest; all notes end there. ``tail_seconds`` lets the sound die
    away after it. ``gain`` multiplies the samples; by default they are 1, or as much lower as keeps
    the loudest from clipping. ``progress`` hears the part that is done, 0 to 1.

    Raises `SidemanError` before it writes: BAD_ARGUMENTS for what cannot be asked, BAD_FILE for a
    file, SoundFont or synthesizer that cannot be used.
    """
    out = Path(out)
    check_output(out, rate, encoding)
    if not isinstance(song, MidiSong):
        song = read_midi(song)
    font = _font(soundfont)
    level = 1.0 if gain is None else gain
    while True:
        performance = Performance(song, font, rate, length_ticks, tail_seconds, engine)
        with audio_writer(out, rate, encoding=encoding) as writer:
            peak = 0.0
            for block in performance:
                peak = max(peak, float(np.abs(block).max()))
                writer.write(block * np.float32(level))
                if progress:
                    progress(writer.frames / performance.frames)
            clips = gain is None and peak * level > 1 and encoding != "float"
            # The samples only come out of the synth once: to lower them all, it plays again.
            if not clips:
                break
            level = _HEADROOM / peak
    return Rendering(out, performance.frames, rate, performance.engine, font.path, level)


def render_array(
    song: MidiSong,
    *,
    rate: int = 44_100,
    soundfont: SoundFont | str | os.PathLike[str] | None = None,
    length_ticks: int | None = None,
    tail_seconds: float = 0.0,
    engine: str = "auto",
) -> Audio:
    """The same in memory: float32 samples [frames, 2], neither scaled nor clipped."""
    font = _font(soundfont)
    return np.concatenate(list(Performance(song, font, rate, length_ticks, tail_seconds, engine)))


class Performance:
    """A song as blocks of samples [n, 2], in order; iterated once."""

    def __init__(
        self,
        song: MidiSong,
        font: SoundFont,
        rate: int = 44_100,
        length_ticks: int | None = None,
        tail_seconds: float = 0.0,
        engine: str = "auto",
    ) -> None:
        if rate not in RATES:
            raise _refused(f"a rate of {rate} Hz: use {RATES.start} to {RATES.stop - 1}")
        if not 0 <= tail_seconds <= 60:
            raise _refused(f"a tail of {tail_seconds:g} seconds: use 0 to 60")
        line = TempoMap(song.tempos)
        self.music_frames = line.frame(song.end if length_ticks is None else length_ticks, rate)
        self.frames = self.music_frames + round(tail_seconds * rate)
        if self.music_frames < 1:
            raise _refused("music without length")
        if self.frames > MAX_SECONDS * rate:
            raise _refused(f"{self.frames / rate:.0f} seconds: {MAX_SECONDS} are the most")
        self._fade = max(1, round(_FADE_SECONDS * rate))
        self._events = _events(song, line, rate, self.music_frames)
        self.engine, self._synth = open_synth(font, rate, engine)

    def __iter__(self) -> Iterator[Audio]:
        at = 0
        try:
            for event in self._events:
                yield from self._until(at, event[0])
                at = event[0]
                _send(self._synth, event)
            yield from self._until(at, self.frames)
        finally:
            self._synth.close()

    def _until(self, at: int, end: int) -> Iterator[Audio]:
        while at < end:
            count = min(_BLOCK, end - at)
            block = self._synth.render(count)
            at += count
            if at > self.frames - self._fade:
                # The cut may fall into sounding notes: a few milliseconds keep it from clicking.
                left = np.arange(self.frames - at + count - 1, self.frames - at - 1, -1)
                block = block * np.minimum(left / self._fade, 1).astype(np.float32)[:, np.newaxis]
            yield block


def _font(given: SoundFont | str | os.PathLike[str] | None) -> SoundFont:
    if isinstance(given, SoundFont):
        return given
    return soundfonts.open_soundfont(given) if given else soundfonts.find()


def _events(song: MidiSong, line: TempoMap, rate: int, end: int) -> list[_Event]:
    """What happens at which frame, in order, before ``end``; all notes are off by then."""
    channels: dict[tuple[int | None, int, int], int] = {}
    settings: dict[_Event, None] = {}  # in their order; tracks of one channel may repeat them
    notes: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for index, track in enumerate(song.tracks):
        source = -index if track.channel is None else track.channel
        sound = (source, track.program, track.kit)
        channel = channels.setdefault(sound, len(channels) % CHANNELS)
        program = track.kit if track.is_drum else track.program
        settings[0, _PROGRAM, channel, program, track.is_drum] = None
        for control in track.controls:
            frame = line.frame(control.tick, rate)
            if control.number not in _NOT_SENT and frame < end:
                settings[frame, _CONTROL, channel, control.number, control.value] = None
        pedal = _held(track)
        for note in track.notes:
            start = song.meter_map.absolute(note.onset)
            stop = line.frame(_released(start + note.duration, pedal), rate)
            notes.setdefault((channel, note.pitch), []).append(
                (line.frame(start, rate), stop, note.velocity)
            )
    events = list(settings)
    for (channel, pitch), played in notes.items():
        # A key that is struck again is let go first, so that no note ends the one after it.
        struck = sorted(
            {start: (stop, velocity) for start, stop, velocity in sorted(played)}.items()
        )
        following = [start for start, _ in struck[1:]]
        for (start, (stop, velocity)), again in zip(struck, [*following, end], strict=True):
            if start < end:
                events.append((start, _ON, channel, pitch, velocity))
                events.append((max(start + 1, min(stop, again, end)), _OFF, channel, pitch, 0))
    return sorted(events, key=lambda event: event[:2])


def _held(track: MidiTrack) -> list[tuple[int, int]]:
    """When the sustain pedal is down: ticks from and to, in order.

    It lengthens notes here, as not every synth knows a pedal.
    """
    spans: list[tuple[int, int]] = []
    for control in track.controls:
        if control.number == _PEDAL:
            down = bool(spans) and spans[-1][1] == _FOREVER
            if control.value >= 64 and not down:
                spans.append((control.tick, _FOREVER))
            elif control.value < 64 and down:
                spans[-1] = (spans[-1][0], control.tick)
    return spans


def _released(tick: int, pedal: list[tuple[int, int]]) -> int:
    """When a note falls silent whose key is let go at ``tick``."""
    i = bisect_right(pedal, (tick, _FOREVER)) - 1
    return max(tick, pedal[i][1]) if i >= 0 else tick


def _send(synth: Synth, event: _Event) -> None:
    _, kind, channel, number, value = event
    if kind == _ON:
        synth.on(channel, number, value)
    elif kind == _OFF:
        synth.off(channel, number)
    elif kind == _PROGRAM:
        synth.program(channel, number, bool(value))
    elif number == PITCH_BEND:
        synth.bend(channel, value)
    else:
        synth.control(channel, number, value)


def _refused(text: str) -> SidemanError:
    return SidemanError(Code.BAD_ARGUMENTS, f"cannot render {text}")
