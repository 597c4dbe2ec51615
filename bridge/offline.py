"""``sideman continue``: the same engine on a file, with no DAW, no socket, no waiting."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bridge.clock import SongClock
from bridge.commands.output import Progress
from bridge.config import ContinueOptions
from bridge.files.audio_file import check_output
from bridge.files.midi_file import MidiSong, MidiTrack, Tempo, read_midi, restruck, write_midi
from bridge.files.render import render_midi
from bridge.offline_parts import (
    CLIENT,
    MIDI_SUFFIXES,
    TRACK,
    NoLoader,
    NoStore,
    Replies,
    with_model,
)
from engine import presets
from engine.brief import chart_bars
from engine.conductor import Conductor
from engine.errors import Code, SidemanError
from engine.messages import Ask, Keys
from engine.models import adapters, store
from engine.music import MeterMap, Note
from engine.session import Session
from engine.takes import Take
from engine.worker.direct import DirectLine
from engine.worker.supervisor import Supervisor
from engine.worker.wire import Made

RATE = 44_100
FROM_CHORDS = "band"
"""The preset that plays from chords alone, where none is named."""


def play_on(
    song: MidiSong | None,
    options: ContinueOptions,
    progress: Callable[[float], None] = lambda part: None,
) -> list[Take]:
    """The takes that follow ``song``, which may be None where the preset may begin by itself.

    ``progress`` hears the part that is done, 0 to 1.
    """
    preset = with_model(presets.load(preset_of(options)), options.model)
    end = 0 if song is None else song.bars
    clock = SongClock(bpm_of(song, options), None if song is None else song.meter_map)
    replies = Replies()
    conductor = Conductor(
        clock=clock,
        outbox=replies,
        store=NoStore(),
        loader=NoLoader(),
        preset=preset,
        device=options.device,
        load_preset=lambda name: with_model(presets.load(name), options.model),
        find_model=store.resolve,
        find_adapter=adapters.resolve,
    )
    line, unused = DirectLine(), DirectLine()
    worker = Supervisor(lambda: line, conductor)
    conductor.connect(worker, Supervisor(lambda: unused, conductor.sound))
    conductor.settings.values["speculation"] = False
    conductor.session.meters = clock.meters
    if song is not None:
        hear(song, conductor.session)
    bars = options.bars or preset.midi.bars
    if options.bars is None and options.chords is not None:
        bars = chart_bars(options.chords, clock.meters, end)
    ask = Ask("continue", 1, TRACK, _keys(options, at=end))
    if options.adapter is not None:
        conductor.shelf.adapt(options.adapter, 1.0, 0.0)
    conductor.start(0.0)
    conductor.handle(ask, CLIENT, 0.0)
    while replies.error is None and (message := line.pump()) is not None:
        worker.receive(line, message, 0.0)
        if isinstance(message, Made):
            done = max(note[0] for note in message.notes) + 1
            progress(done / bars)
    if replies.error is not None:
        raise replies.error
    return sorted(conductor.session.takes.values(), key=lambda take: take.number)


def hear(song: MidiSong, session: Session) -> None:
    """The whole song becomes the past of one track; its notes keep their instruments."""
    track = session.track(TRACK)
    programs = {part.program for part in song.tracks if part.notes}
    if len(programs) == 1:
        track.program = programs.pop()
    for note in song.notes:
        session.play(track, note)


def _keys(options: ContinueOptions, *, at: int) -> Keys:
    given = {
        name: getattr(options, name)
        for name in ("bars", "preset", "seed", "temperature", "top_p", "chords", "key", "program")
        if getattr(options, name) is not None
    }
    return Keys.of({**given, "variations": options.variations, "at": at}, "sideman continue")


def preset_of(options: ContinueOptions) -> str:
    """The preset that was asked for, or the config's; a band where only chords are there."""
    if options.preset is not None:
        return options.preset
    from_chords = options.input is None and options.chords is not None
    usual = options.config.preset
    return FROM_CHORDS if from_chords and usual == presets.DEFAULT else usual


def bpm_of(song: MidiSong | None, options: ContinueOptions) -> float:
    """The tempo that was asked for, or the song's last one, or 120."""
    if options.bpm is not None:
        return options.bpm
    return song.tempos[-1].bpm if song is not None and song.tempos else 120.0


def song_of(take: Take, song: MidiSong | None, options: ContinueOptions) -> MidiSong:
    """The file that is written: the take alone, or with ``--append`` the input before it."""
    meters = MeterMap() if song is None else song.meter_map
    first = 0 if options.append else take.bar
    own = MeterMap(
        [(0, meters.at(first)), *((b - first, m) for b, m in meters.changes if b > first)]
    )
    parts = [
        MidiTrack(
            _name(program, song),
            program,
            restruck((_moved(n, -first) for n in take.notes if n.program == program), own),
            channel=_channel(program, take, song),
        )
        for program in sorted(take.channels)
    ]
    tempos: tuple[Tempo, ...] = (Tempo.of_bpm(bpm_of(song, options)),)
    if options.append and song is not None:
        parts = _joined(song.tracks, parts)
        tempos = song.tempos if options.bpm is None else tempos
    return MidiSong(tuple(parts), own, tempos, own.start(take.end - first))


def _joined(before: Sequence[MidiTrack], after: Sequence[MidiTrack]) -> list[MidiTrack]:
    """Each new part goes on in the input's track of its instrument, where there is one."""
    rest = {part.program: part for part in after}
    joined = []
    for track in before:
        part = rest.pop(track.program, None)
        joined.append(track if part is None else replace(track, notes=track.notes + part.notes))
    return joined + list(rest.values())


def _moved(note: Note, bars: int) -> Note:
    return replace(note, bar=note.bar + bars)


def _name(program: int, song: MidiSong | None) -> str:
    return next((t.name for t in song.tracks if t.program == program), "") if song else ""


def _channel(program: int, take: Take, song: MidiSong | None) -> int | None:
    """The input's channel of that instrument; the writer chooses one where there is none."""
    known = (t.channel for t in song.tracks if t.program == program) if song else ()
    return next(iter(known), take.channel(program) if len(take.channels) == 1 else None)


def paths_for(output: Path, count: int) -> list[Path]:
    """OUT for the first take, and OUT-2, OUT-3 … for its variations."""
    return [
        output if number == 1 else output.with_stem(f"{output.stem}-{number}")
        for number in range(1, count + 1)
    ]


def run_continue(options: ContinueOptions) -> int:
    """Read, play on, write. Returns the exit status; raises what the user has to mend."""
    _check(options)
    song = None if options.input is None else read_midi(options.input)
    progress = Progress(f"continuing {options.input.name if options.input else preset_of(options)}")
    takes = play_on(song, options, progress)
    progress.close()
    written = paths_for(options.output, len(takes))
    for path, take in zip(written, takes, strict=True):
        result = song_of(take, song, options)
        if path.suffix.lower() in MIDI_SUFFIXES:
            write_midi(path, result)
        else:
            soundfont = options.config.files.soundfont or None
            render_midi(result, path, rate=RATE, soundfont=soundfont)
    _report(options, takes, written)
    return 0


def _check(options: ContinueOptions) -> None:
    """Refuse what can't end well before anything is loaded."""
    if options.output.suffix.lower() not in MIDI_SUFFIXES:
        check_output(options.output, RATE, "int16")
    if options.input is not None and options.input.suffix.lower() not in MIDI_SUFFIXES:
        raise SidemanError(
            Code.BAD_FILE,
            f"preset {preset_of(options)} goes on from notes, and {options.input.name} is no MIDI "
            "file: name an audio preset",
        )
    if options.prompt is not None:
        raise SidemanError(Code.BAD_ARGUMENTS, "--prompt is for audio presets; leave it out")


def _report(options: ContinueOptions, takes: Sequence[Take], written: Sequence[Path]) -> None:
    results = [
        {
            "output": str(path),
            "bars": take.bars,
            "notes": len(take.notes),
            "seed": take.seed,
            "variation": take.variation,
            "preset": take.preset,
            "model": take.model,
            "context_hash": take.context_hash,
        }
        for path, take in zip(written, takes, strict=True)
    ]
    if options.json:
        print(json.dumps({"output": str(written[0]), "takes": results}))
        return
    for result in results:
        print("{output}: {bars} bars, {notes} notes, seed {seed}".format(**result))
