import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.files import render, synths
from bridge.files.audio_file import read_audio
from bridge.files.midi_file import write_midi
from bridge.files.midi_song import PITCH_BEND, Control, MidiSong, MidiTrack, Tempo
from bridge.files.render import render_array, render_midi
from bridge.files.soundfont import open_soundfont
from engine.errors import Code, SidemanError
from engine.music import DRUMS, Meter, MeterMap, Note

Make = Callable[..., Path]
ENGINES = synths.available()
QUIET = 1e-4

each_engine = pytest.mark.parametrize("engine", ENGINES)


def song(*notes: Note, length: int = 0, bpm: float = 120) -> MidiSong:
    return MidiSong.of_notes(notes, bpm=bpm, length=length)


def sounding(samples: np.ndarray, start: float, end: float, rate: int = 44_100) -> float:
    """The loudest sample between two times in seconds."""
    return float(np.abs(samples[round(start * rate) : round(end * rate)]).max())


def test_some_synthesizer_is_there() -> None:
    assert "tinysoundfont" in ENGINES
    assert render.backend() == ENGINES[0]


@each_engine
def test_rests_are_kept(engine: str, make_soundfont: Make) -> None:
    # At 120 a beat lasts half a second: rest, note, rest, note, and two beats of rest.
    music = song(Note(0, 960, 0, 69, 960, 100), Note(0, 2880, 0, 69, 960, 100), length=3840 + 1920)
    samples = render_array(music, soundfont=make_soundfont(), engine=engine)
    assert samples.shape == (3 * 44_100, 2)
    assert samples.dtype == np.float32
    assert np.abs(samples[: 44_100 // 2]).max() < QUIET
    assert sounding(samples, 0.52, 0.98) > 0.05
    # FluidSynth's reverb fades into the rests, far below the notes.
    assert sounding(samples, 1.3, 1.49) < 0.1 * sounding(samples, 0.52, 0.98)
    assert sounding(samples, 1.52, 1.98) > 0.05
    assert sounding(samples, 2.3, 3.0) < 0.1 * sounding(samples, 1.52, 1.98)


@each_engine
def test_onsets_are_on_their_frame(engine: str, make_soundfont: Make) -> None:
    grid = 64 if engine == "fluidsynth" else 1
    for tick in (1, 333, 959, 1111):
        samples = render_array(
            song(Note(0, tick, 0, 69, 960, 127)), soundfont=make_soundfont(), engine=engine
        )
        moment = round(Fraction(tick, 1920) * 44_100)
        onset = int(np.argmax(np.abs(samples[:, 0]) > 1e-5))
        assert moment <= onset <= moment + grid + 4


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    bpm=st.floats(20, 300),
    rate=st.sampled_from([8_000, 22_050, 44_100, 48_000, 96_000]),
    length=st.integers(1, 4_000),
    tail=st.sampled_from([0.0, 0.1]),
)
def test_length_is_exact(
    make_soundfont: Make, bpm: float, rate: int, length: int, tail: float
) -> None:
    music = song(Note(0, 0, 0, 69, 1, 100), bpm=bpm)
    font = open_soundfont(make_soundfont())
    performance = render.Performance(music, font, rate, length, tail, "tinysoundfont")
    music_frames = Fraction(length * music.tempos[0].beat_us * rate, 960 * 1_000_000)
    assert abs(performance.music_frames - music_frames) <= Fraction(1, 2)
    assert sum(map(len, performance)) == performance.frames
    assert performance.frames == performance.music_frames + round(tail * rate)


@each_engine
def test_notes_end_with_the_music(engine: str, make_soundfont: Make) -> None:
    music = song(Note(0, 0, 0, 69, 9600, 100))
    font = make_soundfont()
    cut = render_array(music, soundfont=font, engine=engine, length_ticks=960)
    assert len(cut) == 22_050
    assert sounding(cut, 0.4, 0.49) > 0.05
    # A fade of 5 ms down to nothing, and no step in it but those of the wave itself.
    assert not cut[-1].any()
    assert np.abs(cut[-20:]).max() < 0.1 * np.abs(cut[:-400]).max()
    with_tail = render_array(
        music, soundfont=font, engine=engine, length_ticks=960, tail_seconds=1.5
    )
    assert len(with_tail) == 22_050 + round(1.5 * 44_100)
    assert sounding(with_tail, 1.5, 2.0) < 0.05 * sounding(cut, 0.4, 0.49)


@each_engine
def test_the_same_twice(engine: str, make_soundfont: Make) -> None:
    music = song(Note(0, 0, 5, 60, 960, 90), Note(0, 480, DRUMS, 36, 240, 120))
    font = make_soundfont()
    first, second = (render_array(music, soundfont=font, engine=engine) for _ in range(2))
    assert np.array_equal(first, second)


@each_engine
def test_a_key_struck_again_sounds_on(engine: str, make_soundfont: Make) -> None:
    # The first note would end inside the second, and a third begins with it.
    music = song(
        Note(0, 0, 0, 69, 1440, 100), Note(0, 960, 0, 69, 1920, 100), Note(0, 960, 0, 69, 9, 100)
    )
    samples = render_array(music, soundfont=make_soundfont(), engine=engine)
    assert sounding(samples, 0.9, 1.4) > 0.05


@each_engine
def test_missing_sounds_are_replaced(engine: str, make_soundfont: Make) -> None:
    font = make_soundfont("poor.sf2", [(8, 3)])
    music = song(Note(0, 0, 77, 60, 960, 100), Note(0, 960, DRUMS, 36, 960, 100))
    samples = render_array(music, soundfont=font, engine=engine)
    assert sounding(samples, 0.1, 0.4) > 0.01
    assert sounding(samples, 0.6, 0.9) > 0.01


@each_engine
def test_more_instruments_than_midi_has_channels(engine: str, make_soundfont: Make) -> None:
    notes = [
        Note(program // 8, 480 * (program % 8), program, 60, 400, 100) for program in range(40)
    ]
    samples = render_array(song(*notes), soundfont=make_soundfont(), engine=engine)
    for i in range(40):
        assert sounding(samples, i / 4 + 0.05, i / 4 + 0.2) > 0.02


@each_engine
def test_controllers_are_heard(engine: str, make_soundfont: Make) -> None:
    def played(*controls: Control) -> np.ndarray:
        track = MidiTrack("", 0, (Note(0, 0, 0, 69, 1920, 100),), 1, controls=controls)
        return render_array(
            MidiSong((track,), length=3840), soundfont=make_soundfont(), engine=engine
        )

    plain = played()
    soft = played(Control(0, 7, 30))
    assert sounding(soft, 0.1, 0.9) < 0.5 * sounding(plain, 0.1, 0.9)
    held = played(Control(0, 64, 127))
    assert sounding(held, 1.5, 1.9) > 0.05 > 5 * sounding(plain, 1.5, 1.9)
    lifted = played(Control(0, 64, 127), Control(1440, 64, 127), Control(2880, 64, 0))
    assert sounding(lifted, 1.1, 1.45) > 0.05 > 5 * sounding(lifted, 1.8, 2.0)
    early = played(Control(0, 64, 127), Control(960, 64, 0))
    assert np.array_equal(early, plain)
    bent = played(Control(0, PITCH_BEND, 16383))
    assert not np.allclose(bent, plain, atol=0.01)
    banked = played(Control(0, 0, 5), Control(0, 32, 5))
    assert np.array_equal(banked, plain)


def test_tempo_changes_and_meters(make_soundfont: Make) -> None:
    tempos = (Tempo.of_bpm(120), Tempo.of_bpm(60, tick=960))
    track = MidiTrack("", 0, (Note(1, 0, 0, 69, 960, 100),), 1)
    music = MidiSong((track,), MeterMap([(0, Meter(2, 4))]), tempos)
    samples = render_array(music, soundfont=make_soundfont(), engine="tinysoundfont")
    assert len(samples) == round(2.5 * 44_100)
    assert np.abs(samples[: round(1.5 * 44_100)]).max() < QUIET
    assert sounding(samples, 1.51, 2.4) > 0.05


@each_engine
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
def test_files(engine: str, suffix: str, make_soundfont: Make, tmp_path: Path) -> None:
    midi = tmp_path / "song.mid"
    write_midi(midi, song(Note(0, 960, 0, 69, 960, 100), length=3840, bpm=97))
    parts: list[float] = []
    made = render_midi(
        midi,
        tmp_path / f"song{suffix}",
        rate=48_000,
        soundfont=make_soundfont(),
        engine=engine,
        progress=parts.append,
    )
    assert made.engine == engine
    assert parts == sorted(parts)
    assert parts[-1] == 1
    samples, rate = read_audio(made.path)
    assert rate == 48_000
    # The file holds whole microseconds to the beat.
    assert len(samples) == made.frames == round(4 * round(60e6 / 97) * 48_000 / 1e6)
    assert sounding(samples, 0.7, 1.2, rate) > 0.05


def test_loud_music_is_lowered_once(make_soundfont: Make, tmp_path: Path) -> None:
    chord = song(*(Note(0, 0, program, 69, 960, 127) for program in range(12)))
    font = make_soundfont()
    made = render_midi(chord, tmp_path / "a.wav", soundfont=font, engine="tinysoundfont")
    assert made.gain < 1
    assert np.abs(read_audio(made.path)[0]).max() == pytest.approx(0.98, abs=0.01)
    loud = render_midi(chord, tmp_path / "b.wav", soundfont=font, gain=1.0, engine="tinysoundfont")
    assert loud.gain == 1
    assert np.abs(read_audio(loud.path)[0]).max() > 0.999


def test_without_the_system_library(
    make_soundfont: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    music = song(Note(0, 0, 0, 69, 960, 100))
    made = render_midi(music, tmp_path / "a.wav", soundfont=make_soundfont())
    assert made.engine == render.backend() == "tinysoundfont"
    with pytest.raises(SidemanError, match="libfluidsynth3"):
        render_array(music, soundfont=make_soundfont(), engine="fluidsynth")
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(SidemanError, match="no synthesizer") as caught:
        render_midi(music, tmp_path / "b.wav", soundfont=make_soundfont())
    assert caught.value.code is Code.BAD_FILE
    assert not (tmp_path / "b.wav").exists()


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"rate": 100}, "a rate of 100 Hz"),
        ({"tail_seconds": 1000}, "tail"),
        ({"tail_seconds": float("nan")}, "tail"),
        ({"length_ticks": 0}, "music without length"),
        ({"length_ticks": 10**12}, "7200 are the most"),
        ({"engine": "moog"}, "is no synthesizer"),
    ],
)
def test_what_is_refused(
    asked: dict[str, object], reason: str, make_soundfont: Make, tmp_path: Path
) -> None:
    music = song(Note(0, 0, 0, 69, 960, 100))
    with pytest.raises(SidemanError, match=reason) as caught:
        render_midi(music, tmp_path / "a.wav", soundfont=make_soundfont(), **asked)
    assert caught.value.code is Code.BAD_ARGUMENTS
    assert not (tmp_path / "a.wav").exists()


@each_engine
def test_a_soundfont_that_the_synth_cannot_load(
    engine: str, make_soundfont: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make_soundfont()
    font = open_soundfont(path)
    path.write_bytes(b"RIFF")
    with pytest.raises(SidemanError, match="cannot load"):
        render_array(song(Note(0, 0, 0, 69, 960, 100)), soundfont=font, engine=engine)
    assert "fluidsynth:" not in capfd.readouterr().err
