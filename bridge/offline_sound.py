"""``sideman continue`` for sound: a loop goes on, with no DAW, no socket, no waiting."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soxr

from bridge.clock import SongClock
from bridge.commands.output import Progress
from bridge.config import ContinueOptions
from bridge.files.audio_file import MP3_RATES, check_output, read_audio, write_audio
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
from engine.audio import Audio
from engine.audio.grid import Grid
from engine.audio.guess import guess
from engine.audio.refuse import check_prompt
from engine.conductor import Conductor
from engine.errors import Code, SidemanError
from engine.messages import Ask, Keys
from engine.models import adapters, store
from engine.past import Spot, lay_out_sound
from engine.ports import Chunk
from engine.presets import Preset
from engine.sound.rack import DEFAULT
from engine.takes import Take
from engine.worker.direct import DirectLine, sound
from engine.worker.supervisor import Supervisor

LONGEST = 900.0
"""Seconds of IN."""

KEYS = ("bars", "seed", "temperature", "top_p", "prompt", "chords", "key", "program")


@dataclass
class Recording(NoStore):
    """Keeps the sound of takes in memory."""

    progress: Callable[[float], None]
    sounds: dict[int, Audio] = field(default_factory=dict)

    def sound(self, take: Take, chunk: Chunk, then: Callable[[str | None], None]) -> None:
        """Put down at once."""
        if take.number not in self.sounds:
            self.sounds[take.number] = np.zeros((chunk.total, chunk.channels), np.float32)
        made = np.frombuffer(chunk.data, "<f4").reshape(-1, chunk.channels)
        self.sounds[take.number][chunk.at : chunk.at + len(made)] = made
        self.progress((chunk.at + len(made)) / chunk.total)
        then(None)


@dataclass(frozen=True)
class Heard:
    """IN, and the song that it is taken to be."""

    audio: Audio
    rate: int
    bpm: float

    @staticmethod
    def of(options: ContinueOptions) -> Heard | None:
        """The file that was given, if one was. Raises what is wrong with it."""
        if options.input is None:
            return None
        audio, rate = read_audio(options.input, LONGEST)
        bpm = options.bpm or guess(audio, rate)
        check_prompt(audio, Grid(rate, bpm))
        return Heard(audio, rate, bpm)

    @property
    def bars(self) -> int:
        """The bar at whose line it ends, were its first sound in bar 0."""
        bar = Grid(self.rate, self.bpm).length(0)
        return max(1, -(-(len(self.audio) - round(0.01 * self.rate)) // bar))


def run_continue(options: ContinueOptions) -> int:
    """Read, go on, write. Returns the exit status; raises what the user has to mend."""
    preset = with_model(presets.load(options.preset or DEFAULT), options.model)
    if options.input is not None and options.input.suffix.lower() in MIDI_SUFFIXES:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"preset {preset.name} goes on from sound, and {options.input.name} is a MIDI file: "
            "name a MIDI preset, or render it first with `sideman render`",
        )
    check_output(options.output, _output_rate(options, 48_000), options.encoding)
    heard = Heard.of(options)
    if options.append and heard is None:
        raise SidemanError(Code.BAD_ARGUMENTS, "--append needs IN: there is nothing to append to")
    rate = _output_rate(options, 48_000 if heard is None else heard.rate)
    progress = Progress(f"continuing {options.input.name if options.input else preset.name}")
    take, made = play_on(heard, preset, options, rate, progress)
    progress.close()
    whole = made
    if options.append and heard is not None:
        whole = np.concatenate([resampled(heard.audio, heard.rate, rate), made])
    write_audio(options.output, whole, rate, options.encoding)
    _report(options, take, made, rate, bpm_of(options, heard))
    return 0


def play_on(
    heard: Heard | None,
    preset: Preset,
    options: ContinueOptions,
    rate: int,
    progress: Callable[[float], None] = lambda part: None,
) -> tuple[Take, Audio]:
    """The take that follows, and its sound [frames, channels] at ``rate``."""
    bpm = bpm_of(options, heard)
    end = 0 if heard is None else heard.bars
    replies, recording = Replies(), Recording(progress)
    conductor = Conductor(
        clock=SongClock(bpm),
        outbox=replies,
        store=recording,
        loader=NoLoader(),
        preset=preset,
        device=options.device,
        load_preset=lambda name: with_model(presets.load(name), options.model),
        find_model=store.resolve,
        find_adapter=adapters.resolve,
    )
    notes_line, sound_line = DirectLine(), DirectLine(sound)
    worker = Supervisor(lambda: sound_line, conductor.sound)
    conductor.connect(Supervisor(lambda: notes_line, conductor), worker)
    conductor.settings.values["rate"] = rate
    conductor.sound.live = False
    if heard is not None and options.input is not None:
        track = conductor.session.track(TRACK)
        spot = Spot(TRACK, track.name, None, conductor.clock.meters, end, bpm)
        frames, channels = heard.audio.shape
        past = lay_out_sound(str(options.input), heard.rate, channels, frames, spot)
        assert past.tape is not None
        conductor.session.record(track, past.tape)

    def run() -> None:
        while replies.error is None and (message := sound_line.pump()) is not None:
            worker.receive(sound_line, message, 0.0)
        if replies.error is not None:
            raise replies.error

    conductor.shelf.rack.check(preset)
    conductor.start(0.0)
    run()
    if options.adapter is not None:
        conductor.shelf.rack.adapt(options.adapter, 1.0, 0.0, replies.hear)
        run()
    given = {name: value for name in KEYS if (value := getattr(options, name)) is not None}
    keys = Keys.of({**given, "variations": options.variations, "at": end}, "sideman continue")
    conductor.handle(Ask("audio", 1, TRACK, keys), CLIENT, 0.0)
    run()
    take = conductor.session.takes[max(conductor.session.takes)]
    return take, recording.sounds[take.number]


def bpm_of(options: ContinueOptions, heard: Heard | None) -> float:
    """The tempo that was asked for, or IN's, or 120."""
    return options.bpm or (120.0 if heard is None else heard.bpm)


def resampled(audio: Audio, own: int, rate: int) -> Audio:
    """``audio`` at another rate."""
    return audio if own == rate else np.asarray(soxr.resample(audio, own, rate), np.float32)


def _output_rate(options: ContinueOptions, own: int) -> int:
    """The rate that was asked for; or IN's, or the nearest that an MP3 may have."""
    if options.rate is not None:
        return options.rate
    if options.output.suffix.lower() == ".mp3" and own not in MP3_RATES:
        return min(MP3_RATES, key=lambda rate: abs(rate - own))
    return own


def _report(options: ContinueOptions, take: Take, made: Audio, rate: int, bpm: float) -> None:
    result: dict[str, Any] = {
        "output": str(options.output),
        "bars": take.bars,
        "frames": len(made),
        "channels": made.shape[1],
        "rate": rate,
        "bpm": bpm,
        "seed": take.seed,
        "preset": take.preset,
        "model": take.model,
        "context_hash": take.context_hash,
        "report": take.report,
    }
    if options.json:
        print(json.dumps({"output": str(options.output), "takes": [result]}))
        return
    licence = take.report.get("licence") or "unknown"
    print(
        f"{options.output}: {take.bars} bars at {bpm:g} bpm, {len(made) / rate:.2f} s, "
        f"seed {take.seed}, licence of the model {licence}"
    )
